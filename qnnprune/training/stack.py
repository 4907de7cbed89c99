"""Nets of one shape beside each other: one step for all of them.

What costs most in a small network is the call of each operation, and here it is paid once.  First
layers read the same input codes, so beside each other they are one wide layer.  Later layers are
products of stacked matrices.  Everything between is elementwise or by column.

The networks stay, bit for bit, what they are alone.  Torch rounds some values by where they lie in
a tensor, in vectors or after the last whole one: such operations are called net by net.
"""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor, nn

from .blocks import quantizer
from .optimizers import CommonOptimizer
from .quantizers import MaskedWeightQuant, whole_matrix
from .step import TrainingStep, _Linear, side_by_side

__all__ = ["Stack"]

_EXACT = (nn.ReLU, nn.Identity, nn.Hardtanh, nn.LeakyReLU)  # wherever a value lies
_VECTOR = 16  # columns in the largest vectors
_WIDE = 512  # inputs of a product that MKL adds up in one way, however many outputs there are
_SMALL = 400  # products of numbers in a batch of matrices that torch multiplies without MKL


class Stack:
    """Nets whose tensors are parts of common ones, until they are taken apart.

    Parameters
    ----------
    nets : sequence of TrainingNet
        About to take their first step, and alike in all that it depends on but their tensors and
        the settings of their optimizers.
    """

    def __init__(self, nets):
        self.n_nets = len(nets)
        self.commons: list[tuple[Tensor, list]] = []
        self.quantizers: list[_CommonQuant] = []
        hidden = zip(*(net.module_.hidden for net in nets), strict=True)
        network = SimpleNamespace(
            read=nets[0].module_.read,
            hidden=[self._hidden(blocks, first=index == 0) for index, blocks in enumerate(hidden)],
            output=self._output([net.module_.output for net in nets]),
        )
        alone = nets[0].step_
        self.step = TrainingStep(network, alone.loss, alone.dropout, alone.bits)
        self._separate(self.step.layers)
        self.optimizer = CommonOptimizer([net.optimizer_ for net in nets])

    def train_step(self, batch) -> list[dict]:
        """Take a step of every net.

        Parameters
        ----------
        batch : Batch

        Returns
        -------
        list of dict
            What `TrainingNet.train_step` returns, net by net.
        """
        for common in self.quantizers:
            common.look()
        losses, outputs = self.step(batch.values, batch.y, batch.weight.float())
        for common, parts in self.commons:
            if common.grad is not None:
                gradients = common.grad.view(self.n_nets, *parts[0].shape)
                for part, gradient in zip(parts, gradients.unbind(), strict=True):
                    part.grad = gradient
        self.optimizer.step()
        found = zip(losses.unbind(), outputs.unbind(), strict=True)
        return [{"loss": loss, "y_pred": output} for loss, output in found]

    def take_apart(self) -> None:
        """Give every net tensors and moments of its own."""
        for _, parts in self.commons:
            for part in parts:
                part.data, part.grad = part.data.clone(), None
        self.optimizer.hand_back()

    # ---------------------------------------------------------- common tensors

    def _common(self, parts, n_dims) -> Tensor:
        """A tensor of so many dimensions that `parts` become parts of."""
        whole = torch.stack([part.detach() for part in parts])
        for part, piece in zip(parts, whole.unbind(), strict=True):
            part.data = piece
        if n_dims <= parts[0].dim():
            whole = whole.flatten(0, 1)
        elif n_dims > whole.dim():
            whole = whole.unsqueeze(1)
        if isinstance(parts[0], nn.Parameter):
            whole = nn.Parameter(whole)
        self.commons.append((whole, parts))
        return whole

    def _linear(self, blocks, n_dims):
        linears = [block.linear for block in blocks]
        weight = self._common([linear.weight for linear in linears], n_dims)
        parts = [quantizer(linear) for linear in linears]
        if parts[0] is None:
            return SimpleNamespace(weight=weight)
        common = _CommonQuant(parts, weight)
        common.scale = self._common([part.scale for part in parts], n_dims)
        common.mask = self._common([part.mask for part in parts], n_dims)
        self.quantizers.append(common)
        return SimpleNamespace(weight=weight, weight_quant=SimpleNamespace(tensor_quant=common))

    def _hidden(self, blocks, *, first):
        norms, block = [block.norm for block in blocks], blocks[0]
        names = ("weight", "bias", "running_mean", "running_var")
        tensors = {name: self._common([getattr(norm, name) for norm in norms], 1) for name in names}
        activation, gradient = block.activation, block.function.gradient
        if not isinstance(activation, _EXACT):
            activation, gradient = map(self._net_by_net, (activation, gradient))
        wide = first and block.linear.in_features <= _WIDE
        return SimpleNamespace(
            linear=self._linear(blocks, 2 if wide else 3),
            n_blocks=block.n_blocks,
            norm=SimpleNamespace(**tensors, momentum=norms[0].momentum, eps=norms[0].eps),
            rounded=block.rounded,
            activation=activation,
            function=SimpleNamespace(gradient=gradient),
            quantizer=block.quantizer,
        )

    def _output(self, blocks):
        block = blocks[0]
        return SimpleNamespace(
            linear=self._linear(blocks, 3),
            n_blocks=block.n_blocks,
            gain=self._common([block.gain for block in blocks], 3),
            bias=self._common([block.bias for block in blocks], 3),
            n_sums=block.n_sums,
            n_members=block.n_members,
            added_up=block.added_up,
            added_up_by_member=block.added_up_by_member,
        )

    # --------------------------------------------------------- net by net

    def _separate(self, layers):
        """Let layers of the step treat the networks apart, where they are not one wide layer."""
        for layer in layers:
            if layer.linear.linear.weight.dim() == 3:
                layer.linear = _Separate(
                    layer.linear.linear,
                    layer.linear.layout,
                    self.n_nets,
                    shares_input=layer is layers[0],
                    is_last=layer is layers[-1],
                )
        for layer in layers[:-1]:
            if len(layer.gain) // self.n_nets % _VECTOR:
                layer.through_norm = self._net_by_net(layer.through_norm)

    def _net_by_net(self, function):
        """A function of columns, called with those of each network by themselves."""

        def each(*values):
            parts = zip(*(value.chunk(self.n_nets, dim=-1) for value in values), strict=True)
            found = [function(*(p.contiguous() for p in part)) for part in parts]
            if isinstance(found[0], Tensor):
                return torch.cat(found, dim=-1)
            return [torch.cat(of_each, dim=-1) for of_each in zip(*found, strict=True)]

        return each


class _CommonQuant(MaskedWeightQuant):
    """The quantizers of several networks' weights as one.

    Parameters
    ----------
    parts : sequence of MaskedWeightQuant
        Their own.
    weight : tensor
        What they quantize, one network after the other in the first dimension.
    """

    def __init__(self, parts, weight):
        super().__init__(int(parts[0].bit_width), 1, [weight])
        self.parts, self.n_each = parts, len(weight) // len(parts)
        self.found: list | None = None
        self.dense: Tensor | None = None  # 1 where all weights learn; None where networks agree

    def look(self) -> None:
        """Know whose pruned weights learn now."""
        found = [part.dense_gradient for part in self.parts]
        if found == self.found:
            return
        self.found, self.dense_gradient = found, all(found)
        self.dense = None
        if any(found) and not all(found):
            of_each = self.mask.new_tensor(found).repeat_interleave(self.n_each)
            self.dense = of_each.view(-1, *[1] * (self.mask.dim() - 1))

    def gradient(self, grad, own=whole_matrix):
        """As in `MaskedWeightQuant`, with what is right for each network."""
        if self.dense is None:
            return super().gradient(grad, own)
        return grad * own(torch.maximum(self.mask, self.dense))


class _Separate(_Linear):
    """The products of layers with weights of shape (n_nets, n_out, n_in).

    Inputs are of shape (n, n_in) or (n, n_nets * n_in), outputs of (n, n_nets * n_out), or of
    (n_nets, n, n_out) from last layers.
    """

    def __init__(self, linear, layout, n_nets, *, shares_input, is_last):
        super().__init__(linear, layout)
        self.n_nets, self.shares_input, self.is_last = n_nets, shares_input, is_last

    def forward(self, x):
        sums = super().forward(x if self.shares_input else self._stacked(x))
        return sums if self.is_last else side_by_side(sums)

    def backward(self, grad, to_input):
        grad = super().backward(grad if self.is_last else self._stacked(grad), to_input)
        return side_by_side(grad) if to_input else None

    def product(self, left, right):
        if left.dim() > 3:  # blocks: products of many matrices alone, too
            return left @ right
        n_numbers = left.shape[-1] * left.shape[-2] * right.shape[-1]
        if self.value.shape[-2] > 1 and n_numbers >= _SMALL:
            return left @ right
        # A vector, or little of it: torch goes another way with one matrix than with many.
        left, right = (v.expand(self.n_nets, *v.shape[-2:]) for v in (left, right))
        return torch.stack([a @ b for a, b in zip(left, right, strict=True)])

    def _stacked(self, values):
        return values.unflatten(1, (self.n_nets, -1)).transpose(0, 1)

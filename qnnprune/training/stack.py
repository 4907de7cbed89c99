"""Networks of one shape beside each other: one step for all of them.

What costs most in a small network is the call of each operation, and here it is paid once.  The
first layers read the same input codes, so beside each other they are one wide layer.  Later
layers are products of stacked matrices.  Everything between is elementwise or by column.
"""

from __future__ import annotations

from collections import defaultdict
from copy import copy
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from .blocks import quantizer
from .quantizers import MaskedWeightQuant
from .step import TrainingStep, _Linear

__all__ = ["Stack"]

# What they give does not depend on a value's place in a tensor; see `losses`.
_EXACT = (nn.ReLU, nn.Identity, nn.Hardtanh, nn.LeakyReLU)


class Stack:
    """Nets whose tensors are parts of common ones, until they are taken apart.

    Parameters
    ----------
    nets : sequence of TrainingNet
        About to take their first step, and alike in all that a step depends on but their tensors
        and the settings of their optimizers.
    """

    def __init__(self, nets):
        self.nets = nets
        self.commons: list[tuple[Tensor, list]] = []
        blocks = list(
            zip(*([*net.module_.hidden, net.module_.output] for net in nets), strict=True)
        )
        self.quantizers: list[tuple] = []
        network = SimpleNamespace(
            input=nets[0].module_.input,
            hidden=[
                self._hidden(parts, flat=index == 0) for index, parts in enumerate(blocks[:-1])
            ],
            output=self._output(blocks[-1]),
        )
        alone = nets[0].step_
        self.step = TrainingStep(network, alone.loss, alone.dropout, alone.bits)
        for index, layer in enumerate(self.step.layers[1:], start=2):
            last = index == len(blocks)
            layer.linear = _Separate(layer.linear.linear, len(nets), beside=not last)
        self.optimizer = _CommonOptimizer([net.optimizer_ for net in nets])

    def train_step(self, batch) -> list[dict]:
        """Take a step of every net.

        Returns
        -------
        list of dict
            What `TrainingNet.train_step` returns, net by net.
        """
        for common, part in self.quantizers:
            common.dense_gradient = part.dense_gradient
        losses, outputs = self.step(batch.levels, batch.y, batch.weight.float())
        for common, parts in self.commons:
            if common.grad is not None:
                for part, gradient in zip(
                    parts, common.grad.view(len(parts), *parts[0].shape).unbind(), strict=True
                ):
                    part.grad = gradient
        self.optimizer.step()
        return [
            {"loss": loss, "y_pred": output}
            for loss, output in zip(losses.unbind(), outputs.unbind(), strict=True)
        ]

    def take_apart(self) -> None:
        """Give every net tensors and moments of its own."""
        for _, parts in self.commons:
            for part in parts:
                part.data = part.data.clone()
                part.grad = None
        self.optimizer.hand_back()

    # --------------------------------------------------------- common tensors

    def _common(self, parts, *, flat=True, of_rows=False):
        """One tensor of which `parts` are parts: beside each other, or one more dimension."""
        whole = torch.stack([part.detach() for part in parts])
        for part, piece in zip(parts, whole.unbind(), strict=True):
            part.data = piece
        whole = whole.unsqueeze(1) if of_rows else whole.flatten(0, 1) if flat else whole
        if isinstance(parts[0], nn.Parameter):
            whole = nn.Parameter(whole)
        self.commons.append((whole, parts))
        return whole

    def _linear(self, blocks, *, flat):
        linears = [block.linear for block in blocks]
        weight = self._common([linear.weight for linear in linears], flat=flat)
        made = SimpleNamespace(weight=weight)
        parts = [quantizer(linear) for linear in linears]
        if parts[0] is not None:
            common = MaskedWeightQuant(int(parts[0].bit_width), 1, [weight])
            common.scale = self._common([part.scale for part in parts], flat=flat)
            common.mask = self._common([part.mask for part in parts], flat=flat)
            made.weight_quant = SimpleNamespace(tensor_quant=common)
            self.quantizers.append((common, parts[0]))
        return made

    def _hidden(self, blocks, *, flat):
        norms, first = [block.norm for block in blocks], blocks[0]
        names = ("weight", "bias", "running_mean", "running_var")
        tensors = {name: self._common([getattr(norm, name) for norm in norms]) for name in names}
        activation, gradient = first.activation, first.function.gradient
        if not isinstance(activation, _EXACT):
            activation, gradient = (
                _column_by_column(f, len(blocks)) for f in (activation, gradient)
            )
        return SimpleNamespace(
            linear=self._linear(blocks, flat=flat),
            norm=SimpleNamespace(**tensors, momentum=norms[0].momentum, eps=norms[0].eps),
            rounded=first.rounded,
            activation=activation,
            function=SimpleNamespace(gradient=gradient),
            quantizer=first.quantizer,
        )

    def _output(self, blocks):
        gains, biases = ([getattr(block, name) for block in blocks] for name in ("gain", "bias"))
        return SimpleNamespace(
            linear=self._linear(blocks, flat=False),
            gain=self._common(gains, of_rows=True),
            bias=self._common(biases, of_rows=True),
            n_sums=blocks[0].n_sums,
            added_up=blocks[0].added_up,
        )


class _Separate(_Linear):
    """The products of layers with their own inputs and weights, one per network."""

    def __init__(self, linear, n_networks, *, beside):
        super().__init__(linear)
        self.n_networks, self.beside = n_networks, beside

    def forward(self, x):
        sums = super().forward(self._stacked(x))
        return _beside(sums) if self.beside else sums

    def backward(self, grad, to_input):
        grad = self._stacked(grad) if self.beside else grad
        return _beside(super().backward(grad, to_input))

    def _stacked(self, values):
        return values.unflatten(1, (self.n_networks, -1)).transpose(0, 1)


def _beside(values: Tensor) -> Tensor:
    """(n_networks, n, width) values to (n, n_networks * width)."""
    return values.transpose(0, 1).flatten(1)


def _column_by_column(function, n_networks):
    def each(*values):
        parts = zip(*(value.chunk(n_networks, dim=1) for value in values), strict=True)
        return torch.cat([function(*(p.contiguous() for p in part)) for part in parts], dim=1)

    return each


class _CommonOptimizer:
    """The step of several optimizers of one kind; groups of equal settings are one."""

    def __init__(self, optimizers):
        self.optimizers = optimizers
        self.common = copy(optimizers[0])
        self.common.state, self.common.param_groups = defaultdict(dict), []
        self.alike: list[tuple[dict, dict]] = []
        for group in (group for each in optimizers for group in each.param_groups):
            self._add(group)

    def _add(self, group):
        settings = {key: value for key, value in group.items() if key != "params"}
        for common in self.common.param_groups:
            if all(common[key] == value for key, value in settings.items()):
                common["params"] += group["params"]
                return
        self.common.param_groups.append({**settings, "params": list(group["params"])})
        self.alike.append((self.common.param_groups[-1], group))

    def step(self):
        for common, group in self.alike:
            common["lr"] = group["lr"]
        self.common.step()

    def hand_back(self):
        for each in self.optimizers:
            for group in each.param_groups:
                each.state.update((p, self.common.state[p]) for p in group["params"])

"""One training step, forward and backward written out.

The numbers are those that autograd gets from the module's own layers in training mode.
Most of autograd's time on small layers is bookkeeping, though: this way a step of
quantized training costs about what a float step costs.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .blocks import quantizer

__all__ = ["TrainingStep"]


class TrainingStep:
    """Loss and gradients of a `PrunableMLP`, one batch after another.

    Parameters
    ----------
    network : PrunableMLP
        In training mode, on its device.
    loss : callable
        One of `losses`.
    dropout : float
        Share of the input codes that a step leaves out, in multiples of 2**-16.
    bits : numpy.random.BitGenerator
        Draws them, on the CPU whatever the device.
    watched : bool
        Whether others may change what a step leaves behind.  Else its tensors are those of torch's
        inference mode, which are faster to make.
    """

    def __init__(
        self, network, loss, dropout: float, bits: np.random.BitGenerator, *, watched: bool = False
    ):
        self.loss, self.read = loss, network.read
        self.without_graph = torch.no_grad if watched else torch.inference_mode
        self.dropout, self.bits = dropout, bits
        self.layers = [_Hidden(layer) for layer in network.hidden] + [_Output(network.output)]

    def __call__(self, values: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Set ``.grad`` of every parameter.

        Parameters
        ----------
        values : tensor of shape (n, n_in)
            Of the input codes.
        y, weight : tensors of shape (n,); targets of shape (n, n_outputs)

        Returns
        -------
        loss : tensor of shape ()
        output : tensor of shape (n, n_outputs)
        """
        with self.without_graph():
            return self._forward_and_backward(values, y, weight)

    def _forward_and_backward(self, values, y, weight):
        x = inputs = self._drop(values) if self.dropout else values
        *hidden, output = self.layers
        for layer in hidden:
            x = layer.forward(x)
        x = output.forward(self.read(x, inputs))
        n_members = output.n_members
        if n_members > 1:  # each learns for itself, as if the others' were other rows
            y, weight = torch.cat([y] * n_members), torch.cat([weight] * n_members)
        loss, grad = self.loss(x, y, weight)
        if n_members > 1:
            x = x.unflatten(-2, (n_members, -1)).mean(dim=-3)
        for layer in reversed(self.layers):
            grad = layer.backward(grad, to_input=layer is not self.layers[0])
        return loss, x

    def _drop(self, x: Tensor) -> Tensor:
        draws = self.bits.random_raw(-(-x.numel() // 4)).view(np.int16)[: x.numel()]
        draws = torch.from_numpy(draws).to(x.device).to(x.dtype).view_as(x)  # as short on the way
        last_dropped = round(self.dropout * 2**16) - 2**15 - 1
        # Keeps x where the draw is larger: one pass instead of a comparison and a product.
        kept = torch.ops.aten.threshold_backward(x, draws, last_dropped)
        return kept.mul_(1 / (1 - self.dropout))


def _give(parameter, gradient):
    # A callback may have frozen it.
    if parameter.requires_grad:
        parameter.grad = gradient


class _Dense:
    """Weights of neurons that read all inputs: what a layer computes with, as it comes."""

    def of_rows(self, values: Tensor) -> Tensor:
        """Inputs or gradients of neurons, of shape (..., n, width), as the product takes them."""
        return values

    def beside(self, values: Tensor) -> Tensor:
        """What comes out of a product, of shape (..., n, width)."""
        return values

    def own(self, matrix: Tensor) -> Tensor:
        """Of a matrix (..., n_out, n_in) what belongs to connections."""
        return matrix

    def whole(self, matrix: Tensor) -> Tensor:
        """The matrix whose `own` part that is, zero elsewhere."""
        return matrix


class _Blocks(_Dense):
    """Weights in blocks along the diagonal: these alone are computed with."""

    def __init__(self, n_blocks: int):
        self.n_blocks = n_blocks

    def of_rows(self, values):
        """Shape (..., n_blocks, n, width / n_blocks)."""
        return values.unflatten(-1, (self.n_blocks, -1)).transpose(-3, -2)

    def beside(self, values):
        """Values (..., n_blocks, n, width / n_blocks) beside each other again."""
        return side_by_side(values)

    def own(self, matrix):
        """The blocks, a view of shape (..., n_blocks, n_out / n_blocks, n_in / n_blocks)."""
        *around, n_out, n_in = matrix.shape
        *steps, to_row, to_column = matrix.stride()
        n_own, n_read = n_out // self.n_blocks, n_in // self.n_blocks
        return matrix.as_strided(
            (*around, self.n_blocks, n_own, n_read),
            (*steps, n_own * to_row + n_read * to_column, to_row, to_column),
        )

    def whole(self, matrix):
        """Shape (..., n_out, n_in); a tensor of its own, as a callback may keep or change it."""
        *around, n_blocks, n_own, n_read = matrix.shape
        whole = matrix.new_zeros((*around, n_blocks * n_own, n_blocks * n_read))
        self.own(whole).copy_(matrix)
        return whole


def _layout(n_blocks: int) -> _Dense:
    return _Blocks(n_blocks) if n_blocks > 1 else _Dense()


def side_by_side(values: Tensor) -> Tensor:
    """(..., n_parts, n, width) values to (..., n, n_parts * width)."""
    return values.transpose(-3, -2).flatten(-2)


class _Linear:
    """The product with a layer's weights, quantized if the layer is."""

    product = staticmethod(torch.matmul)

    def __init__(self, linear, layout: _Dense):
        self.linear, self.weight, self.layout = linear, linear.weight, layout

    def forward(self, x):
        # Looked up anew: Brevitas replaces its quantizers when a state is loaded.
        self.quantizer, own = quantizer(self.linear), self.layout.own
        self.x = self.layout.of_rows(x)
        if self.quantizer is None:
            self.value = own(self.weight)
        else:
            self.value = self.quantizer.value(self.weight, own)
        return self.layout.beside(self.product(self.x, self.value.mT))

    def backward(self, grad, to_input):
        grad = self.layout.of_rows(grad)
        gradient = self.product(grad.mT, self.x)
        if self.quantizer is not None:
            gradient = self.quantizer.gradient(gradient, self.layout.own)
        _give(self.weight, self.layout.whole(gradient))
        return self.layout.beside(self.product(grad, self.value)) if to_input else None


class _Hidden:
    def __init__(self, layer):
        self.linear, self.rounded = _Linear(layer.linear, _layout(layer.n_blocks)), layer.rounded
        norm = layer.norm
        self.momentum, self.eps = norm.momentum, norm.eps
        self.gain, self.offset = norm.weight, norm.bias
        self.mean, self.var = norm.running_mean, norm.running_var
        self.activation, self.gradient = layer.activation, layer.function.gradient
        self.quantizer = layer.quantizer

    def through_norm(self, *values):
        return torch.ops.aten.native_batch_norm_backward(*values, True, self.eps, [True] * 3)

    def forward(self, x):
        self.sum = self.linear.forward(x)
        self.sum = self.rounded(self.sum, self.linear.value)
        self.normed, *self.moments = torch.native_batch_norm(
            self.sum, self.gain, self.offset, self.mean, self.var, True, self.momentum, self.eps
        )  # fmt: skip
        self.active = self.activation(self.normed)
        if self.quantizer is None:
            return self.active
        self.position = self.quantizer.position(self.active)
        return self.quantizer.value(self.position)

    def backward(self, grad, to_input):
        grad = grad[:, : self.sum.shape[1]]  # without that of input codes beside
        if self.quantizer is not None:
            grad = self.quantizer.gradient(grad, self.position)
        grad = self.gradient(grad, self.normed, self.active)
        grad, of_weight, of_bias = self.through_norm(
            grad, self.sum, self.gain, self.mean, self.var, *self.moments
        )
        _give(self.gain, of_weight)
        _give(self.offset, of_bias)
        return self.linear.backward(grad, to_input)


class _Output:
    def __init__(self, layer):
        self.linear = _Linear(layer.linear, _layout(layer.n_blocks))
        self.gain, self.bias = layer.gain, layer.bias
        self.n_sums, self.n_members = layer.n_sums, layer.n_members
        self.added_up = layer.added_up if self.n_members == 1 else layer.added_up_by_member

    def forward(self, x):
        self.sum = self.added_up(self.linear.forward(x))
        return torch.addcmul(self.bias, self.sum, self.gain, value=self.n_members)

    def backward(self, grad, to_input):
        keepdim = self.gain.dim() > 1  # of several networks
        _give(self.bias, grad.sum(dim=-2, keepdim=keepdim))
        if self.n_members > 1:
            grad = grad * self.n_members
        _give(self.gain, (grad * self.sum).sum(dim=-2, keepdim=keepdim))
        return self.linear.backward(self._of_sums(grad * self.gain), to_input)

    def _of_sums(self, grad):
        if self.n_sums == 1:
            return grad
        if self.n_members == 1:
            return torch.cat([grad] * self.n_sums, dim=-1)
        # Member by member to row by row.
        grad = grad.unflatten(-2, (self.n_members, -1)).movedim(-3, -2)
        n_each = self.n_sums // self.n_members
        return grad.unsqueeze(-2).expand(*grad.shape[:-1], n_each, -1).flatten(-3)

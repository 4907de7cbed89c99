"""Quantizers of weights and activations, injected into stock Brevitas layers.

Each quantizer is one autograd function: the numbers of Brevitas's own integer
quantizer (round half to even, clamp, straight-through gradient), without the dozens of
small operations that make it slow on small layers.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from brevitas.inject import ExtendedInjector
from brevitas.proxy import ActQuantProxyFromInjector, WeightQuantProxyFromInjector
from torch import Tensor, nn

from ..accumulators import code_range, optimal_step, weight_max

__all__ = [
    "ActivationQuant",
    "MaskedWeightQuant",
    "activation_quantizer",
    "weight_quantizer",
    "whole_matrix",
]


def whole_matrix(matrix: Tensor) -> Tensor:
    """All of a matrix, where a part of it may be asked for."""
    return matrix


class _FakeQuantWeight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight, quantizer):
        ctx.quantizer = quantizer
        return quantizer.value(weight)

    @staticmethod
    def backward(ctx, grad):
        return ctx.quantizer.gradient(grad), None


class MaskedWeightQuant(nn.Module):
    """Symmetric narrow-range weight quantizer with a pruning mask.

    Parameters
    ----------
    bit_width : int
        2 to 8 bits.
    n_shared : int
        Parts of equal size that the rows fall into; rows at the same place of each share a scale.
    tracked_parameter_list : list of Tensor
        The layer's weight, handed over by Brevitas.

    Attributes
    ----------
    scale : float tensor of shape (n_out, 1)
        Value of one code step in each row; changes only in `refresh_scale`.
    mask : float tensor of shape (n_out, n_in)
        1 where a weight is kept, 0 where it is pruned.
    dense_gradient : bool
        Whether pruned weights get a gradient too, and so may come back.
    """

    def __init__(self, bit_width: int, n_shared: int, tracked_parameter_list: list):
        super().__init__()
        weight = tracked_parameter_list[0]
        self.largest = weight_max(bit_width)
        self.step = optimal_step(bit_width)
        self.dense_gradient = False
        self.n_shared = n_shared
        # On the weight's device: a state may be loaded wherever the layer is by then.
        self.register_buffer("scale", weight.new_ones(len(weight), 1))
        self.register_buffer("mask", torch.ones_like(weight, requires_grad=False))
        self.register_buffer("zero_point", weight.new_tensor(0.0), persistent=False)
        self.register_buffer("bit_width", weight.new_tensor(float(bit_width)), persistent=False)

    def forward(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Fake-quantize: value, scale, zero point and bit width, as Brevitas wants them."""
        value = _FakeQuantWeight.apply(weight, self)
        return value, self.scale, self.zero_point, self.bit_width

    def value(self, weight: Tensor, own: Callable = whole_matrix) -> Tensor:
        """Quantized and masked weights, or those of a part of the matrix.

        Parameters
        ----------
        weight : tensor of shape (n_out, n_in)
        own : callable
            From a matrix to that part.
        """
        scale = own(self.scale.expand_as(weight))
        rounded = own(weight).div(scale).round_().clamp_(-self.largest, self.largest)
        return rounded.mul_(scale).mul_(own(self.mask))

    def gradient(self, grad: Tensor, own: Callable = whole_matrix) -> Tensor:
        """Gradient of the weights from that of `value`: straight through the rounding."""
        return grad if self.dense_gradient else grad * own(self.mask)

    @torch.no_grad()
    def codes(self, weight: Tensor) -> Tensor:
        """Integer codes before the mask, as a float tensor of shape (n_out, n_in)."""
        return weight.div(self.scale).round_().clamp_(-self.largest, self.largest)

    def set_mask(self, mask) -> None:
        """Keep the weights where the boolean array `mask` is True."""
        self.mask.copy_(torch.as_tensor(mask))

    @torch.no_grad()
    def set_code(self, weight: Tensor, row: int, column: int, code: int) -> None:
        """Give one weight the value that rounds to `code`."""
        weight[row, column] = code * self.scale[row, 0]

    @torch.no_grad()
    def refresh_scale(self, weight: Tensor) -> None:
        """Fit every row's scale, or that of rows that share one, to the kept weights."""
        kept = self._shared(self.mask.sum(dim=1, keepdim=True)).clamp_(min=1)
        square = self._shared((weight * self.mask).square().sum(dim=1, keepdim=True))
        rms = (square / kept).sqrt()
        self.scale.copy_(torch.where(rms > 0, rms * self.step, self.scale))

    def _shared(self, column: Tensor) -> Tensor:
        """Sum of the rows that share a scale, in the place of each."""
        if self.n_shared == 1:
            return column
        of_each = column.view(self.n_shared, -1).sum(dim=0)
        return torch.cat([of_each] * self.n_shared)[:, None]


class _FakeQuantActivation(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, quantizer):
        position = quantizer.position(x)
        ctx.save_for_backward(position)
        ctx.quantizer = quantizer
        return quantizer.value(position)

    @staticmethod
    def backward(ctx, grad):
        return ctx.quantizer.gradient(grad, *ctx.saved_tensors), None


class ActivationQuant(nn.Module):
    """Uniform quantizer over a fixed window; codes are centred on zero.

    The window needs no scale of its own: the normalisation before it has a learned
    gain and offset, and the one after it removes whatever scale comes out.

    Parameters
    ----------
    bit_width : int
        1 to 8 bits.
    low, high : float
        The window: values outside are clipped.
    """

    def __init__(self, bit_width: int, low: float, high: float):
        super().__init__()
        self.n_bits, self.n_steps = bit_width, 2**bit_width - 1
        self.low, self.scale = low, (high - low) / self.n_steps
        # Brevitas: value = (code - zero_point) * scale.
        self.zero_point = code_range(bit_width)[0] - low / self.scale
        constants = torch.tensor([self.scale, self.zero_point, float(bit_width)])
        self.register_buffer("constants", constants, persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Fake-quantize: value, scale, zero point and bit width, as Brevitas wants them."""
        return _FakeQuantActivation.apply(x, self), *self.constants

    def position(self, x: Tensor) -> Tensor:
        """How many steps `x` lies above the low end of the window."""
        return (x.sub(self.low) if self.low else x).div(self.scale)

    def value(self, position: Tensor) -> Tensor:
        """Quantized value at a position."""
        value = position.round().clamp_(0, self.n_steps).mul_(self.scale)
        return value.add_(self.low) if self.low else value

    def gradient(self, grad: Tensor, position: Tensor) -> Tensor:
        """Gradient of the input from that of `value`: `grad` where no rounded code is clipped."""
        # The operator leaves its ends out: -0.5 rounds to 0, the upper half to one too many.
        low, high = -0.5 - 2**-20, self.n_steps + 0.5
        return torch.ops.aten.hardtanh_backward(grad, position, low, high)

    def codes(self, x: Tensor) -> Tensor:
        """Output codes counted from 0, in the precision of `x`."""
        return ((x - self.low) / self.scale).round().clamp(0, self.n_steps)


def weight_quantizer(n_bits: int, n_parts: int = 1) -> type[ExtendedInjector]:
    """Brevitas weight quantizer of `n_bits`, to pass as ``weight_quant``.

    Brevitas makes a `MaskedWeightQuant` of it, and another whenever a state is loaded.
    """

    class WeightQuantizer(ExtendedInjector):
        proxy_class = WeightQuantProxyFromInjector
        tensor_quant = MaskedWeightQuant
        bit_width = n_bits
        n_shared = n_parts
        signed = True
        narrow_range = True

    return WeightQuantizer


def activation_quantizer(n_bits: int, window: tuple[float, float]) -> type[ExtendedInjector]:
    """Brevitas activation quantizer of `n_bits` over `window`, to pass as ``act_quant``."""

    class ActivationQuantizer(ExtendedInjector):
        proxy_class = ActQuantProxyFromInjector
        tensor_quant = ActivationQuant
        bit_width = n_bits
        low, high = window
        signed = True
        narrow_range = False

    return ActivationQuantizer

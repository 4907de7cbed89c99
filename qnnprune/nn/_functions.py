"""Functions of integers that layers of a module are, and the numbers in them."""

from __future__ import annotations

import numpy as np
import torch
from brevitas.quant_tensor import IntQuantTensor
from torch import Tensor

from ._values import Value

__all__ = ["affine", "bias_of", "over_positions", "weight_scale"]


def affine(scale: np.ndarray, bias: np.ndarray):
    """``x * scale + bias``, channel by channel."""
    scale, bias = torch.from_numpy(np.array(scale)), torch.from_numpy(np.array(bias))

    def apply(x: Tensor) -> Tensor:
        ends = [1] * (x.dim() - 2)
        factor, offset = (t.to(x.device).reshape(1, -1, *ends) for t in (scale, bias))
        return x * factor + offset

    return apply


def over_positions(function, shape: tuple[int, ...]):
    """The same function of values that have been flattened."""

    def apply(x: Tensor) -> Tensor:
        result = function(x.reshape(len(x), *shape))
        return (result if isinstance(result, Tensor) else result.value).flatten(1)

    return apply


def weight_scale(layer) -> np.ndarray:
    """Float64 of shape (1,) or (n_out,)."""
    return layer.quant_weight().scale.detach().double().cpu().numpy().reshape(-1)


def bias_of(layer, source: Value) -> np.ndarray:
    """The layer's bias as it adds it, which a quantizer may have rounded: float64 of shape (n_out,)."""
    if layer.bias is None:
        return np.zeros(len(layer.weight))
    bias = layer.bias
    if layer.bias_quant.is_quant_enabled:
        # Of a quantizer of biases the width of its input does not matter.
        scale, zero, width = map(bias.new_tensor, (source.codes[0][0], source.codes[1], 8.0))
        values = bias.new_zeros(1, *source.shape)
        codes = IntQuantTensor(values, scale, zero, width, signed=True, training=False)
        bias = layer.bias_quant(bias, codes, layer.quant_weight())
        bias = bias if isinstance(bias, Tensor) else bias.value
    return bias.detach().double().cpu().numpy()

"""Integer codes of Brevitas layers: of weights, and what activation quantizers can put out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from brevitas.core.quant import BinaryQuant, ClampedBinaryQuant, TernaryQuant
from brevitas.function.ops import max_int, min_int

from ..exceptions import UnsupportedModuleError

__all__ = [
    "ActivationCodes",
    "activation_codes",
    "bit_width",
    "bounds_sums",
    "scale_of",
    "weight_codes",
    "zero_of",
]


class ActivationCodes(NamedTuple):
    """Codes that an activation quantizer puts out: low, low + step, ..., high."""

    low: int
    high: int
    step: int


def bit_width(proxy) -> int:
    """Width of the codes of a Brevitas proxy, in bits."""
    with torch.no_grad():
        return round(float(proxy.bit_width()))


def activation_codes(name: str, proxy) -> ActivationCodes:
    """Codes of an activation quantizer, which depend on its width and kind alone.

    Raises
    ------
    UnsupportedModuleError
        If the width is not a fixed 1 to 16 bits.
    """
    kind = getattr(getattr(proxy, "fused_activation_quant_proxy", None), "tensor_quant", None)
    if isinstance(kind, (BinaryQuant, ClampedBinaryQuant)):
        return ActivationCodes(-1, 1, 2)
    if isinstance(kind, TernaryQuant):
        return ActivationCodes(-1, 1, 1)
    bits = bit_width(proxy)
    if not 1 <= bits <= 16:
        raise UnsupportedModuleError(f"'{name}' has codes of {bits} bits; 1 to 16 are possible.")
    signed, narrow, width = bool(proxy.is_signed), bool(proxy.is_narrow_range), torch.tensor(bits)
    return ActivationCodes(
        int(min_int(signed, narrow, width)), int(max_int(signed, narrow, width)), 1
    )


@torch.no_grad()
def weight_codes(name: str, layer) -> np.ndarray:
    """Integer weights, counted from the code whose value is 0: int64, of the weight's shape.

    Raises
    ------
    UnsupportedModuleError
        If a scale is neither that of the layer nor of an output channel, or weights depend on a
        width of inputs that the layer has not seen.
    """
    if bounds_sums(layer) and layer.weight_quant._cached_act is None:
        raise UnsupportedModuleError(
            f"The weights of '{name}' depend on the width of its input, as those of A2Q do: set its "
            "weight_quant.cache_inference_quant_act to True, and run the module once in eval mode."
        )
    quantized = layer.quant_weight()
    if not _is_output_scale(quantized.scale, layer):
        raise UnsupportedModuleError(
            f"'{name}' has weight scales of shape {tuple(quantized.scale.shape)}: a sum of integers "
            "needs one for the layer, or one for each output channel."
        )
    codes = torch.round(quantized.value / quantized.scale)
    return codes.detach().cpu().numpy().astype(np.int64)


def bounds_sums(layer) -> bool:
    """Whether the layer's quantizer bounds its sums itself, as that of A2Q does."""
    return bool(layer.weight_quant.requires_quant_input)


def _is_output_scale(scale, layer) -> bool:
    return scale.numel() == 1 or scale.shape[0] == scale.numel() == len(layer.weight)


@torch.no_grad()
def scale_of(proxy) -> np.ndarray:
    """Value of one code step: float64 of shape (1,) or (n_channels,)."""
    return proxy.scale().detach().cpu().double().numpy().reshape(-1)


@torch.no_grad()
def zero_of(name: str, proxy) -> int:
    """The code whose value is 0.

    Raises
    ------
    UnsupportedModuleError
        If it differs from channel to channel, or is no integer.
    """
    zero = np.unique(proxy.zero_point().detach().cpu().double().numpy())
    if len(zero) != 1 or zero[0] != np.round(zero[0]):
        raise UnsupportedModuleError(
            f"'{name}' has zero points {zero}; an integer network needs one integer."
        )
    return int(zero[0])

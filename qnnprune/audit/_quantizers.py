"""Quantizers on ranges: QuantizeLinear, DequantizeLinear, Quant, BipolarQuant, MultiThreshold."""

from __future__ import annotations

import math

import numpy as np

from ._graph import Node
from ._operators import unranged
from ._values import Grid, Value, integer_limits, point, uniform

__all__ = ["QONNX", "QUANTIZERS", "dequantized", "quantized"]

_ROUNDINGS = {
    "ROUND": np.rint,
    "HALF_EVEN": np.rint,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)),
    "DOWN": np.trunc,
    "ROUND_TO_ZERO": np.trunc,
    "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + 0.5),
    "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - 0.5),
}


def _along(parameter: np.ndarray, n_axes: int, axis: int) -> np.ndarray:
    """One number per slice along an axis, in a shape that broadcasts."""
    if parameter.size == 1:
        return parameter.reshape(())
    shape = [1] * n_axes
    shape[axis] = parameter.size
    return parameter.reshape(shape)


def quantized(value: Value, scale, zero_point, dtype) -> Value:
    """Codes of an integer type: ``clip(round(value / scale) + zero_point)``.

    Parameters
    ----------
    value : Value
    scale, zero_point : arrays
        In a shape that broadcasts.
    dtype : numpy dtype
    """
    first, last = integer_limits(dtype)  # type: ignore[misc]

    def code(array):
        with np.errstate(all="ignore"):
            steps = np.rint(array / scale) + zero_point.astype(np.float64)
        return np.clip(np.nan_to_num(steps, posinf=last, neginf=first), first, last).astype(dtype)

    low = code(value.low)
    return Value(low, low if value.known else code(value.high))


def dequantized(value: Value, scale, zero_point) -> Value:
    """Numbers behind codes: ``scale * (code - zero_point)``, and the codes themselves."""

    def number(codes):
        return (codes * scale.astype(np.float64)).astype(scale.dtype)

    low = value.low.astype(np.float64) - zero_point
    high = low if value.known else value.high.astype(np.float64) - zero_point
    full = np.broadcast_to(scale.astype(np.float64), low.shape)
    grid = Grid(low, high, uniform(full), _single(zero_point))
    first = number(low)
    return Value(first, first if value.known else number(high), grid)


def _single(zero_point) -> int:
    zeros = np.asarray(zero_point)
    return int(zeros.reshape(())) if zeros.size == 1 else 0


def _quantize_linear(node: Node, args, walk) -> list[Value]:
    value, scale, zero = (*args, None)[:3]
    dtype = _code_type(node, zero)
    blocked = node.attributes.get("block_size", 0)
    if integer_limits(dtype) is None or blocked or not scale.known or (zero and not zero.known):
        return unranged(node, args, walk)
    axis, n_axes = node.attributes.get("axis", 1), value.low.ndim
    zero_point = np.zeros(1) if zero is None else zero.low
    scale, zero_point = (_along(p, n_axes, axis) for p in (scale.low, zero_point))
    return [quantized(value, scale, zero_point, dtype)]


def _code_type(node: Node, zero) -> np.dtype:
    from onnx import helper

    if zero is not None:
        return zero.low.dtype
    named = node.attributes.get("output_dtype", 0)
    return np.dtype(helper.tensor_dtype_to_np_dtype(named)) if named else np.dtype(np.uint8)


def _dequantize_linear(node: Node, args, walk) -> list[Value]:
    value, scale, zero = (*args, None)[:3]
    blocked = node.attributes.get("block_size", 0)
    integers = integer_limits(value.low.dtype) is not None
    if not integers or blocked or not scale.known or (zero and not zero.known):
        return unranged(node, args, walk)
    axis, n_axes = node.attributes.get("axis", 1), value.low.ndim
    zero_point = np.zeros(1) if zero is None else zero.low.astype(np.float64)
    return [dequantized(value, _along(scale.low, n_axes, axis), _along(zero_point, n_axes, axis))]


def _dynamic_quantize_linear(node: Node, args, walk) -> list[Value]:
    value = args[0]
    if value.known:
        return [point(output) for output in node.evaluate([value.low])]
    low, high = value.low.min(initial=0), value.high.max(initial=0)
    # The range of the codes always includes 0, so its sign decides about the zero point.
    zero_low, zero_high = 255 if high <= 0 else 0, 0 if low >= 0 else 255
    codes = np.zeros(value.low.shape, np.uint8), np.full(value.low.shape, 255, np.uint8)
    scale = Value(np.zeros((), np.float32), np.full((), np.inf, np.float32))
    zero = Value(np.asarray(zero_low, np.uint8), np.asarray(zero_high, np.uint8))
    zero = point(zero.low) if zero_low == zero_high else zero
    return [Value(*codes), scale, zero]


def _quant(node: Node, args, walk) -> list[Value]:
    value, *parameters = args
    if not all(p.known for p in parameters):
        return unranged(node, args, walk)
    scale, zero, bits = (p.low.astype(np.float64) for p in parameters)
    rounding = _ROUNDINGS.get(str(node.attributes.get("rounding_mode", "ROUND")).upper())
    if rounding is None or (scale <= 0).any() or bits.size != 1:
        return unranged(node, args, walk)
    signed = bool(node.attributes.get("signed", 1))
    narrow = bool(node.attributes.get("narrow", 0))
    first, last = quant_limits(float(bits.reshape(())), signed, narrow)
    dtype = value.low.dtype

    def code(array):
        steps = (array / scale.astype(dtype) + zero.astype(dtype)).astype(np.float64)
        if signed and bits == 1:
            return np.where(steps >= 0, 1.0, -1.0)
        return rounding(np.clip(steps, first, last))

    return [_on_scale(value, code, scale, zero)]


def quant_limits(bits: float, signed: bool, narrow: bool) -> tuple[float, float]:
    """Smallest and largest code of a QONNX ``Quant``."""
    if signed:
        return -(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1
    return 0.0, 2**bits - 1 - narrow


def _on_scale(value: Value, code, scale, zero) -> Value:
    dtype = value.low.dtype
    low = code(value.low) - zero
    high = low if value.known else code(value.high) - zero
    shape = low.shape
    full = uniform(np.broadcast_to(scale, shape))
    numbers = [(codes.astype(dtype) * scale.astype(dtype)).astype(dtype) for codes in (low, high)]
    whole = (zero == np.rint(zero)).all()
    grid = Grid(low, high, full, _single(zero)) if whole else None
    return Value(numbers[0], numbers[0] if value.known else numbers[1], grid)


def _trunc(node: Node, args, walk) -> list[Value]:
    """Drop low bits: of two forms, the second says the new scale itself."""
    value, *parameters = args
    if not all(p.known and p.low.size == 1 for p in parameters) or not _finite(value):
        return unranged(node, args, walk)
    scale, zero, in_bits, *rest = (float(p.low.reshape(())) for p in parameters)
    rounding = _ROUNDINGS[str(node.attributes.get("rounding_mode", "FLOOR")).upper()]
    first, last, step = -np.inf, np.inf, 2.0 ** (in_bits - rest[-1])
    if len(rest) == 2:
        signed = bool(node.attributes.get("signed", 1))
        first, last = quant_limits(rest[1], signed, bool(node.attributes.get("narrow", 0)))
        step = 2.0 ** np.rint(np.log2(rest[0] / scale))

    def code(array):
        return rounding(np.clip(np.rint(array / scale + zero) / step, first, last))

    new_zero = zero / step if len(rest) == 2 else zero
    return [
        _on_scale(
            value, code, np.asarray(rest[0] if len(rest) == 2 else scale), np.asarray(new_zero)
        )
    ]


def _finite(value: Value) -> bool:
    return bool(np.isfinite(value.low).all() and np.isfinite(value.high).all())


def _bipolar_quant(node: Node, args, walk) -> list[Value]:
    value, scale = args
    if not scale.known or (scale.low <= 0).any():
        return unranged(node, args, walk)

    def code(array):
        return np.where(array >= 0, 1.0, -1.0)

    return [_on_scale(value, code, scale.low.astype(np.float64), np.zeros(()))]


def _multi_threshold(node: Node, args, walk) -> list[Value]:
    value, thresholds = args
    if not thresholds.known:
        return unranged(node, args, walk)
    scale = float(node.attributes.get("out_scale", 1.0))
    bias = float(node.attributes.get("out_bias", 0.0))
    axis = _channel_axis(node, value.low.ndim)

    def count(array):
        channels_last = np.moveaxis(array, axis, -1)
        total = np.zeros(channels_last.shape)
        for column in thresholds.low.T:
            total += channels_last >= column
        return np.moveaxis(total, -1, axis)

    low = count(value.low)
    high = low if value.known else count(value.high)
    if scale < 0:
        low, high = high, low
    dtype = value.low.dtype
    numbers = [(scale * end + bias).astype(dtype) for end in (low, high)]
    step = _common_step(scale, bias)
    grid = None
    if step:
        codes = [np.rint((scale * end + bias) / step) for end in (low, high)]
        grid = Grid(codes[0], codes[0] if value.known else codes[1], np.asarray(step))
    return [Value(numbers[0], numbers[0] if value.known else numbers[1], grid)]


def _channel_axis(node: Node, n_axes: int) -> int:
    layout = node.attributes.get("data_layout") or {2: "NC", 3: "NWC", 4: "NCHW"}.get(n_axes, "")
    return layout.index("C") if "C" in layout else 1


def _common_step(scale: float, bias: float) -> float | None:
    """A number of which both are multiples; None where there is no plain one."""
    scale = abs(scale)
    if scale and bias / scale == round(bias / scale):
        return scale
    if scale == round(scale) and bias == round(bias):
        return float(math.gcd(int(scale), int(bias)))
    return None


QUANTIZERS = {
    "QuantizeLinear": _quantize_linear,
    "DequantizeLinear": _dequantize_linear,
    "DynamicQuantizeLinear": _dynamic_quantize_linear,
}
QONNX = {
    "Quant": _quant,
    "IntQuant": _quant,
    "BipolarQuant": _bipolar_quant,
    "FloatQuant": unranged,
    "MultiThreshold": _multi_threshold,
    "Trunc": _trunc,
}

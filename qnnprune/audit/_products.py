"""Operators that sum products: MatMul, Gemm and Conv, in floats with codes or in integers."""

from __future__ import annotations

import numpy as np

from ._graph import Node
from ._operators import unranged
from ._quantizers import quantized
from ._shapes import Shapes, Unreadable, conv_shapes, matmul_shapes
from ._sums import Operands, Sums
from ._values import Grid, Value, integer_limits, top, uniform

__all__ = ["PRODUCTS", "RUNTIME_PRODUCTS"]

# A float sum of products and its exact value differ by less than this, relatively.
_ROUNDING = 2.0**-20


# ---------------------------------------------------------------- the sums


def _cases(value: Value, zero: Value | None) -> tuple[Operands, ...]:
    """Codes with the zero point subtracted; both ends of one that varies."""
    if integer_limits(value.low.dtype) is None:
        raise Unreadable("its input holds no integers")
    zeros = {0} if zero is None else {int(end) for end in (_single(zero.low), _single(zero.high))}
    low = value.low.astype(np.float64)
    high = low if value.known else value.high.astype(np.float64)
    cases = []
    for zero_point in sorted(zeros):
        first = low - zero_point
        last = first if value.known else high - zero_point
        cases.append(Operands(first, last, zero_point))
    return tuple(cases)


def _single(array):
    if array.size > 1 and not (array == array.flat[0]).all():
        raise Unreadable("its input has a zero point per row")
    return array.flat[0] if array.size else 0


def _add(walk, node: Node, cases, shapes: Shapes, weight, bias=0.0, weight_zero=0) -> Sums:
    """Record the sums of a node.  `weight` is as the node has it, zero point subtracted."""
    arranged = np.ascontiguousarray(shapes.weight(weight), dtype=np.float64)
    groups, _, n_out = arranged.shape
    bias = np.broadcast_to(np.asarray(bias, dtype=np.float64).reshape(-1), (groups * n_out,))
    zeros = weight_zero
    if np.ndim(weight_zero):
        zeros = shapes.weight(np.broadcast_to(weight_zero, weight.shape))
    sums = Sums(
        node.name, node.op, cases, arranged, bias.reshape(groups, n_out), shapes.arrange,
        shapes.orders, zeros,
    )  # fmt: skip
    if not sums.exact:
        raise Unreadable("its sums can be larger than 2**53, where float64 ends to be exact")
    walk.sums.append(sums)
    return sums


def _totals(sums: Sums, shapes: Shapes):
    low, high = sums.totals
    first = shapes.restore(low)
    return first, first if low is high else shapes.restore(high)


def _constant(value: Value | None, what: str) -> np.ndarray:
    if value is None or not value.known:
        raise Unreadable(f"its {what} is not constant")
    return value.low


# -------------------------------------------------- integers in, integers out


def _integer_weight(weight: Value, zero: Value | None, axis: int):
    codes = _constant(weight, "weight").astype(np.float64)
    if zero is None:
        return codes, 0
    zeros = _constant(zero, "weight's zero point").astype(np.float64)
    if zeros.size == 1:
        return codes - zeros.reshape(()), int(zeros.reshape(()))
    shape = [1] * codes.ndim
    shape[axis] = zeros.size
    zeros = zeros.reshape(shape) if zeros.ndim <= 1 else zeros
    return codes - zeros, zeros


def _integer_sums(walk, node, x, x_zero, w, w_zero, bias=None):
    """Sums of MatMulInteger, ConvInteger and their QLinear relatives, and their totals."""
    convolution = "Conv" in node.op
    weight, zeros = _integer_weight(w, w_zero, 0 if convolution else -1)
    if convolution:
        shapes = conv_shapes(node.attributes, x.low.shape, weight.shape)
    else:
        shapes = matmul_shapes(x.low.shape, weight.shape)
    start = 0.0 if bias is None else _constant(bias, "bias").astype(np.float64)
    sums = _add(walk, node, _cases(x, x_zero), shapes, weight, start, zeros)
    return _totals(sums, shapes)


def _int32(totals) -> list[Value]:
    low, high = totals
    first, last = np.iinfo(np.int32).min, np.iinfo(np.int32).max
    if low.min(initial=0) < first or high.max(initial=0) > last:
        if low is high:  # as the register does
            wrapped = low.astype(np.int64).astype(np.int32)
            return [Value(wrapped, wrapped)]
        return [top(low.shape, np.int32)]
    integers = low.astype(np.int32)
    return [Value(integers, integers if low is high else high.astype(np.int32))]


def _is_left(node: Node, walk) -> bool:
    """Whether the weights are the left operand of a product of two matrices."""
    constants = walk.graph.constants
    return "MatMul" in node.op and node.inputs[0] in constants and node.inputs[1] not in constants


def _matmul_integer(node: Node, args, walk) -> list[Value]:
    x, w, x_zero, w_zero = (*args, None, None)[:4]
    if _is_left(node, walk) and x.low.ndim == w.low.ndim == 2:
        totals = _integer_sums(walk, node, _transposed(w), w_zero, _transposed(x), x_zero)
        return [_transposed(value) for value in _int32(totals)]
    return _int32(_integer_sums(walk, node, x, x_zero, w, w_zero))


def _requantized(totals, multiplier, zero: Value, axis: int) -> list[Value]:
    """Codes of ``totals * multiplier``; ranges allow for a rounding either way at a tie."""
    low, high = totals
    if multiplier.size > 1:
        shape = [1] * low.ndim
        shape[axis] = multiplier.size
        multiplier = multiplier.reshape(shape)
    slack = 0.0 if low is high or _power_of_two(multiplier) else _ROUNDING
    first = low * multiplier - slack * abs(low * multiplier)
    last = first if low is high else high * multiplier + slack * abs(high * multiplier)
    zero_point, dtype = np.asarray(_single(zero.low)), zero.low.dtype
    return [quantized(Value(first, last), np.asarray(1.0), zero_point, dtype)]


def _power_of_two(scale) -> bool:
    return bool((np.frexp(scale)[0] == 0.5).all())


def _qlinear(node: Node, args, walk) -> list[Value]:
    """QLinearConv, QLinearMatMul, and QGemm of ONNX Runtime."""
    order = {"QGemm": (0, 1, 2, 3, 4, 5, 7, 8, 6)}.get(node.op, range(9))
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias = (
        args[i] if i < len(args) else None for i in order
    )
    x, w = _oriented(node, x, w)
    alpha = node.attributes.get("alpha", 1.0)
    totals = _integer_sums(walk, node, x, x_zero, w, w_zero, bias)
    scales = [_constant(s, "scale").astype(np.float64).ravel() for s in (x_scale, w_scale)]
    multiplier, axis = alpha * scales[0] * scales[1], 1 if "Conv" in node.op else -1
    if y_scale is None:
        return [_floats(totals, multiplier, np.dtype(np.float32))]
    multiplier = multiplier / _constant(y_scale, "output's scale").astype(np.float64).ravel()
    return _requantized(totals, multiplier, y_zero or top((), np.uint8), axis)


def _oriented(node: Node, x: Value, w: Value):
    """Operands of a Gemm with its transpositions made."""
    flip = [node.attributes.get(name, 0) for name in ("transA", "transB")]
    return tuple(_transposed(v) if turn else v for v, turn in zip((x, w), flip, strict=True))


def _transposed(value: Value) -> Value:
    def turn(array):
        return np.swapaxes(array, -1, -2)

    low = turn(value.low)
    grid = None if value.grid is None else value.grid.map(turn)
    return Value(low, low if value.known else turn(value.high), grid)


# ----------------------------------------------- floats that stand for codes


def _float_sums(walk, node, x: Value, w: Value, bias: Value | None, shapes_of) -> Value:
    """Sums of a MatMul, Gemm or Conv of scaled codes."""
    codes, weights = x.codes(), w.codes() if w.known else None
    if codes is None or not np.isfinite(codes.low).all() or not np.isfinite(codes.high).all():
        raise Unreadable("its input is not quantized")
    if weights is None:
        raise Unreadable("its weight is not quantized" if w.known else "its weight is not constant")
    shapes = shapes_of(x.low.shape, w.low.shape)
    scale = _scale_of_sums(shapes, codes, weights, x.low.shape, w.low.shape)
    start, outside = _bias(bias, scale)
    case = Operands(codes.low, codes.low if x.known else codes.high, codes.zero_point)
    sums = _add(walk, node, (case,), shapes, weights.low, start, weights.zero_point)
    full = scale
    if scale.ndim:
        full = shapes.restore(np.broadcast_to(scale, sums.totals[0].shape))
    return _floats(_totals(sums, shapes), full, x.low.dtype, outside, "Conv" in node.op)


def _scale_of_sums(shapes: Shapes, codes: Grid, weights: Grid, x_shape, w_shape) -> np.ndarray:
    """Scale of each sum: of shape (batch, n_groups, n_positions, n_out), or without axes."""
    scales = codes.scale
    if scales.ndim:
        scales = shapes.arrange(np.broadcast_to(scales, x_shape).astype(np.float64), np.nan)
        low, high = np.nanmin(scales, axis=3), np.nanmax(scales, axis=3)
        if not np.allclose(low, high, rtol=1e-6, atol=0):
            raise Unreadable("the terms of one sum have different scales")
        scales = high[..., None]
    other = weights.scale
    if other.ndim:
        other = shapes.weight(np.broadcast_to(other, w_shape))
        if not np.allclose(other.min(axis=1), other.max(axis=1), rtol=1e-6, atol=0):
            raise Unreadable("the weights of one sum have different scales")
        other = other[None, :, :1]
    return uniform(scales * other)


def _bias(bias: Value | None, scale: np.ndarray):
    """Codes of a bias that the register starts from, and a bias that is added outside it."""
    if bias is None or not bias.known or not bias.low.any():
        return 0.0, None if bias is None or bias.known else bias
    codes, row = bias.codes(), scale
    if scale.ndim:  # one for each neuron, wherever it is
        row = scale[0, :, 0]
        row = row.ravel() if (scale == scale[:1, :, :1]).all() else None
    by_neuron = bias.low.size == max(bias.low.shape[-1:], default=1)
    if codes is None or row is None or not by_neuron:
        return 0.0, bias
    if not np.allclose(codes.scale.ravel(), row, rtol=1e-3, atol=0):
        return 0.0, bias
    return codes.low.ravel(), None


def _floats(totals, scale, dtype, outside=None, convolution=False) -> Value:
    """Scaled totals, and a bias that was added outside the register."""
    scale = np.asarray(scale, dtype=np.float64)
    low, high = totals
    slack = 0.0 if low is high or _power_of_two(scale) else _ROUNDING
    first = low * scale - slack * abs(low * scale)
    last = first if low is high else high * scale + slack * abs(high * scale)
    full = np.broadcast_to(scale, low.shape) if scale.size > 1 else scale.reshape(())
    grid = Grid(low, high, uniform(full))
    if outside is not None:
        grid, ends = None, (outside.low, outside.high)
        if convolution:
            ends = tuple(end.reshape(-1, *[1] * (low.ndim - 2)) for end in ends)
        first, same = first + ends[0], last is first and outside.known
        last = first if same else last + ends[1]
    narrow = first.astype(dtype)
    return Value(narrow, narrow if first is last else last.astype(dtype), grid)


def _matmul(node: Node, args, walk) -> list[Value]:
    x, w = args
    if min(x.low.ndim, w.low.ndim) < 2:
        raise Unreadable("one of its operands is a vector")
    if _is_left(node, walk):
        value = _float_sums(walk, node, _transposed(w), _transposed(x), None, matmul_shapes)
        return [_transposed(value)]
    return [_float_sums(walk, node, x, w, None, matmul_shapes)]


def _gemm(node: Node, args, walk) -> list[Value]:
    x, w, bias = (*args, None)[:3]
    x, w = _oriented(node, x, w)
    alpha, beta = node.attributes.get("alpha", 1.0), node.attributes.get("beta", 1.0)
    if (alpha, beta) != (1.0, 1.0):
        raise Unreadable(f"alpha={alpha:g} and beta={beta:g} are not 1")
    return [_float_sums(walk, node, x, w, bias, matmul_shapes)]


def _conv(node: Node, args, walk) -> list[Value]:
    x, w, bias = (*args, None)[:3]

    def shapes(x_shape, w_shape):
        return conv_shapes(node.attributes, x_shape, w_shape)

    return [_float_sums(walk, node, x, w, bias, shapes)]


def _reported(rule):
    """A rule that reports what it cannot read, by the name of the node."""

    def run(node: Node, args, walk) -> list[Value]:
        try:
            return rule(node, args, walk)
        except (Unreadable, ValueError, IndexError, TypeError) as reason:
            walk.unknown.append((node.name, node.op, str(reason)))
            return unranged(node, args, walk)

    return run


PRODUCTS = {
    op: _reported(rule)
    for op, rule in {
        "MatMul": _matmul,
        "Gemm": _gemm,
        "Conv": _conv,
        "MatMulInteger": _matmul_integer,
        "ConvInteger": _matmul_integer,
        "QLinearMatMul": _qlinear,
        "QLinearConv": _qlinear,
    }.items()
}
RUNTIME_PRODUCTS = {"QGemm": _reported(_qlinear)}

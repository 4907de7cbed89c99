"""Ordinary operators on ranges: elementwise functions, data movement, pooling.

What a rule here does not know in detail becomes the whole range of its type, which quantizers
cut again.  So a rule can be coarse, but never too narrow.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from ._graph import Node
from ._grids import grid_of
from ._values import OPAQUE, Grid, Value, integer_limits, point, top

__all__ = ["OPERATORS", "unranged"]

_MOVEMENTS = {
    "DepthToSpace", "Dropout", "Expand", "Flatten", "Identity", "Reshape", "Slice", "SpaceToDepth",
    "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
}  # fmt: skip
# None of them falls where its input rises.
_RISING = {
    "AveragePool", "Ceil", "CumSum", "Elu", "Erf", "Exp", "Floor", "GlobalAveragePool",
    "GlobalMaxPool", "HardSigmoid", "Log", "ReduceMax", "ReduceMean", "ReduceMin",
    "ReduceSum", "Round", "Selu", "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Tanh",
    "ThresholdedRelu",
}  # fmt: skip
# Each element depends on one element of each input, and moves one way with each.
_ELEMENTWISE = {
    "Add", "And", "BatchNormalization", "BitShift", "Celu", "Clip", "Div", "Greater",
    "GreaterOrEqual", "LeakyRelu", "Less", "LessOrEqual", "Max", "Min", "Mul", "Neg",
    "Not", "Or", "PRelu", "Sub", "Sum", "Where",
}  # fmt: skip
# They add up no products of codes; their results count as unlimited.
_HARMLESS = {
    "Abs", "Acos", "Acosh", "ArgMax", "ArgMin", "Asin", "Asinh", "Atan", "Atanh", "CastLike",
    "Compress", "ConstantOfShape", "Cos", "Cosh", "Equal", "EyeLike", "GatherElements",
    "GatherND", "Gelu", "GroupNormalization", "HardSwish", "Hardmax", "InstanceNormalization",
    "IsInf", "IsNaN", "LRN", "LayerNormalization", "LogSoftmax", "LpNormalization", "MaxUnpool",
    "MeanVarianceNormalization", "Mish", "Mod", "NonMaxSuppression", "NonZero", "OneHot", "Pow",
    "RandomNormal", "RandomUniform", "Range", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSum",
    "ReduceLogSumExp", "ReduceProd", "ReduceSumSquare", "Resize", "ReverseSequence", "RoiAlign",
    "ScatterElements", "ScatterND", "Shrink", "Sin", "Sinh", "Size", "Softmax", "Swish", "Tan",
    "TopK", "Trilu", "Unique", "Upsample", "Xor", "RMSNormalization", "MaxRoiPool",
    "LpPool", "GlobalLpPool", "Bernoulli", "Multinomial", "BitwiseAnd", "BitwiseNot",
    "BitwiseOr", "BitwiseXor", "Constant",
}  # fmt: skip
_ADDING = {"Add", "CumSum", "Mul", "Neg", "ReduceSum", "Sub", "Sum"}  # integers may wrap around
_MOST_VARYING = 4  # inputs whose ends are all combined


def _ends(lows, highs) -> list[Value]:
    """Ranges from computed ends, where undefined ones become unlimited."""
    values = []
    for low, high in zip(lows, highs, strict=True):
        if low.dtype.kind == "f" and low is not high:
            low = np.where(np.isnan(low), np.asarray(-np.inf, low.dtype), low)
            high = np.where(np.isnan(high), np.asarray(np.inf, high.dtype), high)
        values.append(Value(low, high))
    return values


def _arrays(args, end: str) -> list:
    return [None if arg is None else getattr(arg, end) for arg in args]


def rising(node: Node, args, walk) -> list[Value]:
    """An operator that does not fall in any of its inputs."""
    lows = _unwrapped(node, _arrays(args, "low"))
    if all(arg is None or arg.known for arg in args):
        highs = lows
    else:
        highs = _unwrapped(node, _arrays(args, "high"))
    return _fitting(_ends(lows, highs), args)


def _unwrapped(node: Node, arrays) -> list[np.ndarray]:
    """Results in int64 where narrower integers could wrap around."""
    if node.op in _ADDING:
        arrays = [a.astype(np.int64) if _is_narrow(a) else a for a in arrays]
    return node.evaluate(arrays)


def _is_narrow(array) -> bool:
    return array is not None and array.dtype.kind in "iu" and array.dtype.itemsize < 8


def _fitting(values: list[Value], args) -> list[Value]:
    """The same in the type of the first input, or its whole range where that wraps around."""
    wanted = args[0].low.dtype
    if not _is_narrow(args[0].low) or any(v.low.dtype != np.int64 for v in values):
        return values
    first, last = integer_limits(wanted)  # type: ignore[misc]
    fitting = []
    for value in values:
        if value.known or (value.low.min(initial=0) >= first and value.high.max(initial=0) <= last):
            low = value.low.astype(wanted)
            fitting.append(Value(low, low if value.known else value.high.astype(wanted)))
        else:
            fitting.append(top(value.low.shape, wanted))
    return fitting


def elementwise(node: Node, args, walk) -> list[Value]:
    """An operator whose extremes lie at the corners of its inputs' ranges."""
    varying = [i for i, arg in enumerate(args) if arg is not None and not arg.known]
    if len(varying) > _MOST_VARYING or _bends(node, args):
        return unranged(node, args, walk)
    lows: np.ndarray = np.zeros(0)
    highs, first = lows, True
    for ends in product(("low", "high"), repeat=len(varying)):
        arrays = _arrays(args, "low")
        for i, end in zip(varying, ends, strict=True):
            arrays[i] = getattr(args[i], end)
        found = _unwrapped(node, arrays)[0]
        if node.op == "Mul" and found.dtype.kind == "f":
            found = np.where(np.isnan(found), np.asarray(0, found.dtype), found)
        lows = found if first else _least(lows, found)
        highs, first = found if first else _largest(highs, found), False
    highs = highs if varying else lows
    (value,) = _fitting(_ends([lows], [highs]), args)
    if node.op == "Div" and not args[1].known:
        crossing = np.broadcast_to((args[1].low <= 0) & (args[1].high >= 0), lows.shape)
        whole = top(lows.shape, lows.dtype)
        value = Value(
            np.where(crossing, whole.low, value.low), np.where(crossing, whole.high, value.high)
        )
    return [Value(value.low, value.high, grid_of(node, args))]


def _bends(node: Node, args) -> bool:
    """Whether a rectifier falls on one side of 0 and rises on the other."""
    if node.op == "PRelu":
        return bool((args[1].low < 0).any())
    return node.op == "LeakyRelu" and node.attributes.get("alpha", 0.01) < 0


def _least(a, b):
    return a & b if a.dtype.kind == "b" else np.fmin(a, b)


def _largest(a, b):
    return a | b if a.dtype.kind == "b" else np.fmax(a, b)


def _moved(node: Node, args, walk) -> list[Value]:
    """An operator that only puts elements elsewhere."""
    data, *rest = args
    if not all(arg is None or arg.known for arg in rest):
        return unranged(node, args, walk)
    others = _arrays(rest, "low")

    def move(array):
        return node.evaluate([array, *others])

    lows = move(data.low)
    highs = lows if data.known else move(data.high)
    grids: list = [None] * len(lows)
    if data.grid is not None:
        grids = [data.grid.map(lambda array, k=k: move(array)[k]) for k in range(len(lows))]
    return [Value(*parts) for parts in zip(lows, highs, grids, strict=True)]


def _gather(node: Node, args, walk) -> list[Value]:
    data, indices = args
    if indices.known:
        return _moved(node, args, walk)
    shape = node.evaluate([data.low, np.zeros_like(indices.low)])[0].shape
    low, high = data.low.min(), data.high.max()
    return [Value(np.full(shape, low), np.full(shape, high))]


def _relu(node: Node, args, walk) -> list[Value]:
    value, grid = args[0], args[0].grid
    grid = grid and grid.clipped(0, np.inf)
    zero = value.low.dtype.type(0)
    low = np.maximum(value.low, zero)
    return [Value(low, low if value.known else np.maximum(value.high, zero), grid)]


def _max_pool(node: Node, args, walk) -> list[Value]:
    grid = args[0].grid
    if len([name for name in node.outputs if name]) > 1:
        return unranged(node, args, walk)
    (result,) = rising(node, args, walk)
    if grid is not None and not grid.scale.ndim:
        grid = grid.map(lambda array: node.evaluate([array])[0])
        return [Value(result.low, result.high, grid)]
    return [result]


def _pad(node: Node, args, walk) -> list[Value]:
    value, *rest = args
    constant = rest[1].low if len(rest) > 1 and rest[1] is not None else np.zeros(1)
    (result,) = rising(node, args, walk)
    zeros = node.attributes.get("mode", "constant") != "constant" or not constant.any()
    if value.grid is None or value.grid.scale.ndim or not zeros:
        return [result]
    others = _arrays(rest, "low")
    if len(others) > 1 and others[1] is not None:
        others[1] = others[1].astype(np.float64)
    return [
        Value(result.low, result.high, value.grid.map(lambda a: node.evaluate([a, *others])[0]))
    ]


def _concat(node: Node, args, walk) -> list[Value]:
    (result,) = rising(node, args, walk)
    grids = [arg.grid or (arg.codes() if arg.known and not arg.low.any() else None) for arg in args]
    if any(grid is None or grid.scale.ndim for grid in grids):
        return [result]
    scale = next((g.scale for g, a in zip(grids, args, strict=True) if a.grid), grids[0].scale)
    if any(a.grid is not None and g.scale != scale for a, g in zip(args, grids, strict=True)):
        return [result]
    low, high = (node.evaluate([getattr(g, end) for g in grids])[0] for end in ("low", "high"))
    return [Value(result.low, result.high, Grid(low, high, scale))]


def _resize(node: Node, args, walk) -> list[Value]:
    nearest = node.attributes.get("mode", "nearest") == "nearest"
    rest = args[1:]
    if not nearest or not all(arg is None or arg.known for arg in rest):
        return unranged(node, args, walk)
    return _moved(node, args, walk)


def _cast(node: Node, args, walk) -> list[Value]:
    value = args[0]
    low = node.evaluate([value.low, *[None] * (len(args) - 1)])[0]
    grid = value.codes() if low.dtype.kind == "f" else None
    if value.known:
        return [Value(low, low, grid)]
    limits = integer_limits(low.dtype)
    if limits is not None and not (value.low.min() >= limits[0] and value.high.max() <= limits[1]):
        return [top(low.shape, low.dtype)]  # what a number beyond the type becomes is open
    return [Value(low, node.evaluate([value.high, *[None] * (len(args) - 1)])[0], grid)]


def _shape(node: Node, args, walk) -> list[Value]:
    return [point(node.evaluate([args[0].low])[0])]


def _softmax(node: Node, args, walk) -> list[Value]:
    low = args[0].low
    if args[0].known:
        return unranged(node, args, walk)
    return [Value(np.zeros_like(low), np.ones_like(low))]


def unranged(node: Node, args, walk) -> list[Value]:
    """Whole ranges of types, for results of which only shapes are computed."""
    known = all(arg is None or arg.known for arg in args)
    finite = [None if arg is None else arg.low if known else _finite(arg.low) for arg in args]
    try:
        found = node.evaluate(finite)
        return [point(array) if known else top(array.shape, array.dtype) for array in found]
    except Exception:  # the reference implementation raises all sorts where it lacks an operator
        shapes = [walk.graph.shapes.get(name) for name in node.outputs]
        return [OPAQUE if found is None else top(*found) for found in shapes]


def _finite(array):
    return (
        np.where(np.isfinite(array), array, 0).astype(array.dtype)
        if array.dtype.kind == "f"
        else array
    )


OPERATORS = {
    **dict.fromkeys(_HARMLESS, unranged),
    **dict.fromkeys(_RISING, rising),
    **dict.fromkeys(_ELEMENTWISE, elementwise),
    **dict.fromkeys(_MOVEMENTS, _moved),
    "Cast": _cast,
    "Concat": _concat,
    "Gather": _gather,
    "MaxPool": _max_pool,
    "Pad": _pad,
    "Relu": _relu,
    "Resize": _resize,
    "Shape": _shape,
    "Softmax": _softmax,
    "Upsample": _resize,
}

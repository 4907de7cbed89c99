"""Operators of ONNX Runtime on codes: QLinearAdd and its relatives.

Each is a standard operator between a ``DequantizeLinear`` and a ``QuantizeLinear``, and its rule
is made of theirs.
"""

from __future__ import annotations

from copy import copy

import numpy as np

from ._graph import Node
from ._operators import OPERATORS, unranged
from ._quantizers import dequantized, quantized
from ._values import Value

__all__ = ["RUNTIME"]


def _around(op: str, n_operands: int):
    """A rule for `op` between a dequantizer for each operand and a quantizer."""

    def run(node: Node, args, walk) -> list[Value]:
        sources = [args[3 * k : 3 * k + 3] for k in range(n_operands)]
        scale, zero = (*args[3 * n_operands :], None)[:2]
        return _computed(op, node, sources, scale, zero, walk)

    return run


def _concatenation(node: Node, args, walk) -> list[Value]:
    scale, zero, *rest = args
    sources = [rest[k : k + 3] for k in range(0, len(rest), 3)]
    return _computed("Concat", node, sources, scale, zero, walk)


def _computed(op: str, node: Node, sources, scale, zero, walk) -> list[Value]:
    parameters = [p for source in sources for p in source[1:]] + [scale, zero]
    if any(p is None or not p.known or p.low.size != 1 for p in parameters):
        return unranged(node, [source[0] for source in sources], walk)
    numbers = [
        dequantized(value, s.low.reshape(()), z.low.astype(np.float64).reshape(()))
        for value, s, z in sources
    ]
    plain = [Value(n.low, n.high) for n in numbers]
    inner = _standard(op, node, len(sources))
    result = OPERATORS[op](inner, plain, walk)[0]
    return [quantized(result, scale.low.reshape(()), zero.low.reshape(()), zero.low.dtype)]


def _standard(op: str, node: Node, n_inputs: int) -> Node:
    """The operator inside, with those attributes that it has too."""
    from onnx import helper

    names = [f"input_{k}" for k in range(n_inputs)]
    kept = {k: v for k, v in node.attributes.items() if k != "channels_last"}
    inner = copy(node)
    inner.op, inner.domain, inner.inputs, inner.outputs = op, "", names, ["output"]
    inner.attributes, inner._evaluator = kept, None
    inner.proto = helper.make_node(op, names, ["output"], **kept)
    return inner


RUNTIME = {
    "QLinearAdd": _around("Add", 2),
    "QLinearMul": _around("Mul", 2),
    "QLinearSigmoid": _around("Sigmoid", 1),
    "QLinearLeakyRelu": _around("LeakyRelu", 1),
    "QLinearAveragePool": _around("AveragePool", 1),
    "QLinearGlobalAveragePool": _around("GlobalAveragePool", 1),
    "QLinearConcat": _concatenation,
    "QLinearSoftmax": unranged,
}

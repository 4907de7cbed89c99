"""A walk through a graph, with ranges or with one known input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ._graph import Graph, Node
from ._operators import OPERATORS, unranged
from ._products import PRODUCTS, RUNTIME_PRODUCTS
from ._quantizers import QONNX, QUANTIZERS
from ._runtime import RUNTIME
from ._sums import Sums
from ._values import OPAQUE, Value, top

__all__ = ["Walk", "folded"]

_STANDARD = {**OPERATORS, **QUANTIZERS, **PRODUCTS}
_RUNTIME = {**RUNTIME, **RUNTIME_PRODUCTS}
_INTEGER_SUMS = ("MatMulInteger", "ConvInteger")  # an addition may follow in the same register
_SUMMING = {*PRODUCTS, *RUNTIME_PRODUCTS}


def _rules(domain: str) -> dict:
    """Rules by operator.  One name can mean different things in two domains."""
    if domain in ("", "ai.onnx"):
        return _STANDARD
    if domain == "com.microsoft":
        return _RUNTIME
    if domain == "ai.onnx.ml":
        return {"LabelEncoder": unranged}
    general = domain in (
        "qonnx.custom_op.general",
        "finn.custom_op.general",
        "onnx.brevitas",
        "finn",
    )
    return QONNX if general else {}


class Walk:
    """Everything that a graph computes from its inputs.

    Parameters
    ----------
    graph : Graph
    inputs : dict of str to Value
    proven : Walk, optional
        The walk with ranges, for one with known inputs: only the sums that it read are recorded.
    n_sums : int, optional
        Where to stop: behind that many sums.

    Attributes
    ----------
    values : dict of str to Value
        Every tensor.
    sums : list of Sums
        In the order of evaluation.
    unknown : list of (str, str, str)
        Name, operator and reason of each node that may sum products and was not understood.
    """

    def __init__(
        self, graph: Graph, inputs: dict[str, Value], proven: Walk | None = None, n_sums=None
    ):
        self.graph = graph
        self.values: dict[str, Value] = {**graph.constants, **inputs}
        self.sums: list[Sums] = []
        self.unknown: list[tuple[str, str, str]] = []
        self.read: set[int] = set()  # nodes, by identity
        self._proven = proven
        self._registers: dict[str, int] = {}
        for node in graph.nodes:
            self._visit(node)
            if len(self.sums) == n_sums and node.op not in _INTEGER_SUMS:
                break

    def _visit(self, node: Node) -> None:
        args = [self.values.get(name, OPAQUE) if name else None for name in node.inputs]
        n_sums = len(self.sums)
        self.values.update(zip(node.outputs, self._results(node, args), strict=False))
        if len(self.sums) > n_sums:
            self.read.add(id(node))
        if len(self.sums) > n_sums and node.op in _INTEGER_SUMS:
            self._registers[node.outputs[0]] = n_sums
        elif node.op == "Add":
            self._add_to_register(node, args)

    def _add_to_register(self, node: Node, args) -> None:
        """Take integers that are added to a sum for its bias: they go to the same register."""
        for name, other in zip(node.inputs, args[::-1], strict=True):
            index = self._registers.get(name)
            if index is None or not other.known or other.low.dtype.kind not in "iu":
                continue
            sums, bias = self.sums[index], other.low.astype(np.float64).ravel()
            if bias.size in (1, sums.neurons):
                bias = np.broadcast_to(bias, sums.neurons).reshape(sums.bias.shape)
                self.sums[index] = replace(sums, bias=sums.bias + bias)

    def _results(self, node: Node, args) -> list[Value]:
        rule = _rules(node.domain).get(node.op)
        blind = any(arg is OPAQUE for arg in args)
        if rule is None or (blind and node.op in _SUMMING):
            reason = "the shape of its input is unknown" if rule else "no rule for this operator"
            self.unknown.append((node.name, node.op, reason))
        if blind:
            shapes = [self.graph.shapes.get(name) for name in node.outputs]
            return [OPAQUE if found is None else top(*found) for found in shapes]
        if self._proven is not None and node.op in _SUMMING and id(node) not in self._proven.read:
            rule = unranged
        try:
            return (rule or unranged)(node, args, self)
        except Exception:  # of ONNX's reference, which raises all sorts where it lacks something
            return unranged(node, args, self)


def folded(graph: Graph) -> Graph:
    """The same graph without the nodes that depend on no input."""
    fixed: list[Node] = []
    known = set(graph.constants)
    for node in graph.nodes:
        if all(not name or name in known for name in node.inputs) and not node.op.startswith(
            "Random"
        ):
            fixed.append(node)
            known.update(node.outputs)
    constants = Walk(Graph(fixed, graph.constants, {}, [], graph.integers, graph.shapes), {}).values
    constants = {name: value for name, value in constants.items() if value.known}
    left = [
        node for node in graph.nodes if not all(name in constants for name in node.outputs if name)
    ]
    return Graph(left, constants, graph.inputs, graph.outputs, graph.integers, graph.shapes)

"""What pruning left of an integer graph: no channel that is constant, and none that nobody reads.

Both steps are exact: the output is the same integer for every input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from ._graph import IntegerGraph
from ._operations import Concat, Flatten, MaxPool, Operation, Sums, Thresholds

__all__ = ["simplify_graph", "with_operations"]


def simplify_graph(graph: IntegerGraph) -> IntegerGraph:
    """Take constants out of sums, then remove channels that no weight reads.

    Parameters
    ----------
    graph : IntegerGraph

    Returns
    -------
    IntegerGraph
        With the same inputs and outputs.  Every result keeps one channel at least.
    """
    graph = _without_constants(graph)
    kept = _kept_channels(graph)
    operations = [
        _narrowed(operation, kept[place], [kept[i] for i in operation.inputs])
        for place, operation in enumerate(graph.operations, start=1)
    ]
    return with_operations(graph, operations)


def with_operations(
    graph: IntegerGraph, operations: Sequence[Operation], bias=None
) -> IntegerGraph:
    """The same network but for its operations, and perhaps its bias."""
    bias = graph.bias if bias is None else bias
    return IntegerGraph(
        graph.input, operations, scale=graph.scale, bias=bias, classes=graph.classes
    )


# ------------------------------------------------------------------------ constants


def _without_constants(graph: IntegerGraph) -> IntegerGraph:
    """Weights on constant channels become 0, and thresholds or the bias move instead."""
    for place, operation in enumerate(graph.operations, start=1):
        if isinstance(operation, Sums) and operation.groups == 1:
            graph = _constants_moved(graph, place, operation)
    return graph


def _constants_moved(graph: IntegerGraph, place: int, operation: Sums) -> IntegerGraph:
    low, high = graph.ranges[operation.inputs[0]].T
    fixed = low == high
    if operation.window is not None and operation.window.is_padded:
        fixed &= low == operation.outside  # else the border has another sum
    if not operation.weight[:, fixed].any():
        return graph
    totals = operation.weight.reshape(*operation.weight.shape[:2], -1).sum(axis=2, dtype=np.int64)
    shift = totals[:, fixed] @ low[fixed]
    readers = _threshold_readers(graph, place)
    if shift.any() and readers is None:
        return graph
    weight = operation.weight.copy()
    weight[:, fixed] = 0
    operations = list(graph.operations)
    operations[place - 1] = replace(operation, weight=weight)
    for reader in readers or ():
        operations[reader - 1] = _moved(operations[reader - 1], shift)
    is_output = place == len(graph.operations)
    return with_operations(
        graph, operations, graph.bias + graph.scale * shift if is_output else None
    )


def _moved(operation: Operation, shift: np.ndarray) -> Operation:
    """Thresholds lower by what their sums lack."""
    assert isinstance(operation, Thresholds)
    return replace(operation, thresholds=operation.thresholds - shift[:, None])


def _threshold_readers(graph: IntegerGraph, place: int) -> list[int] | None:
    """Thresholds that read a result, through maxima or not; None if something else does."""
    found: list[int] = []
    for reader, operation in enumerate(graph.operations, start=1):
        if place not in operation.inputs:
            continue
        below = _threshold_readers(graph, reader) if isinstance(operation, MaxPool) else None
        if isinstance(operation, Thresholds):
            below = [reader]
        if not below:
            return None
        found += below
    return found


# ------------------------------------------------------------------ unread channels


def _kept_channels(graph: IntegerGraph) -> list[np.ndarray]:
    """Channels of each result that stay: those that are read, and what goes along with them."""
    kept = [np.zeros(shape[0], dtype=bool) for shape in graph.shapes]
    kept[0][:] = kept[-1][:] = True
    before = -1
    while before != (before := sum(int(k.sum()) for k in kept)):
        for place in range(len(graph.operations), 0, -1):
            kept[place][0] |= not kept[place].any()
            _read(graph, place, kept)
    return kept


def _read(graph: IntegerGraph, place: int, kept: list[np.ndarray]) -> None:
    """Add what an operation reads to what is kept, and what it puts out because of that."""
    operation, out = graph.operations[place - 1], kept[place]
    incoming = [kept[i] for i in operation.inputs]
    if isinstance(operation, Sums) and not _is_depthwise(operation):
        if operation.groups > 1:
            out[:] = incoming[0][:] = True
            return
        axes = (0, *range(2, operation.weight.ndim))
        incoming[0][:] |= operation.weight[out].any(axis=axes)
    elif isinstance(operation, Flatten):
        incoming[0][:] |= out.reshape(len(incoming[0]), -1).any(axis=1)
        out[:] = np.repeat(incoming[0], prod(graph.shapes[operation.inputs[0]][1:]))
    elif isinstance(operation, Concat):
        starts = np.cumsum([len(k) for k in incoming])[:-1]
        for part, here in zip(np.split(out, starts), incoming, strict=True):
            here[:] |= part
        out[:] = np.concatenate(incoming)
    else:
        union = np.logical_or.reduce([out, *incoming])
        for here in (out, *incoming):
            here[:] = union


def _is_depthwise(operation: Sums) -> bool:
    return operation.groups == len(operation.weight) and operation.groups > 1


def _narrowed(operation: Operation, out: np.ndarray, incoming: list[np.ndarray]) -> Operation:
    """The operation on the channels that are kept."""
    if isinstance(operation, Sums):
        weight = operation.weight[out]
        if _is_depthwise(operation):
            return replace(operation, weight=weight, groups=int(out.sum()))
        columns = incoming[0] if operation.groups == 1 else slice(None)
        return replace(operation, weight=weight[:, columns])
    if isinstance(operation, Thresholds):
        parts = (operation.thresholds, operation.first, operation.slope)
        names = ("thresholds", "first", "slope")
        return replace(operation, **{n: part[out] for n, part in zip(names, parts, strict=True)})
    return operation

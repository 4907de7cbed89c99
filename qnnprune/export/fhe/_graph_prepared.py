"""An integer graph with its maxima where encrypted ones are cheapest.

A maximum of two encrypted numbers is ``a + max(b - a, 0)``: one lookup, of one bit more than the
numbers have.  All that is added up has one width, lookups on it included.  So maxima of sums
become maxima of the codes that they lead to, and a table takes maxima of codes from their own
narrow width to that of the sums that read them.  The output is the same integer for every input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...integer import IntegerGraph
from ...integer._graph_simplify import with_operations
from ...integer._operations import MaxPool, Operation, Thresholds
from ._graph_widths import graph_widths

__all__ = ["prepared"]

_MOST_THRESHOLDS = 255  # of an integer graph


def prepared(graph: IntegerGraph) -> IntegerGraph:
    """The same network with maxima of codes, and a table after them where it pays.

    Parameters
    ----------
    graph : IntegerGraph

    Returns
    -------
    IntegerGraph
    """
    place = _pool_of_sums(graph)
    while place is not None:
        graph = with_operations(graph, _swapped(graph.operations, place))
        place = _pool_of_sums(graph)
    for place in reversed(_places_of_pools(graph)):  # those before it keep their places
        graph = _narrowed(graph, place)
    return graph


def _places_of_pools(graph: IntegerGraph) -> list[int]:
    operations = enumerate(graph.operations, start=1)
    return [place for place, operation in operations if isinstance(operation, MaxPool)]


def _readers(operations: Sequence[Operation], place: int) -> list[int]:
    return [k for k, operation in enumerate(operations, start=1) if place in operation.inputs]


def _pool_of_sums(graph: IntegerGraph) -> int | None:
    """A maximum of sums that one quantizer alone reads."""
    operations = graph.operations
    for place in _places_of_pools(graph):
        readers = _readers(operations, place)
        alone = len(readers) == 1 and isinstance(operations[readers[0] - 1], Thresholds)
        if alone and not _is_code(operations, operations[place - 1].inputs[0]):
            return place
    return None


def _is_code(operations: Sequence[Operation], place: int) -> bool:
    """Whether a place holds codes, or maxima of them."""
    while place and isinstance(operations[place - 1], MaxPool):
        place = operations[place - 1].inputs[0]
    return not place or isinstance(operations[place - 1], Thresholds)


def _swapped(operations: Sequence[Operation], place: int) -> list[Operation]:
    """Counts of thresholds, their maxima, and what these counts stand for."""
    found = list(operations)
    pool, (reader,) = found[place - 1], _readers(found, place)
    steps = found[reader - 1]
    assert isinstance(steps, Thresholds)
    nothing = np.zeros_like(steps.first)
    counts = np.broadcast_to(np.arange(1, steps.thresholds.shape[1] + 1), steps.thresholds.shape)
    found[place - 1] = replace(steps, inputs=pool.inputs, first=nothing, slope=nothing + 1)
    found[reader - 1] = replace(pool, inputs=(place,))
    return _inserted(found, reader, replace(steps, thresholds=counts))


def _inserted(operations: list[Operation], place: int, operation: Operation) -> list[Operation]:
    """The operations with one more after a place, which all readers of that place read."""
    later = [
        replace(one, inputs=tuple(i + (i >= place) for i in one.inputs))
        for one in operations[place:]
    ]
    return [*operations[:place], replace(operation, inputs=(place,)), *later]


def _narrowed(graph: IntegerGraph, place: int) -> IntegerGraph:
    """The graph with a table after maxima, if their lookups are narrower then."""
    readers = [graph.operations[k - 1] for k in _readers(graph.operations, place)]
    low, high = graph.ranges[place].T
    n_thresholds = int((high - low).max())
    looked_up = readers and all(isinstance(reader, Thresholds) for reader in readers)
    if looked_up or not 1 <= n_thresholds <= _MOST_THRESHOLDS:
        return graph
    thresholds = low[:, None] + np.arange(1, n_thresholds + 1)
    name = graph.operations[place - 1].name
    same = Thresholds(name, (place,), thresholds, low, np.ones_like(low))
    narrowed = with_operations(graph, _inserted(list(graph.operations), place, same))
    pays = graph_widths(narrowed)[place] < graph_widths(graph)[place]
    return narrowed if pays else graph

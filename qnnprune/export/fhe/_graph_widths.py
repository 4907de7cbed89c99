"""Widths of the encrypted values of an integer graph.

Concrete gives all values that meet in sums one width.  So places fall into parts, each between
tables and tables, and the width of a part is that of the widest thing in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ...integer import IntegerGraph
from ...integer._operations import Add, MaxPool, Sums, Thresholds
from ._tables import FEWEST_BITS, MOST_BITS

__all__ = ["border_of", "check_widths", "graph_widths", "joint_parts"]


class _Need(NamedTuple):
    """Bits that a place needs, and the layer that needs them."""

    place: int
    n_bits: int
    name: str


def graph_widths(graph: IntegerGraph) -> list[int]:
    """Two's-complement width of the value at each place, in bits.

    Parameters
    ----------
    graph : IntegerGraph
    """
    parts = joint_parts(graph)
    widths = dict.fromkeys(parts, FEWEST_BITS)
    for need in _needs(graph):
        part = parts[need.place]
        widths[part] = max(widths[part], need.n_bits)
    return [widths[part] for part in parts]


def check_widths(graph: IntegerGraph) -> None:
    """Refuse a graph with sums wider than lookups take.

    Raises
    ------
    ValueError
        The message names the layer.
    """
    widest = max(_needs(graph), key=lambda need: need.n_bits)
    if widest.n_bits > MOST_BITS:
        raise ValueError(
            f"Layer '{widest.name}' needs {widest.n_bits} bits, but lookups on encrypted values take "
            f"at most {MOST_BITS}: prune to narrower sums with AccumulatorPruner, or use narrower "
            "codes. Each bit makes a lookup 2 to 3 times dearer: 4 to 6 bits are practical."
        )


def joint_parts(graph: IntegerGraph) -> list[int]:
    """A number for each place, the same for places that meet in sums."""
    parts = list(range(len(graph.shapes)))
    for place, operation in enumerate(graph.operations, start=1):
        if not isinstance(operation, Thresholds):
            met = {parts[i] for i in (place, *operation.inputs)}
            parts = [min(met) if part in met else part for part in parts]
    return parts


def _needs(graph: IntegerGraph) -> Iterator[_Need]:
    names = ["the input", *(operation.name for operation in graph.operations)]
    yield _Need(0, _signed_bits(graph.ranges[0]), names[0])
    yield _Need(len(names) - 1, _span_bits(graph.ranges[-1]), names[-1])
    for place, (operation, name) in enumerate(
        zip(graph.operations, names[1:], strict=True), start=1
    ):
        source = operation.inputs[0]
        if isinstance(operation, Thresholds):
            yield _Need(source, _span_bits(graph.ranges[source]), names[source])
            yield _Need(place, _signed_bits(graph.ranges[place]), name)
        elif isinstance(operation, Sums):
            border = border_of(operation, graph.shapes[source])
            yield _Need(place, max(_signed_bits(operation.weight), _signed_bits(border)), name)
        elif isinstance(operation, Add):
            yield _Need(place, _signed_bits(np.array(operation.factors)), name)
        elif isinstance(operation, MaxPool):
            # Differences of either sign.
            yield _Need(place, _span_bits(graph.ranges[source]) + 1, name)


def border_of(operation: Sums, shape: tuple[int, ...]) -> np.ndarray:
    """What the border of a convolution adds to its sums, int64 of the shape of one row's result.

    Parameters
    ----------
    operation : Sums
    shape : tuple of int
        Of one row of the codes.
    """
    if operation.window is None or not (operation.window.is_padded and operation.outside):
        return np.zeros(1, dtype=np.int64)
    inside = np.zeros((1, *shape), dtype=np.int64)
    return operation.apply([inside])[0].astype(np.int64)


def _span_bits(ranges: np.ndarray) -> int:
    """Width of integers once they are shifted to where they need the fewest bits."""
    return int((ranges[:, 1] - ranges[:, 0]).max()).bit_length()


def _signed_bits(integers: np.ndarray) -> int:
    """Two's-complement width of integers as they are."""
    low, high = int(integers.min()), int(integers.max())
    return max((-low - 1).bit_length() if low < 0 else 0, high.bit_length() if high > 0 else 0) + 1

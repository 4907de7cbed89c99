"""An integer graph as sums, maxima and table lookups: what runs on encrypted codes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np

from ...integer import IntegerGraph
from ...integer._operations import MaxPool, Operation, Thresholds
from ._graph_prepared import prepared
from ._graph_widths import check_widths, graph_widths
from ._tables import counting_tables, offsets

__all__ = ["Lookup", "LookupGraph", "TableKind", "lookup_graph"]


@dataclass(frozen=True, eq=False)
class Lookup(Operation):
    """Codes by tables, one per channel.

    Attributes
    ----------
    offset : int64 array of shape (n_channels,)
        Added to the values, so that all fit `n_bits`.
    n_bits : int
        Two's-complement width of what is looked up.
    n_removed_bits : int
        Low bits that no table looks at.
    tables : int64 array of shape (n_channels, 2**(n_bits - n_removed_bits))
        Codes by ascending value, from the most negative one.
    """

    offset: np.ndarray
    n_bits: int
    n_removed_bits: int
    tables: np.ndarray

    def apply(self, values):
        """Codes, int64."""
        rows = np.moveaxis(np.asarray(values[0]).astype(np.int64), 1, -1) + self.offset
        cell = (rows >> self.n_removed_bits) + self.tables.shape[1] // 2
        codes = self.tables[np.arange(len(self.tables)), cell]
        return np.moveaxis(codes, -1, 1)


class TableKind(NamedTuple):
    """Lookups of one operation: how many, width of the values, and bits removed before them."""

    count: int
    n_bits: int
    n_removed_bits: int


@dataclass(frozen=True, eq=False)
class LookupGraph:
    """What runs on encrypted codes.

    Attributes
    ----------
    graph : IntegerGraph
        The same with thresholds in place of tables.
    operations : tuple of Operation
        With a `Lookup` for each `Thresholds`.
    n_bits : tuple of int
        Two's-complement width at every place.
    offset : int64 array of shape (n_channels,)
        Added to the last values, so that all fit their width.
    """

    graph: IntegerGraph
    operations: tuple[Operation, ...]
    n_bits: tuple[int, ...]
    offset: np.ndarray

    @property
    def last_offset(self) -> np.ndarray:
        """The offset in a shape that meets the channels of one row's last values."""
        return self.offset.reshape(-1, *[1] * (len(self.graph.shapes[-1]) - 1))

    def run(self, codes: np.ndarray) -> np.ndarray:
        """Last values and their offset, in the clear.

        Parameters
        ----------
        codes : integer array of shape (n_rows, *shape)

        Returns
        -------
        int64 array of shape (n_rows, n_channels, ...)
        """
        values = [np.asarray(codes, dtype=np.int64)]
        for operation in self.operations:
            values.append(operation.apply([values[i] for i in operation.inputs]))
        return values[-1].astype(np.int64) + self.last_offset

    @property
    def kinds(self) -> list[TableKind]:
        """Lookups of every operation that has some, in order."""
        found, shapes = [], self.graph.shapes
        for place, operation in enumerate(self.operations, start=1):
            if isinstance(operation, Lookup):
                bits = operation.n_bits, operation.n_removed_bits
                found.append(TableKind(prod(shapes[place]), *bits))
            elif isinstance(operation, MaxPool):
                count = prod(shapes[place]) * (prod(operation.window.size) - 1)
                found.append(TableKind(count, self.n_bits[place], 0))
        return found


def lookup_graph(graph: IntegerGraph) -> LookupGraph:
    """Sums, maxima and tables that give the last integers of `graph`.

    Parameters
    ----------
    graph : IntegerGraph

    Returns
    -------
    LookupGraph

    Raises
    ------
    ValueError
        If a sum is wider than the 16 bits that table lookups take; the message names its layer.
    """
    graph = prepared(graph)
    check_widths(graph)  # before there are tables of such sums
    n_bits = graph_widths(graph)
    operations = [
        _lookup(operation, graph.ranges[operation.inputs[0]], n_bits[operation.inputs[0]])
        if isinstance(operation, Thresholds)
        else operation
        for operation in graph.operations
    ]
    no_shift = np.zeros(len(graph.ranges[-1]), dtype=np.int64)
    offset, _ = offsets(graph.ranges[-1], n_bits[-1], no_shift, 1)
    return LookupGraph(graph, tuple(operations), tuple(n_bits), offset)


def _lookup(steps: Thresholds, ranges: np.ndarray, n_bits: int) -> Lookup:
    offset, n_removed, counts = counting_tables(ranges, steps.thresholds, n_bits)
    tables = steps.first[:, None] + steps.slope[:, None] * counts
    return Lookup(steps.name, steps.inputs, offset, n_bits, n_removed, tables)

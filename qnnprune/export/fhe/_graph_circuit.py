"""A circuit of Concrete for an integer graph: convolutions, pools and branches.

Concrete compiles convolutions of two axes without a border.  One axis becomes the second of two,
and the border is encrypted zeros; what another code there adds to the sums is known beforehand.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from ...integer._operations import Add, Concat, Flatten, MaxPool, Sums
from ...integer._windows import Window
from ._graph_lookups import Lookup, LookupGraph
from ._graph_widths import border_of

__all__ = ["graph_function"]


def graph_function(fhe, lookups: LookupGraph):
    """What Concrete compiles: a function of the ``codes`` of one row, with its types.

    Parameters
    ----------
    fhe : module
        ``concrete.fhe``.
    lookups : LookupGraph
    """
    steps = _Steps(fhe, lookups)

    def network(codes):
        values = [codes]
        for place, operation in enumerate(lookups.operations, start=1):
            apply = getattr(steps, type(operation).__name__.lower())
            values.append(apply(place, operation, *[values[i] for i in operation.inputs]))
        return _plus(values[-1], lookups.last_offset)

    network.__annotations__["codes"] = fhe.tensor[(steps.type(0), *lookups.graph.input.shape)]
    return network


class _Steps:
    """One method per kind of operation, on encrypted values of the shape of one row."""

    def __init__(self, fhe, lookups: LookupGraph):
        self.fhe, self.lookups = fhe, lookups
        self.shapes = lookups.graph.shapes
        # Tables are made before the function is traced.
        self.tables = {
            place: self._lookup_tables(place, operation)
            for place, operation in enumerate(lookups.operations, start=1)
            if isinstance(operation, Lookup)
        }

    def type(self, place: int):
        """Concrete's type of the values at a place."""
        return getattr(self.fhe, f"int{self.lookups.n_bits[place]}")

    def sums(self, place: int, operation: Sums, codes):
        """A linear layer, or a convolution of two axes."""
        if operation.window is None:
            return codes @ operation.weight.astype(np.int64).T
        window = _of_two_axes(operation.window)
        n_channels, *axes = self.shapes[operation.inputs[0]]
        codes = codes.reshape((1, n_channels, *[1] * (2 - len(axes)), *axes))
        n_out, n_in = operation.weight.shape[:2]
        weight = operation.weight.reshape(n_out, n_in, *window.size).astype(np.int64)
        sums = self.fhe.conv(
            self._padded(codes, window),
            weight,
            strides=window.stride,
            dilations=window.dilation,
            group=operation.groups,
        )
        border = border_of(operation, self.shapes[operation.inputs[0]])
        return _plus(sums.reshape(self.shapes[place]), border)

    def _padded(self, values, window: Window):
        """Zeros on each side of the last axes."""
        for axis, padding in enumerate(window.padding, start=-len(window.padding)):
            if padding:
                shape = list(values.shape)
                shape[axis] = padding
                zeros = self.fhe.zeros(tuple(shape))
                values = np.concatenate((zeros, values, zeros), axis=len(shape) + axis)
        return values

    def lookup(self, place: int, operation: Lookup, values):
        """A table for each channel."""
        n_axes = len(self.shapes[place]) - 1
        values = _plus(values, operation.offset.reshape(-1, *[1] * n_axes))
        if operation.n_removed_bits:
            values = self.fhe.truncate_bit_pattern(values, lsbs_to_remove=operation.n_removed_bits)
        return self.tables[place][values]

    def _lookup_tables(self, place: int, operation: Lookup):
        full = np.repeat(operation.tables, 2**operation.n_removed_bits, axis=1)
        if (full == full[0]).all():
            return self._table(full[0], place)
        tables = np.empty((len(full), *[1] * (len(self.shapes[place]) - 1)), dtype=object)
        tables.flat = [self.fhe.LookupTable(_from_zero(row)) for row in full]
        tables = self.fhe.LookupTable(tables.tolist())
        tables.output_dtype = self.type(place).dtype
        return tables

    def _table(self, row: np.ndarray, place: int):
        table = self.fhe.LookupTable(_from_zero(row))
        table.output_dtype = self.type(place).dtype
        return table

    def maxpool(self, place: int, operation: MaxPool, values):
        """Maxima of pairs, one after the other: ``a + max(b - a, 0)``."""
        window, n_axes = operation.window, len(operation.window.size)
        lowest = self.lookups.graph.ranges[place][:, 0].reshape(-1, *[1] * n_axes)
        if window.is_padded:  # what lies outside must be no larger than all that is inside
            values = self._padded(_plus(values, -lowest), window)
        half = 2 ** (self.lookups.n_bits[place] - 1)
        positive = self._table(np.maximum(np.arange(-half, half), 0), place)
        places = window.slices(self.shapes[place][1:])
        parts = [values[(slice(None), *index)] for index in places]
        most = reduce(lambda a, b: a + positive[b - a], parts)
        return _plus(most, lowest) if window.is_padded else most

    def flatten(self, place: int, operation: Flatten, values):
        """One axis."""
        return values.reshape(self.shapes[place])

    def add(self, place: int, operation: Add, *values):
        """Branches times their factors."""
        parts = zip(values, operation.factors, strict=True)
        return reduce(lambda a, b: a + b, [v if k == 1 else v * k for v, k in parts])

    def concat(self, place: int, operation: Concat, *values):
        """Channels one after the other."""
        return np.concatenate(values, axis=0)


def _plus(values, constant: np.ndarray):
    """The sum with clear numbers, where they are not all 0."""
    return values + constant if constant.any() else values


def _from_zero(row: np.ndarray) -> list[int]:
    """A table in the order that Concrete counts in: 0 .. -1."""
    return np.roll(row, len(row) // 2).tolist()


def _of_two_axes(window: Window) -> Window:
    """A window of one axis as one of two, of which the first has one position."""
    missing = 2 - len(window.size)
    parts = (window.size, 1), (window.stride, 1), (window.padding, 0), (window.dilation, 1)
    return Window(*((fill,) * missing + tuple(part) for part, fill in parts))

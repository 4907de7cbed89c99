"""Operations on integer codes of any number of axes: sums, thresholds, pools and branches.

A value has the shape (n_rows, n_channels, *positions).  Every operation knows the exact range
of what it puts out, one row per channel, from the ranges of what comes in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from .._utils import state_without_caches
from ..accumulators import accumulator_range
from ..encoding._thresholds import ThresholdCounter
from ._windows import Window

__all__ = ["Add", "Concat", "Flatten", "MaxPool", "Operation", "Sums", "Thresholds", "Weights"]

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Operation:
    """What all operations have.

    Attributes
    ----------
    name : str
        Of the layer that it comes from.
    inputs : tuple of int
        Places of what it reads: 0 is the network's input, k the result of operation k - 1.
    """

    name: str
    inputs: tuple[int, ...]

    def shape(self, shapes: Sequence[Shape]) -> Shape:
        """Shape of one row's result, channels first, from those of what comes in."""
        return shapes[0]

    def range(self, ranges: Sequence[np.ndarray], shapes: Sequence[Shape]) -> np.ndarray:
        """Smallest and largest result per channel, inclusive: int64 of shape (n_channels, 2)."""
        return ranges[0]

    def apply(self, values: Sequence[np.ndarray]) -> np.ndarray:
        """The result, integers in any type, for what comes in."""
        raise NotImplementedError

    def __getstate__(self):
        return state_without_caches(self)


@dataclass(frozen=True, eq=False)
class Sums(Operation):
    """Sums of products: a linear layer, a convolution, or the sum over each window of a mean.

    Attributes
    ----------
    weight : integer array of shape (n_out, n_in // groups, *size)
        Shared by all positions.
    window : Window or None
        None for a linear layer.
    groups : int
        Parts of the channels that do not meet; channel c of the result reads one of them.
    outside : int
        Code of padded positions: the one whose value is 0.
    """

    weight: np.ndarray
    window: Window | None = None
    groups: int = 1
    outside: int = 0

    def __post_init__(self):
        object.__setattr__(self, "weight", np.array(self.weight, order="C"))

    @property
    def matrix(self) -> np.ndarray:
        """The weights as rows: shape (n_out, n_weights)."""
        return self.weight.reshape(len(self.weight), -1)

    def shape(self, shapes):
        """As many channels as filters, as many positions as windows."""
        positions = () if self.window is None else self.window.positions(shapes[0][1:])
        return (len(self.weight), *positions)

    def input_range(self, ranges: np.ndarray) -> np.ndarray:
        """Range of what each weight meets: int64 of shape (groups, n_weights, 2)."""
        if self.window is not None and self.window.is_padded:
            low, high = (
                np.minimum(ranges[:, 0], self.outside),
                np.maximum(ranges[:, 1], self.outside),
            )
            ranges = np.stack([low, high], axis=1)
        each = np.repeat(ranges, prod(self.weight.shape[2:]), axis=0)
        return each.reshape(self.groups, -1, 2)

    def range(self, ranges, shapes):
        """Exact worst case of every filter, whatever its window holds."""
        parts = self.matrix.reshape(self.groups, -1, self.matrix.shape[1])
        each = zip(parts, self.input_range(ranges[0]), strict=True)
        return np.concatenate([accumulator_range(part, codes) for part, codes in each])

    def apply(self, values):
        """Exact sums, in float64: every part of them is an integer far below 2**53."""
        if self.window is None:
            return values[0].astype(np.float64) @ self._blas_weight[0]
        return self._of_windows(values[0], self.window)

    @cached_property
    def _blas_weight(self) -> np.ndarray:
        """Of shape (groups, n_weights, n_out // groups)."""
        parts = self.matrix.reshape(self.groups, -1, self.matrix.shape[1])
        return np.ascontiguousarray(parts.swapaxes(1, 2).astype(np.float64))

    def _of_windows(self, codes, window):
        windows = window.view(codes, self.outside)
        n_axes = len(window.size)
        positions = windows.shape[2 : 2 + n_axes]
        # To (groups, rows and positions, channels of the group and places of the window).
        grouped = windows.reshape(len(codes), self.groups, -1, *windows.shape[2:])
        grouped = np.moveaxis(grouped, [1, 2], [0, 2 + n_axes])
        patches = grouped.astype(np.float64).reshape(self.groups, len(codes) * prod(positions), -1)
        sums = np.matmul(patches, self._blas_weight)
        sums = np.moveaxis(sums, 0, 1).reshape(len(codes), *positions, len(self.weight))
        return np.moveaxis(sums, -1, 1)


@dataclass(frozen=True, eq=False)
class Thresholds(Operation):
    """Codes that count thresholds: ``first + slope * #{t : value >= threshold_t}``.

    Attributes
    ----------
    thresholds : int64 array of shape (n_channels, n_thresholds)
        Ascending in each row.
    first, slope : int64 arrays of shape (n_channels,)
        Code below all thresholds, and what each adds: -1 where codes fall as the value rises.
    """

    thresholds: np.ndarray
    first: np.ndarray
    slope: np.ndarray

    @cached_property
    def _counter(self) -> ThresholdCounter:
        return ThresholdCounter(self.thresholds, np.float64)

    def range(self, ranges, shapes):
        """Codes that the range of what comes in can reach."""
        low, high = np.asarray(ranges[0]).T[:, :, None]
        ends = np.stack([(self.thresholds <= low).sum(1), (self.thresholds <= high).sum(1)], axis=1)
        return np.sort(self.first[:, None] + self.slope[:, None] * ends, axis=1)

    def apply(self, values):
        """Codes, int16."""
        rows = np.moveaxis(np.asarray(values[0], np.float64), 1, -1)
        counts = self._counter.count(rows.reshape(-1, rows.shape[-1])).astype(np.int16)
        codes = self.first.astype(np.int16) + self.slope.astype(np.int16) * counts
        return np.moveaxis(codes.reshape(rows.shape), -1, 1)


@dataclass(frozen=True, eq=False)
class MaxPool(Operation):
    """Largest integer of each window; padded positions take no part."""

    window: Window

    def shape(self, shapes):
        """The same channels, as many positions as windows."""
        return (shapes[0][0], *self.window.positions(shapes[0][1:]))

    def apply(self, values):
        """Maxima, in the type of what comes in."""
        codes, n_axes = values[0], len(self.window.size)
        least = -np.inf if codes.dtype.kind == "f" else np.iinfo(codes.dtype).min
        windows = self.window.view(codes, least)
        return windows.max(axis=tuple(range(windows.ndim - n_axes, windows.ndim)))


@dataclass(frozen=True, eq=False)
class Flatten(Operation):
    """All positions of a channel become channels, one channel after the other."""

    def shape(self, shapes):
        """One axis."""
        return (prod(shapes[0]),)

    def range(self, ranges, shapes):
        """Of each position that of its channel."""
        return np.repeat(ranges[0], prod(shapes[0][1:]), axis=0)

    def apply(self, values):
        """Of shape (n_rows, n_channels)."""
        return values[0].reshape(len(values[0]), -1)


@dataclass(frozen=True, eq=False)
class Add(Operation):
    """Branches added up, each times an integer.

    Attributes
    ----------
    factors : tuple of int
        One per branch.
    """

    factors: tuple[int, ...]

    def range(self, ranges, shapes):
        """Every branch at its end, independently of the others."""
        ends = [np.sort(r * k, axis=1) for r, k in zip(ranges, self.factors, strict=True)]
        return np.sum(ends, axis=0)

    def apply(self, values):
        """Sums, int64."""
        parts = zip(values, self.factors, strict=True)
        return sum(np.asarray(value).astype(np.int64) * factor for value, factor in parts)


@dataclass(frozen=True, eq=False)
class Concat(Operation):
    """Channels of one branch after those of another."""

    def shape(self, shapes):
        """The channels of all."""
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])

    def range(self, ranges, shapes):
        """Each channel's own."""
        return np.concatenate(ranges)

    def apply(self, values):
        """In the widest type of what comes in."""
        return np.concatenate(values, axis=1)


Weights = Sums | Add  # what has registers of its own: sums that may leave them

"""Thresholds: how many of them each value has reached, and the same ones in narrower floats.

Three ways of counting, one result: a few thresholds are compared one after the other; many are a
table, one entry for each sum from just below a neuron's lowest threshold to its highest;
and where those tables would be too large, they are searched.
"""

from __future__ import annotations

import numpy as np

__all__ = ["RowThresholds", "ThresholdCounter", "count_into", "count_reached", "rounded_up"]

_COMPARED = 7  # thresholds: up to here comparing beats a table
_LARGEST_TABLES = 2**22  # bytes, of all neurons of a layer
_TILE = 2**13  # values that are compared at a time, so that each comparison is worth its call
_CACHED = 2**18  # bytes of values that stay in a core's cache for all comparisons


class ThresholdCounter:
    """Counts the thresholds that sums reach.

    Parameters
    ----------
    thresholds : integer array of shape (n_out, n_thresholds)
        At most 255, ascending in each row.
    dtype : numpy dtype
        Of the sums, float32 or float64; holds every sum and threshold exactly.
    """

    def __init__(self, thresholds: np.ndarray, dtype):
        # No sum goes that far; further out the arithmetic below could overflow.
        self.thresholds = thresholds = np.clip(thresholds, -(2**53), 2**53)
        self.columns = np.ascontiguousarray(thresholds.T.astype(dtype))
        first, last = thresholds[:, 0] - 1, thresholds[:, -1]
        sizes = last - first + 1
        self.table = None
        if len(self.columns) > _COMPARED and sizes.sum(dtype=float) <= _LARGEST_TABLES:
            rows = [np.arange(a, b + 1) for a, b in zip(first, last, strict=True)]
            counts = map(_searched, thresholds, rows)
            self.table = np.concatenate([count.astype(np.uint8) for count in counts])
            self.ends = first.astype(dtype), last.astype(dtype)
            self.base = (np.cumsum(sizes) - sizes - first).astype(dtype)

    def count(self, acc: np.ndarray) -> np.ndarray:
        """Thresholds reached.

        Parameters
        ----------
        acc : array of shape (n_samples, n_out)
            Integer values.

        Returns
        -------
        uint8 array of shape (n_samples, n_out)
        """
        if len(self.columns) <= _COMPARED:
            return count_reached(acc, self.columns)
        if self.table is not None:
            index = np.clip(acc, *self.ends)
            index += self.base
            return self.table.take(index.astype(np.intp))
        counts = map(_searched, self.thresholds, acc.T)
        return np.stack([count.astype(np.uint8) for count in counts], axis=1)


def _searched(thresholds: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.searchsorted(thresholds, values, side="right")


def count_reached(values: np.ndarray, thresholds: np.ndarray, dtype=np.uint8) -> np.ndarray:
    """Count, for every value, the thresholds of its column that it reaches.

    Parameters
    ----------
    values : array of shape (n, n_columns)
    thresholds : array of shape (n_thresholds, n_columns)
    dtype : unsigned integer dtype of the counts

    Returns
    -------
    array of shape (n, n_columns)
    """
    count = np.zeros(values.shape, dtype=dtype)
    reached = np.empty(values.shape, dtype=bool)
    for row in thresholds:
        np.greater_equal(values, row, out=reached)
        count += reached.view(np.uint8)
    return count


def count_into(values: np.ndarray, thresholds, count: np.ndarray, scratch) -> None:
    """Count the thresholds that values reach, fast where rows of memory are long.

    Parameters
    ----------
    values : array of any shape
    thresholds : sequence of at least one array
        Of the type of `values`, and of a shape that is broadcast with theirs.
    count : contiguous uint8 array
        Gets the counts; of the shape that values and thresholds make.
    scratch : Scratch
        Where to compute.
    """
    first, *others = thresholds
    reached = scratch.array("reached", (1, count.size), bool).reshape(count.shape)
    # Else numpy copies what is broadcast into buffers, which takes longer than to compare it.
    before = np.setbufsize(16)
    try:
        np.greater_equal(values, first, out=count.view(bool))
        for threshold in others:
            np.greater_equal(values, threshold, out=reached)
            np.add(count, reached.view(np.uint8), out=count)
    finally:
        np.setbufsize(before)


class RowThresholds:
    """Thresholds of columns, repeated so that many rows of memory are compared at a time.

    Parameters
    ----------
    thresholds : array of shape (n_thresholds, n_columns)
        At least one of them.
    """

    def __init__(self, thresholds: np.ndarray):
        self.height = max(1, _TILE // max(1, thresholds.shape[1]))
        self.tiles = np.tile(thresholds, self.height)
        self.n_cached = max(1, _CACHED // max(1, self.tiles[0].nbytes)) * self.height

    def count_into(self, values: np.ndarray, count: np.ndarray, scratch) -> None:
        """Count, for every value, the thresholds of its column that it reaches.

        Parameters
        ----------
        values : contiguous array of shape (n, n_columns)
            Of the type of the thresholds.
        count : contiguous uint8 array of shape (n, n_columns)
            Gets the counts.
        scratch : Scratch
            Where to compute.
        """
        n = len(values)
        whole = n - n % self.height
        for start in range(0, whole, self.n_cached):
            rows = slice(start, min(start + self.n_cached, whole))
            self._count_tiles(values[rows], self.height, count[rows], scratch)
        if whole < n:
            self._count_tiles(values[whole:], n - whole, count[whole:], scratch)

    def _count_tiles(self, values, height, count, scratch):
        shape = -1, height * values.shape[1]
        thresholds = self.tiles[:, : shape[1]]
        count_into(values.reshape(shape), thresholds, count.reshape(shape), scratch)


def rounded_up(thresholds: np.ndarray, dtype) -> np.ndarray:
    """Smallest values of a floating-point type that are not below `thresholds`.

    A value of that type reaches them if and only if it reaches the thresholds themselves.

    Parameters
    ----------
    thresholds : float64 array
    dtype : numpy dtype
        float32 or float64.

    Returns
    -------
    array of the same shape
        Infinite where a threshold is beyond the largest value.

    Examples
    --------
    >>> up = rounded_up(np.array([0.1, 0.5, 1e300]), np.float32)
    >>> up.dtype, up.tolist()
    (dtype('float32'), [0.10000000149011612, 0.5, inf])
    """
    with np.errstate(over="ignore"):
        nearest = thresholds.astype(dtype)
        above = np.nextafter(nearest, np.inf, dtype=dtype)
    return np.where(nearest < thresholds, above, nearest)

"""Thresholds: how many of them each value has reached, and the same ones in narrower floats.

Three ways of counting, one result: a few thresholds are compared one after the other; many are a
table, one entry for each sum from just below a neuron's lowest threshold to its highest;
and where those tables would be too large, they are searched.
"""

from __future__ import annotations

import numpy as np

__all__ = ["ThresholdCounter", "count_into", "count_reached", "rounded_up"]

_COMPARED = 7  # thresholds: up to here comparing beats a table
_LARGEST_TABLES = 2**22  # bytes, of all neurons of a layer


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

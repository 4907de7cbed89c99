"""Search among the floats themselves: where functions of one number change.

The floats of a type, in ascending order, are numbered by integers, their *positions*: 0 is 0.0
(and -0.0, which no comparison tells from it), 1 the smallest denormal, -1 its negative.  So a
bisection between two floats of 64 bits ends after 64 steps at two neighbours, whatever lies
between them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["changes", "floats_at", "largest_position", "neighbourhood", "positions_of"]

_INTEGERS: dict[int, Any] = {4: np.int32, 8: np.int64}


def positions_of(values: np.ndarray) -> np.ndarray:
    """Positions of floats in the order of all floats of their type.

    Parameters
    ----------
    values : float32 or float64 array
        None of them NaN.

    Returns
    -------
    int64 array of the same shape

    Examples
    --------
    >>> positions_of(np.array([-5e-324, -0.0, 0.0, 5e-324]))
    array([-1,  0,  0,  1])
    """
    integer = _INTEGERS[values.dtype.itemsize]
    bits = np.ascontiguousarray(values).view(integer).astype(np.int64)
    return np.where(bits < 0, -(bits & np.iinfo(integer).max), bits)


def floats_at(positions: np.ndarray, dtype) -> np.ndarray:
    """Floats at these positions: the inverse of `positions_of`.

    Parameters
    ----------
    positions : int64 array
    dtype : numpy dtype
        float32 or float64.

    Returns
    -------
    array of the same shape

    Examples
    --------
    >>> floats_at(np.array([-1, 0, 1]), np.float64)
    array([-5.e-324,  0.e+000,  5.e-324])
    """
    integer = _INTEGERS[np.dtype(dtype).itemsize]
    magnitude = np.abs(positions).astype(integer).view(dtype)
    return np.where(positions < 0, -magnitude, magnitude)


def largest_position(dtype) -> int:
    """Position of the largest finite float; that of the lowest one is its negative."""
    return int(positions_of(np.array([np.finfo(dtype).max]))[0])


def changes(
    signature: Callable[[list[np.ndarray]], list[np.ndarray]], grids: list[np.ndarray]
) -> list[np.ndarray]:
    """Every position at which a function changes, for several functions at once.

    Between two neighbours in a grid each component of a function has to be monotone: then equal
    values at both mean that nothing changes between them.

    Parameters
    ----------
    signature : callable
        Takes positions, one int64 array of shape (n_f,) per function; returns the
        functions' values there, integer arrays of shape (n_f, n_components).
    grids : list of int64 arrays
        Ascending positions, one array per function.

    Returns
    -------
    list of int64 arrays
        The first position of each new value, ascending.
    """
    rows = [grid[None] for grid in grids]
    found: list[list[np.ndarray]] = [[] for _ in grids]
    while any(row.size for row in rows):
        values = signature([row.ravel() for row in rows])
        for f, (row, value) in enumerate(zip(rows, values, strict=True)):
            value = value.reshape(*row.shape, value.shape[1])
            differ = (value[:, 1:] != value[:, :-1]).any(axis=2)
            low, high = row[:, :-1][differ], row[:, 1:][differ]
            found[f].append(high[low + 1 == high])
            rows[f] = _divided(low[low + 1 < high], high[low + 1 < high])
    return [np.sort(np.concatenate(parts)) for parts in found]


def _divided(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Intervals in 16 parts each: one row of ends, rounded down, per interval."""
    rows = np.stack([low, high], axis=1)
    for _ in range(4):
        middles = _between(rows[:, :-1], rows[:, 1:])
        halves = np.stack([rows[:, :-1], middles], axis=2).reshape(len(rows), 2 * middles.shape[1])
        rows = np.concatenate([halves, rows[:, -1:]], axis=1)
    return rows


def _between(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Half-way positions, rounded down; the difference of two would overflow."""
    return (low & high) + ((low ^ high) >> 1)


def neighbourhood(positions: np.ndarray, reach: int, dtype) -> np.ndarray:
    """These positions and all that are at most `reach` away, ascending."""
    around = (positions[:, None] + np.arange(-reach, reach + 1)).ravel()
    largest = largest_position(dtype)
    return np.unique(np.clip(around, -largest, largest))

"""Raw columns of a pipeline: pieces in which their values act alike, and rows made of them."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module

import numpy as np

from ._floats import floats_at, largest_position, positions_of
from ._rules import is_gap, real_numbers

__all__ = ["Category", "Number", "RawRows"]

# Samples that show where a function rises and falls: of all sizes, and closer together among the
# sizes that are common in tables.
_ALL_SIZES = 1025
_COMMON = np.geomspace(1e-6, 1e6, 500)


@lru_cache
def _samples(dtype) -> np.ndarray:
    """Ascending positions of numbers of all sizes."""
    common = positions_of(np.concatenate([-_COMMON, _COMMON]).astype(dtype))
    sizes = np.linspace(0, largest_position(dtype), _ALL_SIZES)[:-1].astype(np.int64)
    return np.unique(np.concatenate([common, sizes, -sizes]))


class Number:
    """A raw column of numbers, cut into pieces.

    Within a piece whatever the pipeline makes of the column only rises or only falls.

    Parameters
    ----------
    dtype : numpy dtype
        float32 or float64.

    Attributes
    ----------
    starts : int64 array of shape (n_pieces,)
        First position of each piece, ascending.
    accepted : bool array of shape (n_pieces,)
        Whether the pipeline takes the values there, and raises no error.
    safe : float
        A value that it takes, near 0.
    gap : float
        What stands for a missing value: NaN.
    """

    def __init__(self, dtype):
        self.dtype = np.dtype(dtype)
        self.last = largest_position(dtype)
        self.starts = np.array([-self.last])
        self.accepted = np.array([True])
        self.safe = self.dtype.type(0)
        self.gap = np.nan

    def cut(self, starts: np.ndarray) -> None:
        """Begin new pieces at these positions."""
        starts = np.union1d(self.starts, starts[(starts > -self.last) & (starts <= self.last)])
        self.accepted = self.accepted[self.piece(starts)]
        self.starts = starts

    def cut_out(self, values) -> None:
        """Give each of these values a piece of its own.

        Around a value that float32 has not, both neighbours get one: a comparison in float32
        may take either for it.
        """
        with np.errstate(over="ignore"):
            nearest = np.asarray(values, dtype=np.float64).astype(self.dtype)
        position = positions_of(nearest[np.isfinite(nearest)])
        self.cut(np.unique(position[:, None] + np.arange(-1, 3)))

    def refuse(self, pieces: np.ndarray) -> None:
        """Note that the pipeline raises an error in these pieces.

        Parameters
        ----------
        pieces : bool array of shape (n_pieces,)
        """
        self.accepted = self.accepted & ~pieces
        grid = self.grid()
        grid = grid[self.accepts(grid)]
        if not len(grid):
            raise ValueError("the pipeline takes no number at all there")
        self.safe = self.values(grid[[np.abs(grid).argmin()]])[0]

    def piece(self, positions: np.ndarray) -> np.ndarray:
        """Index of the piece that each position lies in."""
        return np.searchsorted(self.starts, positions, side="right") - 1

    def accepts(self, positions: np.ndarray) -> np.ndarray:
        """Whether the pipeline takes the values at these positions."""
        return self.accepted[self.piece(positions)]

    def grid(self) -> np.ndarray:
        """Both ends of every piece, and samples between them: ascending positions."""
        ends = np.append(self.starts[1:] - 1, self.last)
        return np.unique(np.concatenate([_samples(self.dtype), self.starts, ends]))

    def values(self, positions: np.ndarray) -> np.ndarray:
        """The floats at these positions."""
        return floats_at(positions, self.dtype)

    def column(self, values, n_rows: int) -> np.ndarray:
        """Values as a column of a table, with safe ones below."""
        column = np.full(n_rows, self.safe)
        column[: len(values)] = values
        return column


class Category:
    """A raw column of categories.

    Parameters
    ----------
    values : iterable
        Texts, booleans, numbers and the like, and gaps.

    Attributes
    ----------
    known : list
        Distinct values, as they came, without gaps.
    safe : object
        One of them.
    gap : object
        What stands for a missing value.
    """

    def __init__(self, values):
        distinct = list(dict.fromkeys(values))
        self.known = [value for value in distinct if not is_gap(value)]
        self.gap = next((value for value in distinct if is_gap(value)), np.nan)
        if None not in distinct or any(value is not None and is_gap(value) for value in distinct):
            self.gap = np.nan
        self.safe = self.known[0]
        self._are_numbers = real_numbers(self.known) is not None

    def unknown(self, start="unknown"):
        """A text that is none of the known ones: repetitions of one."""
        value = start
        while value in self.known:
            value += start
        return value

    def column(self, values, n_rows: int) -> np.ndarray:
        """Values as a column of a table, with a known one below."""
        if self._are_numbers:
            return np.array([*values, *[self.safe] * (n_rows - len(values))], dtype=np.float64)
        column = np.empty(n_rows, dtype=object)
        column[: len(values)] = values
        column[len(values) :] = self.safe
        is_bool = all(isinstance(value, (bool, np.bool_)) for value in column)
        return column.astype(bool) if is_bool else column


class RawRows:
    """Rows as the pipeline takes them, made of values of some of their columns.

    Parameters
    ----------
    sources : list of Number or Category
    names : array of str, or None
        None where the pipeline was fitted on an array.
    """

    def __init__(self, sources: list, names):
        self.sources = sources
        self.names = names

    def __call__(self, values: dict):
        """A table in which columns that are not given, or end early, hold safe values.

        Parameters
        ----------
        values : dict from int to sequence
        """
        n_rows = max(map(len, values.values()))
        columns = [
            source.column(values.get(index, ()), n_rows)
            for index, source in enumerate(self.sources)
        ]
        if self.names is not None:
            return _frame(dict(zip(self.names, columns, strict=True)))
        if all(column.dtype.kind == "f" for column in columns):
            return np.stack(columns, axis=1)
        return np.stack([column.astype(object) for column in columns], axis=1)


def _frame(columns: dict):
    try:
        return import_module("pandas").DataFrame(columns)
    except ImportError:
        return import_module("polars").DataFrame(columns)

"""A fitted pipeline as a function of raw values: what the estimator at its end gets.

The pipeline's own `transform` is all that is asked, on rows that are made for it.
"""

from __future__ import annotations

import sys
import warnings
from contextlib import contextmanager

import numpy as np

from .._encoding import InputEncoding
from .._rows import converted
from ._floats import changes
from ._rules import real_numbers
from ._sources import Category, Number, RawRows
from ._walk import Column, Mark, Notes, walk

__all__ = ["Pipe", "unchecked"]

_GAP, _REFUSED = -1, -2  # instead of a level


class Pipe:
    """Fitted steps, with the raw columns before them and the estimator's encoding after them.

    Parameters
    ----------
    steps : list of (str, transformer)
    encoding : InputEncoding
        Of the estimator.
    n_features : int
        Raw columns.
    names : array of str of shape (n_features,), or None
    dtype : numpy dtype
        Of raw numbers, float32 or float64.

    Attributes
    ----------
    columns : list of Column
        Those that the estimator gets.
    sources : list of Number or Category
        The raw columns.
    rows : RawRows
        Makes rows of values.
    blocks : int64 array of shape (n_features,)
        The same number for raw columns that first meet a step in one array.

    Raises
    ------
    ValueError
        If a step cannot be folded.
    """

    def __init__(self, steps, encoding: InputEncoding, n_features: int, names, dtype):
        notes = Notes()
        columns, evaluate = [Column(i) for i in range(n_features)], lambda rows: rows
        for name, step in steps:
            columns, evaluate = walk(step, columns, evaluate, notes, name)
        if len(columns) != encoding.n_features:
            raise ValueError(
                f"The steps {_changing(columns)} cannot be folded: by their rules they make "
                f"{len(columns)} columns, but the estimator was fitted on {encoding.n_features}."
            )
        marks = notes.marks
        for position, known in enumerate(encoding.categories):
            if known is not None:
                values = known.tolist()
                marks.append(
                    Mark(columns[position], evaluate, position, values, None, False, "last")
                )
        self.columns, self.encoding, self._evaluate = columns, encoding, evaluate
        self._made_of: dict[int, list[int]] = {}
        for position, column in enumerate(columns):
            self._made_of.setdefault(column.source, []).append(position)
        self.blocks = _blocks(notes.blocks, n_features)
        self.sources = _sources(marks, n_features, dtype)
        self.rows = RawRows(self.sources, names)
        with unchecked():
            for mark in marks:
                if isinstance(self.sources[mark.column.source], Number):
                    self._cut(mark)

    @property
    def number_sources(self) -> list[int]:
        """Raw columns of numbers."""
        return [i for i, source in enumerate(self.sources) if isinstance(source, Number)]

    def made_of(self, source: int) -> list[int]:
        """Columns of the estimator that come from a raw column."""
        return self._made_of.get(source, [])

    def codes_of(self, source: int) -> np.ndarray:
        """Codes of the estimator that come from a raw column: int64 array of places."""
        return np.flatnonzero(np.isin(self.encoding.feature, self.made_of(source)))

    def numbers(self, values: dict) -> np.ndarray:
        """What the estimator gets where raw columns have these values.

        Parameters
        ----------
        values : dict from int to sequence
            Values of raw columns; the others get some that the pipeline accepts.

        Returns
        -------
        real array of shape (n_samples, n_columns)
            The largest float stands for numbers that overflowed.
        """
        made = self.encoding
        numbers = converted(
            self.table(values), made.categories, made.is_date, None, made.is_ignored
        )
        return np.nan_to_num(numbers, nan=np.nan)  # infinity is beyond all levels of a table

    def table(self, values: dict):
        """What comes out of the steps, as `numbers` takes the values; a dense table."""
        table = self._evaluate(self.rows(values))
        return table.toarray() if hasattr(table, "toarray") else table

    def codes(self, numbers: np.ndarray) -> np.ndarray:
        """Codes of the estimator for what it gets."""
        return self.encoding.codes(self.encoding.levels(numbers))

    def signature(self, positions: list[np.ndarray]) -> list[np.ndarray]:
        """Levels of all columns of the estimator, by the raw column that they come from.

        Parameters
        ----------
        positions : list of int64 arrays
            Of floats, one array for each of `number_sources`.

        Returns
        -------
        list of int64 arrays of shape (n_positions, n_columns)
            -1 where the column is NaN, -2 where the pipeline raises an error.
        """
        where = dict(zip(self.number_sources, positions, strict=True))
        numbers = self.numbers({i: self.values_at(i, p) for i, p in where.items()})
        levels = self.encoding.levels(numbers).astype(np.int64)
        levels[np.isnan(numbers)] = _GAP
        return [
            self._of_accepted(levels[: len(p), self.made_of(i)], i, p) for i, p in where.items()
        ]

    def values_at(self, source: int, positions: np.ndarray) -> np.ndarray:
        """Values of a raw column at these positions, safe ones where an error would be raised."""
        number = self.sources[source]
        return np.where(number.accepts(positions), number.values(positions), number.safe)

    def _of_accepted(self, values: np.ndarray, source: int, positions: np.ndarray) -> np.ndarray:
        return np.where(self.sources[source].accepts(positions)[:, None], values, _REFUSED)

    def _cut(self, mark: Mark) -> None:
        """Cut a raw column where the column of a mark passes one of its values."""
        number, values = self.sources[mark.column.source], real_numbers(mark.values)
        assert values is not None
        if mark.column.is_raw:
            number.cut_out(values)
        else:
            values = np.unique(np.append(values, values.astype(np.float32)))
            number.cut(changes(self._reader(mark, lambda x: _side(x, values)), [number.grid()])[0])
        if mark.accepts is not None or mark.is_closed:
            accepts = mark.accepts or (lambda x: np.isin(x, values))
            number.refuse(self._reader(mark, accepts)([number.starts])[0][:, 0] != 1)

    def _reader(self, mark: Mark, function):
        """A signature: what a function says of the column of a mark."""
        source = mark.column.source

        def read(positions):
            (where,) = positions
            column = _column_of(
                mark.evaluate(self.rows({source: self.values_at(source, where)})), mark
            )
            said = np.asarray(function(column), dtype=np.int64)
            return [self._of_accepted(said[:, None], source, where)]

        return read


def _sources(marks: list[Mark], n_features: int, dtype) -> list:
    """Raw columns: of categories where a step looks up values that are no numbers, or no others."""
    looked_up: dict[int, list] = {}
    for mark in marks:
        texts = real_numbers(mark.values) is None
        if texts and not mark.column.is_raw:
            raise ValueError(
                f"The step {mark.column.changed_by} cannot be folded: it makes the categories of "
                f"the step {mark.path} out of raw values, and nothing tells out of which. Do that "
                "before the pipeline."
            )
        if texts or (mark.is_closed and mark.column.is_raw):
            looked_up.setdefault(mark.column.source, [])
    for mark in marks:
        if mark.column.source in looked_up and mark.column.is_raw:
            looked_up[mark.column.source] += mark.values
    return [
        Category(looked_up[source]) if source in looked_up else Number(dtype)
        for source in range(n_features)
    ]


def _changing(columns: list[Column]) -> str:
    return ", ".join(dict.fromkeys(column.changed_by for column in columns if not column.is_raw))


def _blocks(found: list[set[int]], n_features: int) -> np.ndarray:
    numbers = np.full(n_features, len(found))
    for number, block in reversed(list(enumerate(found))):
        numbers[list(block)] = number
    return numbers


def _side(x: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Between which of the values x lies, or which one it equals; -1 for NaN."""
    side = np.searchsorted(values, x, side="left") + np.searchsorted(values, x, side="right")
    return np.where(np.isnan(x), _GAP, side)


def _column_of(table, mark: Mark) -> np.ndarray:
    table = table.toarray() if hasattr(table, "toarray") else table
    column = table.iloc[:, mark.position] if hasattr(table, "iloc") else table[:, mark.position]
    return np.asarray(column).astype(np.float64)


@contextmanager
def unchecked():
    """Let values overflow on their way through the pipeline; warnings are for the user's rows."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        # The pipeline came from there, so it has been imported.
        with sys.modules["sklearn"].config_context(assume_finite=True):
            yield

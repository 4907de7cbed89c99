"""Columns of a table as numbers or categories, with what the reader must know about each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ._formats import number_readings
from ._texts import AS_TEXT, TOO_LONG, UNDECIDED, Conventions, TextColumn, evidence

__all__ = ["AS_DATES", "Column", "described", "read_columns"]

_AS_NUMBERS = "read as numbers"
AS_DATES = "read as dates, in days since the earliest"
_AS_MISSING = "counted as missing"
_MOST_NAMES = 20  # of columns in one line


@dataclass
class Column:
    """A column that was read.

    Attributes
    ----------
    values : Series
        float64 or str, NaN where a value is missing.
    notes : dict from str to str
        Lines of the description that name the column, and what each says of it.
    origin : Timestamp or None
        The earliest date, where the values are days since then.
    """

    values: Any
    notes: dict[str, str] = field(default_factory=dict)
    origin: Any = None

    @property
    def is_numeric(self) -> bool:
        """Whether the values are numbers."""
        return self.values.dtype.kind == "f"

    @property
    def as_it_is(self):
        """The values, where they are dates as such, without a time zone."""
        import pandas as pd

        if self.origin is None:
            return self.values
        days = pd.to_timedelta(self.values, unit="D").dt.round("us")
        return (self.origin + days).dt.tz_localize(None)

    @property
    def doubts(self) -> list[str]:
        """Why the values are no numbers, where one may ask."""
        return [self.notes[heading] for heading in (AS_TEXT, UNDECIDED) if heading in self.notes]


def described(columns: dict[str, Column]) -> list[str]:
    """Lines for the reader about what became of the columns."""
    lines: dict[str, list[str]] = {}
    for name, column in columns.items():
        for heading, detail in column.notes.items():
            lines.setdefault(heading, []).append(f"{name!r} ({detail})")
    return [f"{heading}: {_listed(items)}" for heading, items in lines.items()]


def _listed(items: list[str]) -> str:
    more = len(items) - _MOST_NAMES
    return ", ".join(items[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def read_columns(
    frame, conventions: Conventions, as_text: Collection[str] = ()
) -> dict[str, Column]:
    """Read every column of a table.

    Parameters
    ----------
    frame : DataFrame
        Texts, or values that have a type already.
    conventions : Conventions
    as_text : collection of str
        Columns that are categories, even where their texts are numbers.

    Returns
    -------
    dict from str to Column
        In the order of `frame`.
    """
    import pandas as pd

    columns: dict[str, Column] = {}
    texts, codes = {}, {}
    for name in frame:
        column = None if name in as_text else _typed(frame[name], conventions)
        if column is None:
            stripped = _as_text(frame[name]).map(str.strip, na_action="ignore")
            codes[name], distinct = pd.factorize(stripped)
            texts[name] = TextColumn(np.asarray(distinct, object), conventions, name in as_text)
        else:
            columns[name] = column
    usual = evidence(texts.values())
    for name, column in texts.items():
        columns[name] = _decided(column, usual, codes[name], frame.index)
    return {name: columns[name] for name in frame}


def _decided(text: TextColumn, usual, codes, index) -> Column:
    """What the texts are, given what is usual in the file."""
    import pandas as pd

    def spread(values):
        # code -1: no value
        return pd.Series(np.append(values, [np.nan])[codes], index, dtype=values.dtype)

    reading = text.chosen(usual)
    if reading is None:
        values = text.texts.copy()
        values[text.is_missing] = np.nan
        return Column(spread(values), text.why_text())
    values = np.full(len(text.texts), np.nan)
    values[text.is_value] = reading.values
    notes = {}
    if example := text.example(reading):
        notes[AS_DATES if reading.kind == "dates" else _AS_NUMBERS] = example
    if text.is_mark.any():
        notes[_AS_MISSING] = ", ".join(map(repr, text.texts[text.is_mark]))
    return Column(spread(values), notes, reading.origin)


def _typed(series, conventions: Conventions) -> Column | None:
    """A column whose type says what it is, None for texts."""
    import pandas as pd
    from pandas.api import types

    if series.dtype == object:  # what Parquet's dates and decimals are read as
        kind = types.infer_dtype(series, skipna=True)
        if kind == "date":
            series = pd.to_datetime(series)
        elif kind == "decimal":
            series = series.astype("float64")
    if types.is_datetime64_any_dtype(series):
        days = (series - series.min()).dt.total_seconds() / 86400
        notes = {AS_DATES: f"from {series.min()}"}
        return Column(days.astype("float64"), notes, series.min())
    if types.is_timedelta64_dtype(series):
        return Column(series.dt.total_seconds().astype("float64"))
    if isinstance(series.dtype, pd.CategoricalDtype) or types.is_bool_dtype(series):
        return Column(_as_text(series))
    if types.is_numeric_dtype(series):
        return _numeric(series, conventions.missing or ())
    return None


def _numeric(series, missing) -> Column:
    from pandas.api import types

    values = series.astype("float64")
    if types.is_integer_dtype(series) and values.abs().max() > 2**53:
        return Column(_as_text(series), {AS_TEXT: TOO_LONG})
    marks = [read[0].values[0] for mark in missing if (read := number_readings([mark]))]
    return Column(values.where(np.isfinite(values) & ~values.isin(marks)))


def _as_text(series):
    series = series.astype(object)
    return series.where(series.notna(), np.nan).map(str, na_action="ignore").astype(object)

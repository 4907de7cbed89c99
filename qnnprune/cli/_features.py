"""The features of a table: every column but the target that can say something about it."""

from __future__ import annotations

import re
from collections.abc import Collection

import numpy as np

from ..encoding._categories import MOST_CATEGORIES
from ._columns import AS_DATES, Column, described
from ._errors import InputError

__all__ = ["features"]

_NAMES = 0.9  # share of different texts above which a column is taken for names
_LEFT_OUT = "left out"
_SUSPECT = "perhaps without meaning, see --drop"
_MANY = f"kept as categories, all but the {MOST_CATEGORIES} most frequent as one"
_IDENTIFIER = re.compile(r"(?:.*[\W_])?[iI][dD]|.*[a-z]I[dD]")  # id, user_id, userId


def features(columns: dict[str, Column], known, target: str, categories: Collection[str]):
    """Choose the features, and note in `columns` what is left out and what is suspect.

    Parameters
    ----------
    columns : dict from str to Column
    known : bool Series
        Rows to keep.
    target : str
    categories : collection of str
        Columns that the user wants, whatever their texts.

    Returns
    -------
    DataFrame of shape (n_rows, n_features)
        Columns of float64, of dates, or of str, with NaN for missing values.

    Raises
    ------
    InputError
        If no feature is left.
    """
    import pandas as pd

    chosen = {}
    y = columns[target].values
    for name, column in columns.items():
        if name == target:
            continue
        useless = _uselessness(name, column, known, name in categories)
        if useless:
            column.notes = {_LEFT_OUT: "; ".join([useless, *column.doubts])}
        else:
            column.notes |= _suspicion(name, column, y)
            column.notes |= _shared(column, known)
            chosen[name] = column.as_it_is[known].reset_index(drop=True)
    if not chosen:
        what = f"There is no column besides {target!r} to predict it from"
        raise InputError("; ".join([what, *described(columns)]))
    return pd.DataFrame(chosen)


def _uselessness(name: str, column: Column, known, is_wanted: bool) -> str:
    """Why a column says nothing; "" where it may say something."""
    if name.startswith("Unnamed: ") and _counts_rows(column):
        return "numbers the rows"
    n_rows, values = known.sum(), column.values[known].dropna()
    n_distinct = values.nunique()
    if n_distinct == 0:
        return "no value"
    if n_distinct == 1 and len(values) == n_rows:
        return f"always {_shown(values.iloc[0])}"
    are_names = not column.is_numeric and n_distinct > _NAMES * len(values) > _NAMES * n_rows / 2
    if are_names and not is_wanted:
        return f"{n_distinct} different texts in {len(values)} rows: --categories"
    return ""


def _suspicion(name: str, column: Column, y) -> dict[str, str]:
    """A note about a column that is probably no feature."""
    if column.values.equals(y):
        return {_SUSPECT: "equal to the target"}
    if _counts_rows(column):
        return {_SUSPECT: "numbers the rows"}
    if _IDENTIFIER.fullmatch(name) and column.is_numeric and column.values.is_unique:
        return {_SUSPECT: "a different number in every row"}
    return {}


def _counts_rows(column: Column) -> bool:
    if not column.is_numeric or AS_DATES in column.notes:
        return False
    return column.values.iloc[0] in (0, 1) and bool((np.diff(column.values) == 1).all())


def _shared(column: Column, known) -> dict[str, str]:
    """A note about categories that share a code."""
    n_distinct = 0 if column.is_numeric else column.values[known].nunique()
    return {_MANY: f"{n_distinct} different texts"} if n_distinct > MOST_CATEGORIES else {}


def _shown(value) -> str:
    return value if isinstance(value, str) else f"{value:g}"

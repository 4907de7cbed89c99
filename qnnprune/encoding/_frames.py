"""Columns of raw rows: taken from frames of any kind, and what they hold.

Columns of frames are taken one by one, without importing what made the frame: pandas, polars and
pyarrow all give numpy arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from numbers import Real

import numpy as np

__all__ = [
    "PLAIN",
    "columns_of",
    "is_frame",
    "is_missing",
    "kind_of",
    "label",
    "names_of",
    "types_of",
    "words_of",
]

# Kinds of values, in words.
_WORDS = {
    "number": "numbers", "text": "text", "bool": "truth values", "date": "dates",
    "mixed": "values of different kinds",
}  # fmt: skip
PLAIN = "biuf"  # kinds of dtype that are real numbers


def is_frame(X) -> bool:
    """Whether X has named columns: a DataFrame of any kind, or a dict of columns."""
    return isinstance(X, Mapping) or hasattr(X, "columns")


def names_of(X) -> list:
    """Names of the columns of a frame."""
    if isinstance(X, Mapping):
        return list(X)
    names = getattr(X, "column_names", None)  # pyarrow's; its columns are data
    return names if isinstance(names, list) else list(X.columns)


def columns_of(X) -> list[np.ndarray]:
    """Columns of a frame, or of an array of rows, one array each.

    Raises
    ------
    ValueError
        If X is no table.
    """
    if not is_frame(X):
        return list(_rows(X).T)
    if isinstance(X, Mapping):
        return _of_one_length([_array(values) for values in X.values()])
    if hasattr(X, "iloc"):  # by place, as names may be there twice
        return [_array(X.iloc[:, place]) for place in range(X.shape[1])]
    return [_array(X[place]) for place in names_of(X)]


def types_of(X) -> list[np.dtype]:
    """Types of the columns of a frame, object where scikit-learn finds no real type of numpy's."""
    types = [column.dtype for column in columns_of(X)]
    own = list(X.dtypes) if hasattr(X, "iloc") else types
    is_real = [isinstance(kind, np.dtype) and kind.kind in PLAIN for kind in own]
    return [t if real else np.dtype(object) for t, real in zip(types, is_real, strict=True)]


def _of_one_length(columns: list) -> list:
    shapes = {column.shape for column in columns}
    if any(len(shape) != 1 for shape in shapes):
        raise ValueError(
            f"X has columns of the shapes {sorted(shapes)}, but each must be a list of values: those "
            "of a single row are lists of one."
        )
    if len(shapes) > 1:
        raise ValueError(f"X has columns of different lengths: {[n for (n,) in sorted(shapes)]}.")
    return columns


def _rows(X) -> np.ndarray:
    """Rows in an array that keeps the type of each value."""
    try:
        array = np.asarray(X)
    except ValueError as error:
        raise ValueError("X has rows of different lengths, or cells that are lists.") from error
    if array.dtype.kind in "USV" and not isinstance(X, np.ndarray):
        array = np.array(X, dtype=object)  # numpy turns numbers among texts into texts
    if array.ndim != 2:
        raise ValueError(
            f"X has shape {array.shape}, but rows of one value per column are needed: "
            "a single row is X.reshape(1, -1)."
        )
    return array


def _array(column) -> np.ndarray:
    if str(getattr(column, "type", "")).startswith("dictionary"):
        column = column.cast(
            column.type.value_type
        )  # numpy would lose the gaps of pyarrow's dictionaries
    array = np.asarray(column)
    if isinstance(column, (list, tuple)) and array.dtype.kind in "US":
        array = np.array(column, dtype=object)
    if array.dtype.kind == "O" and hasattr(column, "dt") and hasattr(column.dt, "tz_convert"):
        array = np.asarray(column.dt.tz_convert(None))  # pandas' dates with a time zone
    return array.astype(object) if array.dtype.kind in "UT" else array


def kind_of(values: np.ndarray) -> str:
    """What a column holds, gaps aside: "number", "text", "bool", "date", "mixed" or another type.

    "number" where it holds nothing but gaps.
    """
    if values.dtype.kind in PLAIN:
        return "bool" if values.dtype.kind == "b" else "number"
    if values.dtype.kind == "M":
        return "date"
    if values.dtype.kind != "O":
        return "text" if values.dtype.kind in "UT" else str(values.dtype)
    types = {type(value) for value in values if not is_missing(value)}
    kinds = {_kind_of_type(kind) for kind in types}
    if kinds == {"bool", "number"}:
        return "number"
    return kinds.pop() if len(kinds) == 1 else "mixed" if kinds else "number"


def words_of(kind: str) -> str:
    """A kind of values as messages call it."""
    return _WORDS.get(kind, f"values of type {kind}")


def _kind_of_type(kind: type) -> str:
    if issubclass(kind, (bool, np.bool_)):
        return "bool"
    if issubclass(kind, np.timedelta64):  # numpy counts them among the integers
        return kind.__name__
    known = {(Real, Decimal): "number", (str,): "text", (date, np.datetime64): "date"}
    return next((name for types, name in known.items() if issubclass(kind, types)), kind.__name__)


def is_missing(value) -> bool:
    """Whether a value is None, NaN, NaT or pandas' NA, which is not even unequal to itself."""
    if value is None:
        return True
    if type(value) in (str, int, float, bool):
        return value != value  # noqa: PLR0124
    if type(value).__name__ == "NAType":
        return True
    same = value == value  # noqa: PLR0124
    return isinstance(same, (bool, np.bool_)) and not same


def label(place: int, names) -> str:
    """A column as messages name it."""
    return f"Column {place}" if names is None else f"Column {str(names[place])!r}"

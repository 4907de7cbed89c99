"""Raw rows as numbers: categories as their places, dates as days, gaps as NaN.

All that can be wrong with a column is said here, by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone

import numpy as np

from .._utils import plain_number
from ._frames import PLAIN, columns_of, is_frame, is_missing, kind_of, label, names_of, words_of

__all__ = ["all_finite", "check_finite", "check_others", "converted", "numbers_of"]


def numbers_of(X, categories, is_date: np.ndarray, names=None, *, ignored=None) -> np.ndarray:
    """Turn raw rows into numbers; gaps, and nothing else, become NaN.

    Parameters
    ----------
    X : array-like, DataFrame or dict of columns, of shape (n_samples, n_features)
    categories : sequence of None or arrays, of length n_features
    is_date : bool array of shape (n_features,)
    names : sequence of str of shape (n_features,), optional
    ignored : bool array of shape (n_features,), optional
        Columns that may hold anything.

    Returns
    -------
    real array of shape (n_samples, n_features)

    Raises
    ------
    ValueError
        See `InputEncoding.numbers`.
    """
    ignored = np.zeros(len(categories), dtype=bool) if ignored is None else ignored
    numbers = converted(X, categories, is_date, names, ignored)
    if not all_finite(numbers):
        check_finite(numbers, names, ignored)
    return numbers


def converted(X, categories, is_date: np.ndarray, names, ignored: np.ndarray) -> np.ndarray:
    """What `numbers_of` returns, where infinity is let through."""
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        raise ValueError("X has masked values: fill them first, X.filled(value).")
    if is_frame(X):
        check_names(names_of(X), names)
    numbers = _plain(X, categories, is_date)
    if numbers is None:
        numbers = _by_column(X, categories, is_date, names, ignored)
    _check_width(numbers.shape, len(categories))
    return numbers


def check_names(found: list, names) -> None:
    """Refuse a frame whose columns are not those that were fitted, in that order.

    Raises
    ------
    ValueError
    """
    if names is None or found == list(names):
        return
    expected = [plain_number(name) for name in names]
    lacking = [name for name in expected if name not in found]
    unknown = [name for name in found if name not in expected]
    said = [f"lacks the columns {_few(lacking)}"] * bool(lacking)
    said += [f"has the columns {_few(unknown)}, which were not fitted"] * bool(unknown)
    twice = [name for name in expected if found.count(name) > 1]
    if twice and not said:
        said = [f"has the columns {_few(twice)} more than once"]
    if not said:
        said = [f"has the columns {_few(found)} where {_few(expected)} were fitted, in that order"]
    raise ValueError(
        f"X {' and '.join(said)}: X[list(network.feature_names)] selects what is needed."
    )


def _few(names: list, most: int = 5) -> str:
    return str(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _plain(X, categories, is_date) -> np.ndarray | None:
    """X as an array, where that holds real numbers and needs nothing looked up."""
    looked_up = any(known is not None for known in categories)
    by_column = isinstance(X, Mapping) or hasattr(X, "column_names")  # pyarrow's
    if by_column or looked_up or (is_frame(X) and is_date.any()):
        return None
    try:
        array = np.asarray(X)
    except (TypeError, ValueError):  # rows of different lengths, types that do not mix
        return None
    return array if array.dtype.kind in PLAIN and array.dtype.itemsize <= 8 else None


def _by_column(X, categories, is_date, names, ignored) -> np.ndarray:
    columns = columns_of(X)
    _check_width((len(columns[0]) if columns else 0, len(columns)), len(categories))
    numbers = np.empty((len(columns[0]), len(columns)))
    for place, (values, known) in enumerate(zip(columns, categories, strict=True)):
        where = label(place, names)
        if ignored[place]:
            numbers[:, place] = 0
        elif known is not None:
            numbers[:, place] = places_of(values, known, where)
        elif is_date[place] and (is_frame(X) or kind_of(values) != "number"):
            numbers[:, place] = days_of(values, where)
        else:
            numbers[:, place] = reals_of(values, where)
    return numbers


def check_others(X, numbers: np.ndarray, categories, takes_others: np.ndarray, names) -> None:
    """Refuse values that are no known category, in columns that take no others.

    Raises
    ------
    ValueError
    """
    for place in np.flatnonzero(~takes_others).tolist():
        is_other = numbers[:, place] == len(categories[place])
        if is_other.any():
            value = columns_of(X)[place].tolist()[is_other.argmax()]
            raise ValueError(
                f"{label(place, names)} has the value {value!r}, which the training rows had not "
                "and the fitted pipeline refuses."
            )


def _check_width(shape: tuple, n_features: int) -> None:
    if len(shape) != 2 or shape[1] != n_features:
        raise ValueError(f"X has shape {shape}, but this network expects {n_features} columns.")


def all_finite(numbers: np.ndarray) -> bool:
    """Whether no value is infinite or NaN; False may also mean that their sum overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        return numbers.dtype.kind != "f" or bool(np.isfinite(numbers.sum()))


def check_finite(numbers: np.ndarray, names, ignored: np.ndarray) -> None:
    """Refuse infinity, but not in columns that may hold anything.

    Raises
    ------
    ValueError
    """
    infinite = np.isinf(numbers).any(axis=0) & ~ignored
    if infinite.any():
        where = label(int(infinite.argmax()), names)
        raise ValueError(f"{where} contains infinity: only finite numbers and gaps are taken.")


def places_of(values: np.ndarray, categories: np.ndarray, where: str) -> np.ndarray:
    """Place of each value among the categories; their number for others, NaN for gaps.

    Parameters
    ----------
    values : array of shape (n_samples,)
    categories : array of shape (n_categories,)
    where : str
        The column, as messages name it.

    Returns
    -------
    float64 array of shape (n_samples,)
    """
    if len(categories):  # else any value is unknown
        _expect({"text"} if kind_of(categories) == "text" else {"number", "bool"}, values, where)
    index = {value: float(place) for place, value in enumerate(categories.tolist())}
    inverse: np.ndarray | slice = slice(None)
    if values.dtype.kind in PLAIN:
        values, inverse = np.unique(values, return_inverse=True)
    listed, others = values.tolist(), float(len(categories))
    places = np.array([index.get(value, others) for value in listed], dtype=np.float64)
    for place in np.flatnonzero(places == others):
        if is_missing(listed[place]):
            places[place] = np.nan
    return places[inverse]


def days_of(values: np.ndarray, where: str) -> np.ndarray:
    """Days since 1970-01-01 of dates, NaN for gaps; times of day are fractions."""
    _expect({"date"}, values, where)
    if values.dtype.kind == "O":
        values = np.array([_moment(value) for value in values], dtype="M8[us]")
    if values.dtype.kind in PLAIN:  # gaps, all of them
        return np.full(len(values), np.nan)
    return (values - np.datetime64("1970-01-01")) / np.timedelta64(1, "D")


def _moment(value):
    """A date without its time zone: in UTC."""
    if is_missing(value):
        return "NaT"
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(timezone.utc).replace(tzinfo=None)
    return np.datetime64(value)


def reals_of(values: np.ndarray, where: str) -> np.ndarray:
    """Real numbers of a column, NaN for gaps."""
    _expect({"number", "bool"}, values, where)
    if values.dtype.kind != "O":
        return values
    try:
        numbers = [np.nan if is_missing(value) else float(value) for value in values]
    except OverflowError as error:
        raise ValueError(f"{where} has values too large for float64.") from error
    return np.array(numbers, dtype=np.float64)


def _expect(kinds: set[str], values: np.ndarray, where: str) -> None:
    """Refuse a column of another kind; one that holds nothing but gaps is of any."""
    found = kind_of(values)
    if found in kinds or (found == "number" and _all_missing(values)):
        return
    fitted = {"number": "numbers were", "text": "text was", "date": "dates were"}[max(kinds)]
    raise ValueError(f"{where} holds {words_of(found)}, but {fitted} fitted: convert it first.")


def _all_missing(values: np.ndarray) -> bool:
    if values.dtype.kind == "f":
        return bool(np.isnan(values).all())
    return values.dtype.kind == "O" and all(map(is_missing, values))

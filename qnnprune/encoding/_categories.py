"""What the columns of training rows hold: numbers, dates, or categories, and which of these.

A categorical column keeps its most frequent categories; all others are *rare* and share a code
with those that training never saw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._utils import plain_labels
from ._frames import columns_of, is_frame, is_missing, kind_of, label, names_of, words_of

__all__ = ["MOST_CATEGORIES", "ColumnKinds", "learn_columns"]

MOST_CATEGORIES = 128  # of a column that are known; the others are rare


@dataclass(frozen=True, eq=False)
class ColumnKinds:
    """What each column holds.

    Attributes
    ----------
    categories : tuple of None or arrays of shape (n_categories,)
        None for numbers and dates, else the known values, ascending.
    is_date : bool array of shape (n_features,)
    """

    categories: tuple
    is_date: np.ndarray

    @property
    def is_numeric(self) -> bool:
        """Whether there are numbers alone."""
        return not self.is_date.any() and all(known is None for known in self.categories)


def learn_columns(X, weight: np.ndarray, categorical_features) -> ColumnKinds:
    """Learn what the columns hold, and the frequent categories of those that hold categories.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
    weight : float64 array of shape (n_samples,)
        Rows of weight 0 are not looked at.
    categorical_features : {"from_dtype"}, None or array-like
        "from_dtype" for the columns of a frame that hold text or are of a categorical type;
        else their names, indices or a boolean mask.

    Returns
    -------
    ColumnKinds

    Raises
    ------
    ValueError
        If a column holds values that are neither; it is named.
    """
    names = names_of(X) if is_frame(X) else None
    columns, kept = columns_of(X), weight > 0
    chosen = _chosen(X, columns, names, categorical_features)
    categories: list[np.ndarray | None] = [None] * len(columns)
    is_date = np.zeros(len(columns), dtype=bool)
    for place, column in enumerate(columns):
        where, values = label(place, names), column[kept]
        if chosen[place]:
            categories[place] = _frequent(values, weight[kept], where)
        else:
            is_date[place] = _is_date(values, where)
    return ColumnKinds(tuple(categories), is_date)


def _chosen(X, columns, names, categorical_features) -> np.ndarray:
    """Which columns are categorical."""
    if categorical_features is None:
        return np.zeros(len(columns), dtype=bool)
    if isinstance(categorical_features, str):
        if names is None:
            return np.zeros(len(columns), dtype=bool)
        typed = _types_of(X)
        pairs = zip(columns, typed, strict=True)
        return np.array([_is_category(text) or kind_of(c) == "text" for c, text in pairs])
    return _given(np.asarray(categorical_features), len(columns), names)


def _given(features: np.ndarray, n_features: int, names) -> np.ndarray:
    """A boolean mask from names, indices or a mask."""
    mask = np.zeros(n_features, dtype=bool)
    if features.dtype.kind == "b" and features.shape == mask.shape:
        return features
    if features.ndim == 1 and features.dtype.kind in "iu":
        if features.size and not -n_features <= features.min() <= features.max() < n_features:
            raise ValueError(f"categorical_features={features.tolist()} has no such columns in X.")
        mask[features] = True
        return mask
    if features.ndim == 1 and (features.dtype.kind in "UOT" or not features.size):
        unknown = [name for name in features.tolist() if name not in (names or [])]
        if unknown:
            raise ValueError(f"categorical_features names {unknown}, which are no columns of X.")
        return np.array([name in features.tolist() for name in names or mask])
    raise ValueError(
        f"categorical_features={features.tolist()!r} must be 'from_dtype', None, names of columns, "
        f"indices, or a mask of {n_features} truth values."
    )


def _types_of(X) -> list[str]:
    """Types of the columns of a frame, in words of its library."""
    if hasattr(X, "schema"):  # polars, pyarrow
        types = X.schema.types if hasattr(X.schema, "types") else X.schema.values()
        return [str(kind) for kind in types]
    return [str(kind) for kind in getattr(X, "dtypes", [])]


def _is_category(text: str) -> bool:
    return text.lower().startswith(("categor", "enum", "dictionary"))


def _is_date(values: np.ndarray, where: str) -> bool:
    kind = kind_of(values)
    if kind == "text":
        raise ValueError(
            f"{where} holds text, but is not among categorical_features: add it there, or convert "
            "it to numbers."
        )
    if kind not in ("number", "bool", "date"):
        raise ValueError(
            f"{where} holds {words_of(kind)}: convert it to numbers, text or dates first."
        )
    return kind == "date"


def _frequent(values: np.ndarray, weight: np.ndarray, where: str) -> np.ndarray:
    """The most frequent values, ascending; gaps are none."""
    kind = kind_of(values)
    if kind not in ("text", "number", "bool"):
        raise ValueError(
            f"{where} holds {words_of(kind)}, but categories must be text, numbers or truth values, "
            "all of one kind: convert it first, for instance to str."
        )
    there = np.array([not is_missing(value) for value in values.tolist()], dtype=bool)
    labels = plain_labels(values[there]) if there.any() else np.empty(0, dtype="U1")
    if labels is None:
        raise ValueError(f"{where} has categories that are no plain text or numbers.")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise ValueError(f"{where} contains infinity, which is no category: convert it first.")
    distinct, inverse = np.unique(labels, return_inverse=True)
    if len(distinct) > MOST_CATEGORIES:
        mass = np.bincount(inverse, weight[there])
        distinct = distinct[np.sort(np.argsort(-mass, kind="stable")[:MOST_CATEGORIES])]
    return distinct

"""Encoding fitted on training rows: quantile segments, and codes for gaps and categories."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from operator import index

import numpy as np

from ..accumulators import code_range
from ._encoding import InputEncoding, shifted

__all__ = ["auto_n_input_segments", "count_graded", "fit_encoding", "fit_input_encoding"]

# A value that many rows share would swallow several quantiles, and the rest of the
# feature would be left with few segments: none counts for more than this share.
_LARGEST_ATOM = 0.25
# Outer share of the rows whose values are clipped, on either side.
_CLIPPED_SHARE = 0.005
_QUANTILE_ROWS = 200_000  # rows that quantiles are taken from, at most
# Segments of each feature, at most, and of all features together.
_RESOLUTIONS = {"coarse": (16, 192), "fine": (48, 768)}


def fit_input_encoding(
    X, weight, *, n_segments: int, n_bits: int, random_state, categories=(), is_date=()
) -> InputEncoding:
    """Fit the input encoding on the rows of `X` that have a positive weight.

    Parameters
    ----------
    X : array or scipy sparse CSR matrix of shape (n_samples, n_features)
        Numbers: places of categories among those that are known, NaN for gaps.
    weight : float64 array of shape (n_samples,)
    n_segments : int
        Segments a feature gets; fewer where it has too few distinct values.
    n_bits : int
        Width of a code, in bits.
    random_state : numpy.random.RandomState
        Draws the rows where there are more than 200,000; up to there the encoding does not
        depend on the order of the rows, nor on whether one is repeated or weighted.
    categories, is_date : sequences of length n_features, optional
        As in `InputEncoding`.

    Returns
    -------
    InputEncoding
    """
    categories = tuple(categories) or (None,) * X.shape[1]
    rows = np.flatnonzero(weight > 0)
    if len(rows) > _QUANTILE_ROWS:
        rows = np.sort(random_state.choice(rows, _QUANTILE_ROWS, replace=False))
    every = len(rows) == X.shape[0]
    weight = weight[rows]
    table = X if every else X[rows]
    return fit_encoding(
        _columns(table), weight, n_segments=n_segments, n_bits=n_bits, categories=categories,
        is_date=is_date,
    )  # fmt: skip


def count_graded(X, weight, categories=()) -> int:
    """Features that have more than two values, gaps and categories aside.

    Parameters
    ----------
    X : array or scipy sparse CSR matrix of shape (n_samples, n_features)
    weight : float64 array of shape (n_samples,)
        Rows of weight 0 do not count.
    categories : sequence of length n_features, optional
        As in `InputEncoding`.
    """
    table = X if (weight > 0).all() else X[np.flatnonzero(weight > 0)]
    pairs = zip(_columns(table), categories or repeat(None), strict=False)
    return sum(known is None and _is_graded(column) for column, known in pairs)


def _columns(table) -> Iterator[np.ndarray]:
    if hasattr(table, "tocsc"):
        return _dense_columns(table.tocsc())
    return (table[:, j] for j in range(table.shape[1]))


def _dense_columns(table) -> Iterator[np.ndarray]:
    """Columns of a CSC matrix one after the other, from its arrays: slicing takes far longer."""
    table.sum_duplicates()
    for start, end in zip(table.indptr, table.indptr[1:], strict=False):
        column = np.zeros(table.shape[0], dtype=table.dtype)
        column[table.indices[start:end]] = table.data[start:end]
        yield column


def _is_graded(column: np.ndarray) -> bool:
    """Whether a feature has more than two values, gaps aside."""
    column = column[~_gaps(column)]
    return bool(len(column) and ((column != column.min()) & (column != column.max())).any())


def _gaps(column: np.ndarray) -> np.ndarray:
    return np.isnan(column) if column.dtype.kind == "f" else np.zeros(len(column), dtype=bool)


def auto_n_input_segments(n_graded: int, resolution: str = "coarse") -> int:
    """Segments a feature gets, where `n_graded` features have more than two values.

    Few features need a fine encoding each; many share the accumulator between them.
    """
    most, together = _RESOLUTIONS[resolution]
    return max(1, min(most, together // max(n_graded, 1)))


def fit_encoding(
    columns, weight: np.ndarray | None, *, n_segments: int, n_bits: int, categories=(), is_date=()
) -> InputEncoding:
    """Fit the quantile segments of every feature on the training rows.

    Parameters
    ----------
    columns : iterable of float arrays of shape (n_samples,)
        One array per feature, NaN for gaps; places for categories.
    weight : float64 array of shape (n_samples,), or None
        Sample weights: an integer weight counts as that many rows.
    n_segments : int
        Segments a feature gets; fewer where it has too few distinct values.
    n_bits : int
        Width of a code, in bits.
    categories, is_date : sequences of length n_features, optional
        As in `InputEncoding`.

    Returns
    -------
    InputEncoding

    Examples
    --------
    >>> column = np.array([0.0, 1.0, 2.0, 3.0])
    >>> encoding = fit_encoding([column], None, n_segments=1, n_bits=2)
    >>> encoding.thresholds
    array([[0.5, 1.5, 2.5]])
    >>> encoding.codes(encoding.levels(np.array([[-9.0], [0.6], [1.5], [9.0]]))).ravel()
    array([-2, -1,  0,  1], dtype=int8)
    """
    n_segments, n_bits = index(n_segments), index(n_bits)
    features = [
        _ramp(column, weight, n_segments, n_bits)
        if known is None
        else _categorical(column, weight, len(known), n_bits)
        for column, known in zip(columns, categories or repeat(None), strict=False)
    ]
    longest = max([2**n_bits - 1, *(len(feature.thresholds) for feature in features)])
    thresholds = np.full((len(features), longest), np.inf)
    for row, feature in zip(thresholds, features, strict=True):
        row[: len(feature.thresholds)] = feature.thresholds
    return InputEncoding(
        thresholds,
        np.array([feature.n_segments for feature in features], dtype=np.int64),
        n_bits,
        tuple(feature.table for feature in features),
        categories,
        np.array([feature.missing_level for feature in features], dtype=np.int64),
        np.array(is_date, dtype=bool),
    )


@dataclass(frozen=True, eq=False)
class _Feature:
    """What `InputEncoding` holds of one feature."""

    thresholds: np.ndarray
    n_segments: int
    table: np.ndarray | None
    missing_level: int


def _ramp(column, weight, n_segments: int, n_bits: int) -> _Feature:
    """Segments of numbers; where there are gaps, the ramp at the median and a code that tells."""
    gaps = _gaps(column)
    if gaps.all():
        return _Feature(np.empty(0), 0, None, 0)
    if gaps.any():
        column, weight = column[~gaps], None if weight is None else weight[~gaps]
    values, mass = _distinct(column, weight)
    edges, steps = _segment_edges(values, mass, n_segments), 2**n_bits - 1
    ramp = (np.arange(steps) + 0.5) / steps
    ramps = edges[:-1, None] * (1 - ramp) + edges[1:, None] * ramp
    # Between neighbouring floats a ramp may be rounded down to its foot.
    ramps = np.maximum(ramps, np.nextafter(edges[:-1, None], np.inf)).ravel()
    thresholds = np.maximum.accumulate(_apart(ramps, values))
    median = int(np.searchsorted(thresholds, _median(values, mass), side="right"))
    n_found = len(edges) - 1
    if not gaps.any():
        return _Feature(thresholds, n_found, None, median)
    return _Feature(thresholds, n_found, _with_indicator(n_found, median, n_bits), len(ramps) + 1)


def _median(values: np.ndarray, mass: np.ndarray) -> float:
    """The lower median; weights that are rounded otherwise give the same one."""
    cumulative = np.cumsum(mass)
    return values[np.searchsorted(cumulative, cumulative[-1] * 0.5 * (1 - 1e-9))]


def _with_indicator(n_segments: int, median: int, n_bits: int) -> np.ndarray:
    """Codes at each level of a ramp and, last, at a gap."""
    low, high = code_range(n_bits)
    steps = 2**n_bits - 1
    levels = np.append(np.arange(n_segments * steps + 1), median)
    risen = np.clip(levels[:, None] - np.arange(n_segments) * steps, 0, steps)
    tells = np.where(np.arange(len(levels)) == len(levels) - 1, high, low).astype(np.int8)
    return np.column_stack([shifted(risen, low), tells])


def _categorical(column, weight, n_known: int, n_bits: int) -> _Feature:
    """A code for each category, one for rare ones, and one for gaps, where training has such."""
    thresholds = np.arange(n_known) + 0.5
    gaps = _gaps(column)
    levels = np.where(gaps, n_known + 1, column).astype(np.intp)
    seen = np.bincount(levels, weight, minlength=n_known + 2) > 0
    missing_level = n_known + int(gaps.any())
    return _Feature(thresholds, 0, _one_hot(seen[: missing_level + 1], n_bits), missing_level)


def _one_hot(seen: np.ndarray, n_bits: int) -> np.ndarray:
    """A code for each level that was seen; one code where two were, none that changes for one."""
    low, high = code_range(n_bits)
    if seen.sum() == 1:
        return np.zeros((len(seen), 1), dtype=np.int8)
    codes = np.flatnonzero(seen)
    if len(codes) == 2:
        codes = codes[1:]
    return np.where(np.arange(len(seen))[:, None] == codes, high, low).astype(np.int8)


def _distinct(column: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Distinct values, ascending, and the sum of the weights of each, both in float64."""
    if weight is None or (weight == weight[0]).all():  # counting needs no argsort
        values, mass = np.unique(column, return_counts=True)
        mass = mass * (1.0 if weight is None else weight[0])
    else:
        values, inverse = np.unique(column, return_inverse=True)
        mass = np.bincount(inverse, weights=weight)
    return values.astype(np.float64), mass


def _segment_edges(values: np.ndarray, mass: np.ndarray, n_segments: int) -> np.ndarray:
    """Distinct values that bound the segments of one feature, ascending."""
    if len(values) <= n_segments + 1:
        return values
    mass = np.minimum(mass, mass.sum() * min(_LARGEST_ATOM, 1 / n_segments))
    cumulative = np.cumsum(mass)
    shares = np.linspace(0, 1, n_segments + 1)
    shares[[0, -1]] = _CLIPPED_SHARE / n_segments, 1 - _CLIPPED_SHARE / n_segments
    found = np.searchsorted(cumulative, shares * cumulative[-1])
    return np.unique(values[np.minimum(found, len(values) - 1)])


def _apart(thresholds: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Thresholds at least a quarter of the gap away from the training values around them.

    No training value changes sides, and none does so either where other software scales
    features with other roundings.
    """
    if len(values) < 2:
        return thresholds
    above = np.clip(np.searchsorted(values, thresholds), 1, len(values) - 1)
    low, high = values[above - 1], values[above]
    apart = np.clip(thresholds, 0.75 * low + 0.25 * high, 0.25 * low + 0.75 * high)
    # Between neighbouring floats there is no such room, and rounding may end at the lower one.
    return np.where(apart > low, apart, high)

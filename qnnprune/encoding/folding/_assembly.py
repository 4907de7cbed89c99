"""Levels of all raw columns as one input encoding."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np

from ..._utils import plain_labels
from ...accumulators import code_range
from .._encoding import InputEncoding
from .._thresholds import rounded_up
from ._levels import Levels

__all__ = ["assembled"]


@dataclass
class _Feature:
    """What an `InputEncoding` holds of one feature, with room for its thresholds' own number."""

    thresholds: np.ndarray
    single_thresholds: np.ndarray
    n_segments: int
    table: np.ndarray | None
    missing_level: int
    categories: np.ndarray | None = None
    takes_others: bool = True


def assembled(
    double: list[Levels], single: list[Levels], n_bits: int, blocks: np.ndarray
) -> InputEncoding:
    """The encoding of raw columns, from their levels for values in float64 and in float32.

    Parameters
    ----------
    double, single : list of Levels
        One entry per raw column.
    n_bits : int
        Width of a code, in bits.
    blocks : int64 array of shape (n_features,)
        The same number for raw columns that the pipeline converts to one type.

    Returns
    -------
    InputEncoding
    """
    features = [
        _feature(of_double, of_single, n_bits, place)
        for place, (of_double, of_single) in enumerate(zip(double, single, strict=True))
    ]
    thresholds = _padded([feature.thresholds for feature in features])
    singles = _padded([feature.single_thresholds for feature in features])
    differ = (singles != rounded_up(thresholds, np.float32)).any()
    return InputEncoding(
        thresholds,
        np.array([feature.n_segments for feature in features]),
        n_bits,
        tables=tuple(feature.table for feature in features),
        categories=tuple(feature.categories for feature in features),
        missing_level=np.array([feature.missing_level for feature in features]),
        takes_others=np.array([feature.takes_others for feature in features]),
        single_thresholds=singles.astype(np.float32) if differ else None,
        blocks=blocks if differ else None,
    )


def _padded(rows: list[np.ndarray]) -> np.ndarray:
    padded = np.full((len(rows), max(1, *map(len, rows))), np.inf)
    for row, values in zip(padded, rows, strict=True):
        row[: len(values)] = values
    return padded


def _feature(double: Levels, single: Levels, n_bits: int, place: int) -> _Feature:
    if double.codes.shape[1] == 0:
        return _Feature(np.empty(0), np.empty(0), 0, None, 0)
    if double.categories is not None:
        return _of_categories(double, place)
    starts, codes = _for_both_types(double, single)
    steps = 2**n_bits - 1
    risen, at_gap = _risen(codes, n_bits), _level_of_gap(double.gap, n_bits)
    if at_gap is not None and _is_whole_ramp(risen, codes.shape[1] * steps):
        begins = starts[np.searchsorted(risen, np.arange(1, risen[-1] + 1))]
        return _Feature(begins[:, 0], begins[:, 1], codes.shape[1], None, at_gap)
    table, missing = _with_gap(codes, double.gap)
    return _Feature(starts[1:, 0], starts[1:, 1], 0, table, missing)


def _of_categories(levels: Levels, place: int) -> _Feature:
    known = plain_labels(np.array(levels.categories, dtype=object))
    if known is None:
        raise ValueError(
            f"Raw column {place} has categories of different types: {levels.categories!r}. Make "
            "them text, in the training rows too."
        )
    thresholds = np.arange(len(known)) + 0.5
    table, missing = _with_gap(levels.codes, levels.gap)
    return _Feature(thresholds, thresholds, 0, table, missing, known, levels.takes_others)


def _with_gap(codes: np.ndarray, gap: np.ndarray | None) -> tuple[np.ndarray, int]:
    """A table and the level of gaps: the lowest one with the same codes, or one of their own."""
    if gap is None:
        return codes, -1
    same = np.flatnonzero((codes == gap).all(axis=1))
    return (codes, int(same[0])) if len(same) else (np.append(codes, [gap], axis=0), len(codes))


def _risen(codes: np.ndarray, n_bits: int) -> np.ndarray:
    """Level of each row of codes on a ramp; -1 where it is none."""
    n_codes, steps, low = codes.shape[1], 2**n_bits - 1, code_range(n_bits)[0]
    risen = codes.astype(np.int64).sum(axis=1) - n_codes * low
    ramp = np.clip(risen[:, None] - steps * np.arange(n_codes), 0, steps) + low
    return np.where((ramp == codes).all(axis=1), risen, -1)


def _is_whole_ramp(risen: np.ndarray, last: int) -> bool:
    """Whether levels rise from 0 to the last one, wherever they skip some."""
    return risen[0] == 0 and risen[-1] == last and bool((np.diff(risen) > 0).all())


def _level_of_gap(gap: np.ndarray | None, n_bits: int) -> int | None:
    """Level of a gap on a ramp, -1 where gaps are refused; None where its codes are no level."""
    if gap is None:
        return -1
    level = int(_risen(gap[None], n_bits)[0])
    return None if level < 0 else level


def _for_both_types(double: Levels, single: Levels) -> tuple[np.ndarray, np.ndarray]:
    """One sequence of levels for values in float64 and in float32.

    A transformer that computes in float32 may pass the thresholds of two columns in another
    order, or skip a level.  A level that one type lacks begins there where the next one begins.

    Returns
    -------
    begins : float64 array of shape (n_levels, 2)
        Where each level begins in float64 and in float32.
    codes : int8 array of shape (n_levels, n_codes)
    """
    keys = [[row.tobytes() for row in levels.codes] for levels in (double, single)]
    lowest = [np.finfo(levels.thresholds.dtype).min for levels in (double, single)]
    begins_double = np.append(lowest[0], double.thresholds)
    begins_single = np.append(lowest[1], single.thresholds.astype(np.float64))
    begins, codes = [], []
    for tag, *ends in SequenceMatcher(a=keys[0], b=keys[1], autojunk=False).get_opcodes():
        here, there = slice(*ends[:2]), slice(*ends[2:])
        if tag == "equal":
            begins.append(np.stack([begins_double[here], begins_single[there]], axis=1))
            codes.append(double.codes[here])
            continue
        begins.append(np.pad(begins_double[here, None], ((0, 0), (0, 1)), constant_values=np.nan))
        begins.append(np.pad(begins_single[there, None], ((0, 0), (1, 0)), constant_values=np.nan))
        codes += [double.codes[here], single.codes[there]]
    return _from_the_next(np.concatenate(begins)), np.concatenate(codes)


def _from_the_next(begins: np.ndarray) -> np.ndarray:
    """Where levels begin, NaN replaced by what follows; after the last level nothing does."""
    ends = np.array([[np.finfo(np.float64).max, np.inf]])
    known = np.where(np.isnan(begins), np.inf, begins)
    return np.minimum.accumulate(np.append(known, ends, axis=0)[::-1])[:0:-1]

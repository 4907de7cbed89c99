"""Levels of raw columns behind a pipeline, and the codes at each of them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from ._floats import changes, neighbourhood
from ._pipe import Pipe, unchecked
from ._sources import Category

__all__ = ["Levels", "levels_of"]

# Floats on either side of each threshold among which more are looked for: roundings inside a
# transformer may let a column fall back by its last digit where it rises.
_REACHES = (32, 512, 4096)


@dataclass
class Levels:
    """Codes of a raw column at each of its levels.

    Attributes
    ----------
    thresholds : float array of shape (n_levels - 1,)
        Where each level above the lowest begins, ascending.
    codes : int8 array of shape (n_levels, n_codes)
        For categories one row per known value, and one for all others.
    gap : int8 array of shape (n_codes,), or None
        None where the pipeline refuses gaps.
    categories : list, or None
        Known values; None for numbers.
    takes_others : bool
        False where the pipeline refuses values that are no known category.
    """

    thresholds: np.ndarray
    codes: np.ndarray
    gap: np.ndarray | None
    categories: list | None = None
    takes_others: bool = True


def levels_of(pipe: Pipe) -> list[Levels]:
    """The levels of every raw column.

    Raises
    ------
    ValueError
        If a column of numbers, between two marks, is neither rising nor falling.
    """
    numbers = dict(zip(pipe.number_sources, _thresholds(pipe), strict=True))
    with unchecked():
        codes = _codes_at(pipe, numbers)
    gaps = _tried(pipe, {source: kind.gap for source, kind in enumerate(pipe.sources)})
    return [
        _of_categories(pipe, source, gaps[source])
        if isinstance(kind, Category)
        else _of_numbers(pipe, source, numbers[source], codes[source], gaps[source])
        for source, kind in enumerate(pipe.sources)
    ]


def _thresholds(pipe: Pipe) -> list[np.ndarray]:
    """Positions at which something changes, for each raw column of numbers."""
    if not pipe.number_sources:
        return []
    grids = [pipe.sources[i].grid() for i in pipe.number_sources]
    with unchecked():
        for source, grid, levels in zip(
            pipe.number_sources, grids, pipe.signature(grids), strict=True
        ):
            _check_monotone(pipe, source, grid, levels)
        found = changes(pipe.signature, grids)
        return _with_roundings(pipe, found)


def _check_monotone(pipe: Pipe, source: int, grid: np.ndarray, levels: np.ndarray) -> None:
    pieces = pipe.sources[source].piece(grid)
    for position, column in zip(pipe.made_of(source), levels.T, strict=True):
        known = column >= 0
        step = np.diff(column[known])[np.diff(pieces[known]) == 0]
        piece = pieces[known][1:][np.diff(pieces[known]) == 0]
        both = np.intersect1d(piece[step > 0], piece[step < 0])
        if len(both):
            raise ValueError(
                f"The step {pipe.columns[position].changed_by} cannot be folded: what it makes of "
                f"raw column {source} both rises and falls. Do that before the pipeline."
            )


def _with_roundings(pipe: Pipe, found: list[np.ndarray]) -> list[np.ndarray]:
    """These thresholds, and more where roundings make a column change back and forth nearby."""
    dtypes = [pipe.sources[i].dtype for i in pipe.number_sources]
    uneven = found
    for reach in _REACHES:
        near = [neighbourhood(p, reach, d) for p, d in zip(uneven, dtypes, strict=True)]
        if not any(map(len, near)):
            break
        more = [
            np.union1d(old, _next_to_each_other(places, levels))
            for old, places, levels in zip(found, near, pipe.signature(near), strict=True)
        ]
        grown = [len(new) > len(old) for new, old in zip(more, found, strict=True)]
        uneven = [new if g else new[:0] for new, g in zip(more, grown, strict=True)]
        found = more
    return found


def _next_to_each_other(positions: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Positions that have another level than the float just below."""
    differ = (levels[1:] != levels[:-1]).any(axis=1)
    return positions[1:][differ & (positions[:-1] + 1 == positions[1:])]


def _codes_at(pipe: Pipe, thresholds: dict) -> dict:
    """Codes of each level of the raw columns of numbers; those of refused ones from below."""
    if not thresholds:
        return {}
    begins = {i: np.append(-pipe.sources[i].last, p) for i, p in thresholds.items()}
    codes = pipe.codes(pipe.numbers({i: pipe.values_at(i, p) for i, p in begins.items()}))
    return {
        i: codes[: len(p), pipe.codes_of(i)][_nearest(pipe.sources[i].accepts(p))]
        for i, p in begins.items()
    }


def _nearest(accepted: np.ndarray) -> np.ndarray:
    """For each level the next lower one that is accepted, or the lowest of all."""
    last = np.maximum.accumulate(np.where(accepted, np.arange(len(accepted)), -1))
    return np.where(last < 0, accepted.argmax(), last)


def _of_numbers(pipe: Pipe, source: int, positions, codes: np.ndarray, gap) -> Levels:
    keep = np.append(True, (codes[1:] != codes[:-1]).any(axis=1))
    return Levels(pipe.sources[source].values(positions)[keep[1:]], codes[keep], gap)


def _of_categories(pipe: Pipe, source: int, gap) -> Levels:
    category = pipe.sources[source]
    with unchecked():
        codes = pipe.codes(pipe.numbers({source: category.known}))[:, pipe.codes_of(source)]
    others = _tried(pipe, {source: category.unknown()})[source]
    _check_blank(pipe, source, others)
    takes_others = others is not None
    codes = np.append(codes, [others if takes_others else codes[0]], axis=0)
    return Levels(np.empty(0), codes, gap, category.known, takes_others)


def _check_blank(pipe: Pipe, source: int, others) -> None:
    """Refuse a pipeline that takes blank texts for gaps, and tells gaps from unknown texts.

    There are endless blank texts, so they cannot all be known categories.
    """
    blank = _tried(pipe, {source: pipe.sources[source].unknown(" ")})[source]
    if not np.array_equal(blank, others):
        name = source if pipe.rows.names is None else repr(str(pipe.rows.names[source]))
        raise ValueError(
            f"Raw column {name} cannot be folded: texts such as ' ' and 'None' count as gaps there, "
            "and gaps are no unknown category. Make the column categorical, "
            "X[name].astype('category') in pandas, in the training rows too: then only true gaps "
            "count as gaps. Or fill the gaps before the pipeline."
        )


def _tried(pipe: Pipe, values: dict) -> dict:
    """Codes of raw columns where one of them has a value; None where the pipeline raises an error.

    Parameters
    ----------
    values : dict from int to object
        By raw column.
    """
    sources = list(values)
    columns = {
        source: [value if i == row else pipe.sources[source].safe for i in range(len(values))]
        for row, (source, value) in enumerate(values.items())
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            codes = pipe.codes(pipe.encoding.numbers(pipe.table(columns)))
    except (ValueError, TypeError):
        if len(sources) == 1:
            return {sources[0]: None}
        half = len(sources) // 2
        parts = ({s: values[s] for s in part} for part in (sources[:half], sources[half:]))
        return {source: row for part in parts for source, row in _tried(pipe, part).items()}
    return {s: row[pipe.codes_of(s)] for s, row in zip(sources, codes, strict=True)}

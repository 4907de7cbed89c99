"""The input encoding of a whole fitted pipeline, and a trial of it."""

from __future__ import annotations

import numpy as np

from .._encoding import InputEncoding
from ._assembly import assembled
from ._floats import positions_of
from ._levels import Levels, levels_of
from ._pipe import Pipe, unchecked
from ._sources import Category

__all__ = ["folded"]

_TRIED_ROWS = 512


def folded(steps, encoding: InputEncoding, n_features: int, names=None):
    """Fold the fitted steps before an estimator into its input encoding.

    Parameters
    ----------
    steps : list of (str, transformer)
        Fitted, without the estimator.
    encoding : InputEncoding
        Of the estimator.
    n_features : int
        Raw columns that the steps take.
    names : array of str of shape (n_features,), optional
        Names of the raw columns, where the steps were fitted on a frame.

    Returns
    -------
    encoding : InputEncoding
        Of the raw columns.
    places : int64 array of shape (n_in,)
        For each code of that encoding its place among those of the estimator, -1 for one that
        never changes and that the estimator does not have.

    Raises
    ------
    ValueError
        If a step cannot be folded.
    """
    pipes = [Pipe(steps, encoding, n_features, names, dtype) for dtype in (np.float64, np.float32)]
    levels = [levels_of(pipe) for pipe in pipes]
    raw = assembled(levels[0], levels[1], encoding.n_bits, pipes[0].blocks)
    of_features = [pipes[0].codes_of(source) for source in range(n_features)]
    places = np.concatenate([p if len(p) else [-1] for p in of_features]).astype(np.int64)
    for pipe, found in zip(pipes, levels, strict=True):
        _try(pipe, found, raw, places)
    return raw, places


def _try(pipe: Pipe, levels: list[Levels], raw: InputEncoding, places: np.ndarray) -> None:
    """Refuse steps whose columns depend on other rows or columns than their rules say."""
    random = np.random.RandomState(0)
    values = {
        source: _some_values(kind, levels[source], random)
        for source, kind in enumerate(pipe.sources)
    }
    known = places >= 0
    with unchecked():
        wanted = pipe.codes(pipe.numbers(values))[:, places[known]]
    found = raw.codes(raw.levels(raw.numbers(pipe.rows(values))))[:, known]
    wrong = (found != wanted).any(axis=0)
    if wrong.any():
        column = pipe.columns[pipe.encoding.feature[places[known][wrong.argmax()]]]
        raise ValueError(
            f"The step {column.changed_by} cannot be folded: what it makes of a value depends on "
            "other rows or columns too. Leave it and what comes before it outside the network."
        )


def _some_values(kind, levels: Levels, random) -> np.ndarray:
    """Values of a raw column, those next to its thresholds among them."""
    if isinstance(kind, Category):
        chosen = random.randint(len(kind.known), size=_TRIED_ROWS)
        return kind.column([kind.known[i] for i in chosen], _TRIED_ROWS)
    thresholds = levels.thresholds
    near = np.concatenate([thresholds, np.nextafter(thresholds, -np.inf, dtype=kind.dtype)])
    grid = kind.grid()
    values = np.concatenate([near, kind.values(grid[kind.accepts(grid)])])
    return random.choice(values[kind.accepts(positions_of(values))], size=_TRIED_ROWS)

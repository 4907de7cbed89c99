"""How held-back rows are scored after each epoch: by accuracy or R², by the loss, by a scorer."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from functools import partial
from numbers import Real

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import get_scorer
from torch import Tensor

from .callbacks import usual_score

__all__ = ["check_scoring", "score_function"]

_UNEVEN = 1 + 1e-9  # what sums of equal weights may differ by


def score_function(scoring) -> Callable:
    """The function that scores an epoch.

    Parameters
    ----------
    scoring : None, "loss", str or callable
        As in the estimators.

    Returns
    -------
    callable
        Takes the net, the rows as a `ShownRows`, and of these the network's outputs, targets and
        weights as tensors; returns a float, higher for better.
    """
    if scoring is None:
        return usual_score
    if isinstance(scoring, str) and scoring == "loss":
        return _negative_loss
    return partial(_scored, scoring)


def _negative_loss(net, rows, output: Tensor, y: Tensor, weight: Tensor) -> float:
    return -float(net.criterion_.function(output, y, weight.to(output.dtype))[0])


def _scored(scoring, net, rows, output, y, weight) -> float:
    """What a scorer says of the net, which looks like an estimator."""
    return _score(scoring, net, rows.X, rows.y, rows.weight)


def _score(scoring, estimator, X, y, weight) -> float:
    scorer = get_scorer(scoring)
    kwargs = {"sample_weight": weight} if weight.max() > weight.min() * _UNEVEN else {}
    try:
        score = scorer(estimator, X, y, **kwargs)
    except (AttributeError, TypeError, ValueError) as error:
        if callable(scoring):
            raise
        raise ValueError(f"scoring={scoring!r} cannot score these rows: {error}") from error
    if not isinstance(score, Real) or not np.isfinite(score):
        raise ValueError(
            f"scoring={scoring!r} gave {score!r} for the held-back rows, but one finite number is "
            "needed: use another scorer."
        )
    return float(score)


def check_scoring(scoring, y: np.ndarray, weight: np.ndarray, *, classifies: bool) -> None:
    """Refuse a scorer that does not suit labels or targets like these.

    One that scikit-learn names is tried on a guess, the same for all rows.  One of the user's own
    may ask for more than a guess can do, and is only asked whether it takes weights.

    Parameters
    ----------
    scoring : None, "loss", str or callable
    y : array of shape (n_samples,) or (n_samples, n_outputs)
        Labels or targets, as the user has them.
    weight : float64 array of shape (n_samples,)
    classifies : bool

    Raises
    ------
    ValueError
    """
    if isinstance(scoring, str) and scoring != "loss":
        guess = DummyClassifier() if classifies else DummyRegressor()
        X = np.zeros((len(y), 1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a guess leaves some scores undefined
            _score(scoring, guess.fit(X, y), X, y, weight)
    elif callable(scoring) and weight.max() > weight.min() * _UNEVEN:
        _check_takes_weight(scoring)


def _check_takes_weight(scorer) -> None:
    taken = inspect.signature(scorer).parameters.values()
    if not any(p.name == "sample_weight" or p.kind is p.VAR_KEYWORD for p in taken):
        raise ValueError(
            f"scoring={scorer!r} takes no sample_weight, but rows have weights: give it such an "
            "argument, or use sklearn.metrics.make_scorer."
        )

"""The best of several estimators whose encrypted rows keep to a budget of seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._estimate import encrypted_seconds

__all__ = ["BudgetChoice", "best_under_seconds"]


@dataclass(frozen=True, eq=False)
class BudgetChoice:
    """What `best_under_seconds` found.

    Attributes
    ----------
    best_estimator : estimator
        Fitted on the rows that were not held back.
    best_index : int
        Its place among the estimators.
    scores : float64 array of shape (n_estimators,)
        On the held-back rows; NaN where the cost is above the budget.
    costs : float64 array of shape (n_estimators,)
    """

    best_estimator: Any
    best_index: int
    scores: np.ndarray
    costs: np.ndarray


def best_under_seconds(
    estimators: Iterable,
    X,
    y,
    max_seconds: float,
    *,
    X_val=None,
    y_val=None,
    validation_fraction: float = 0.2,
    cost: Callable[[Any], float] = encrypted_seconds,
    random_state=None,
) -> BudgetChoice:
    """Fit estimators, and take the one that scores best among those within a budget.

    Costs are estimates: nothing is compiled, and no keys are made.

    Parameters
    ----------
    estimators : iterable of estimators
        Unfitted, such as those of different sizes and widths.  They stay as they are; clones
        are fitted.
    X : {array-like, DataFrame} of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    max_seconds : float
        Most that `cost` may give.
    X_val, y_val : like X and y, optional
        Rows to choose by; by default a part of X is held back.
    validation_fraction : float, default=0.2
        Share of the rows that is held back where there are no `X_val` and `y_val`.
    cost : callable, default=encrypted_seconds
        ``cost(estimator)`` of a fitted estimator to a number.
    random_state : int, RandomState or None
        Draws the rows that are held back.

    Returns
    -------
    BudgetChoice

    Raises
    ------
    ValueError
        If no estimator keeps to the budget, or there is none.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from qnnprune import PrunedNeuralNetClassifier
    >>> nets = [
    ...     PrunedNeuralNetClassifier((n,), n_accum_bits=5, max_epochs=5, random_state=0)
    ...     for n in (2, 6)
    ... ]
    >>> found = best_under_seconds(nets, *load_iris(return_X_y=True), 10, random_state=0)
    >>> bool(found.costs[found.best_index] <= 10)
    True
    """
    from sklearn.base import clone

    if X_val is None:
        X, X_val, y, y_val = _held_back(X, y, validation_fraction, random_state)
    fitted = [clone(estimator).fit(X, y) for estimator in estimators]
    costs = np.array([cost(estimator) for estimator in fitted], dtype=np.float64)
    within = costs <= max_seconds
    if not within.any():
        cheapest = f"the cheapest of {len(fitted)} costs {costs.min():.3g}" if fitted else "none"
        raise ValueError(
            f"max_seconds={max_seconds!r} is less than every estimator costs ({cheapest}): pass "
            "some with fewer hidden neurons, a smaller n_accum_bits or more n_rounding_bits."
        )
    scores = np.array(
        [
            estimator.score(X_val, y_val) if fits else np.nan
            for estimator, fits in zip(fitted, within, strict=True)
        ]
    )
    best = int(np.nanargmax(scores))
    return BudgetChoice(fitted[best], best, scores, costs)


def _held_back(X, y, fraction, random_state):
    from sklearn.model_selection import train_test_split
    from sklearn.utils.multiclass import type_of_target

    labels = type_of_target(y) in ("binary", "multiclass")
    return train_test_split(
        X, y, test_size=fraction, random_state=random_state, stratify=y if labels else None
    )

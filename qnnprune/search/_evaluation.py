"""Score and costs of one setting, by cross-validation."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from sklearn.base import clone
from sklearn.utils import _safe_indexing
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params

from ..exceptions import FewWeightsWarning
from ..export._costs import COSTS, named_cost

__all__ = ["Evaluation", "fit_quietly", "named_costs"]


def named_costs(costs) -> dict[str, str | Callable]:
    """Costs by name.

    Parameters
    ----------
    costs : str, callable, or sequence of them

    Raises
    ------
    ValueError
        If there is none, one has no name or an unknown one, or two have the same.
    """
    costs = [costs] if isinstance(costs, str) or callable(costs) else list(costs)
    names = [cost if isinstance(cost, str) else getattr(cost, "__name__", "") for cost in costs]
    unknown = [cost for cost in costs if not callable(cost) and cost not in COSTS]
    if unknown or not names or "" in names or len(set(names)) < len(names):
        raise ValueError(
            f"costs={costs!r} must be among {sorted(COSTS)}, or functions of a fitted estimator, "
            "each with a name of its own."
        )
    return dict(zip(names, costs, strict=True))


def fit_quietly(estimator, X, y, params):
    """Fit, without a word about widths that leave few weights: a search means to try them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewWeightsWarning)
        return estimator.fit(X, y, **params)


class Evaluation:
    """Rows, folds, scorer and costs: what every setting is measured with.

    Parameters
    ----------
    X, y : indexable
    splits : list of (train, test) integer arrays
    scorer : callable
    costs : dict of str to str or callable
    params : dict
        Further arguments of `fit`; those with one entry per row are split, too.
    n_jobs : int or None
        Folds that run beside each other.
    """

    def __init__(self, X, y, *, splits: Sequence, scorer: Callable, costs, params, n_jobs):
        self.X, self.y = X, y
        self.splits, self.scorer, self.costs = splits, scorer, costs
        self.params, self.n_jobs = params, n_jobs

    def __call__(self, estimator) -> np.ndarray | str:
        """Measure an unfitted estimator.

        Returns
        -------
        float64 array of shape (n_folds, 1 + n_costs), or str
            Score and costs; or why the setting was refused, by a fit or by a named cost.
        """
        measured = Parallel(n_jobs=self.n_jobs)(
            delayed(_measure_fold)(
                clone(estimator), self.X, self.y, train, test, self.scorer,
                list(self.costs.values()), self.params,
            )
            for train, test in self.splits
        )  # fmt: skip
        refusals = [found for found in measured if isinstance(found, str)]
        return refusals[0] if refusals else np.array(measured, dtype=np.float64)


def _measure_fold(estimator, X, y, train, test, scorer, costs, params) -> list[float] | str:
    rows, labels = _safe_indexing(X, train), _safe_indexing(y, train)
    try:
        fit_quietly(estimator, rows, labels, _check_method_params(X, params, train))
    except ValueError as refusal:
        return str(refusal)
    score = scorer(estimator, _safe_indexing(X, test), _safe_indexing(y, test))
    if not math.isfinite(score):
        return f"The score is {score}."
    found = [float(score)]
    for cost in costs:
        try:
            value = float(named_cost(cost, estimator) if isinstance(cost, str) else cost(estimator))
        except ValueError as refusal:
            if callable(cost):
                raise
            return f"costs={cost!r}: {refusal}"  # such networks have no such cost
        if not math.isfinite(value):
            raise ValueError(f"The cost {cost!r} is {value}: it must be finite.")
        found.append(value)
    return found

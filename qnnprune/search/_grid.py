"""The grid search that trains candidates as one, with successive halving where it is asked for."""

from __future__ import annotations

import math
from numbers import Integral, Real

import numpy as np
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV, ParameterGrid
from sklearn.utils._param_validation import Interval

from ._gathered import Gathered, Together

__all__ = ["PrunedNeuralNetSearchCV"]


class PrunedNeuralNetSearchCV(GridSearchCV):
    """Grid search whose candidates train as one.

    Parameters, attributes and scores are those of scikit-learn's `GridSearchCV`, and each network
    is bit for bit that of its own `fit`.  In every fold candidates of the same rows, seed and
    architecture share the encoding and take their training steps together.  So one thread does
    more, most where networks are small.

    Parameters
    ----------
    estimator : estimator
        A classifier or regressor of this package, or a pipeline or another estimator around one.
        With an integer `random_state`: with None, no two candidates draw the same rows.
    param_grid : dict or list of dict
        As in `GridSearchCV`.  Candidates that differ in `lr`, `alpha`, `n_accum_bits`,
        `pruning_criterion` or `neuron_sparsity` train together.  Other parameters make groups.
    factor : float or None
        Of successive halving, above 1: all candidates train for a few epochs, the best
        1 / `factor` of them for `factor` times as many, and so on, up to the epochs of the
        estimator.  None trains all of them for all epochs.
    resource : str
        Name of the parameter that successive halving raises; in a pipeline it begins with the name of
        the step.
    scoring : str, callable, list, tuple, dict or None
        As in `GridSearchCV`; of several scores, successive halving goes by that which `refit` names.
    n_jobs : int or None
        Folds beside each other.  The result does not depend on it.
    refit : bool, str or callable
        Whether to fit the best candidate on all rows; the name of the score that it is best by; or
        a function of `cv_results_` that returns its place.
    cv : int, splitter, iterable or None
        As in `GridSearchCV`: 5 folds by default.
    verbose : int
        As in `GridSearchCV`.
    error_score : {"raise"} or float
        Score of a candidate whose fit fails.
    return_train_score : bool
        Whether `cv_results_` has scores of the training rows.

    Attributes
    ----------
    cv_results_ : dict of str to array
        As of `GridSearchCV`; times are those of a group.  Successive halving adds ``iter`` and
        ``n_resources``, and candidates come again in each iteration that they reach.
    best_estimator_ : estimator
        Fitted on all rows, unless ``refit=False``.
    best_params_ : dict
    best_score_ : float
    best_index_ : int
        Place in `cv_results_`; with successive halving of the last iteration.

    See Also
    --------
    pareto_search : Finds the best scores at every cost.

    Notes
    -----
    These train alone, with the same result: networks with callbacks, early stopping, rounding,
    ``verbose``, a device other than the CPU, a skip connection, no hidden layer or an optimizer of
    one's own.

    References
    ----------
    K. Jamieson and A. Talwalkar, "Non-stochastic best arm identification and hyperparameter
    optimization", 2016.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from qnnprune import PrunedNeuralNetClassifier
    >>> from qnnprune.search import PrunedNeuralNetSearchCV
    >>> X, y = load_iris(return_X_y=True)
    >>> net = PrunedNeuralNetClassifier((8,), max_epochs=4, random_state=0)
    >>> search = PrunedNeuralNetSearchCV(net, {"n_accum_bits": [6, 8], "lr": [0.01, 0.03]}, cv=2)
    >>> search.fit(X, y).cv_results_["mean_test_score"].shape
    (4,)
    """

    _parameter_constraints: dict = {
        **GridSearchCV._parameter_constraints,
        "factor": [Interval(Real, 1, None, closed="neither"), None],
        "resource": [str],
    }
    pre_dispatch = "all"

    def __init__(
        self, estimator, param_grid, *, factor=None, resource="max_epochs", scoring=None,
        n_jobs=None, refit=True, cv=None, verbose=0, error_score=np.nan, return_train_score=False,
    ):  # fmt: skip
        self.estimator = estimator
        self.param_grid = param_grid
        self.factor = factor
        self.resource = resource
        self.scoring = scoring
        self.n_jobs = n_jobs
        self.refit = refit
        self.cv = cv
        self.verbose = verbose
        self.error_score = error_score
        self.return_train_score = return_train_score

    def fit(self, X, y=None, **params):
        """Try all candidates, and fit the best one on all rows.

        Parameters
        ----------
        X : {array-like, DataFrame, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        **params : dict
            Arguments of the estimator's `fit`, such as ``sample_weight``; those with one entry per
            row are split as the rows are.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `factor` is given and the epochs are "auto", or are searched.
        KeyboardInterrupt
            If the search is interrupted; it keeps nothing.
        """
        if self.factor is not None:
            self._check_resource()
        together = Together(self.n_jobs)
        gathered = Gathered(lambda calls: together(calls, self.n_splits_))
        with parallel_config(backend=gathered):
            return super().fit(X, y, **params)

    def _check_resource(self):
        most = self.estimator.get_params().get(self.resource)
        if isinstance(most, bool) or not isinstance(most, Integral):
            raise ValueError(
                f"factor={self.factor} needs a number of epochs, but the estimator has "
                f"{self.resource}={most!r}: set it, for instance to 40, or name the parameter in "
                "resource, as in 'step__max_epochs'."
            )
        if any(self.resource in params for params in ParameterGrid(self.param_grid)):
            raise ValueError(
                f"param_grid has {self.resource!r}, which factor={self.factor} sets: leave one out."
            )

    def _run_search(self, evaluate_candidates, *, callback_ctx=None):
        if self.factor is not None:
            self._halve(evaluate_candidates)
        elif callback_ctx is None:  # before scikit-learn 1.9
            super()._run_search(evaluate_candidates)
        else:
            super()._run_search(evaluate_candidates, callback_ctx=callback_ctx)

    def _halve(self, evaluate_candidates):
        candidates = list(ParameterGrid(self.param_grid))
        for iteration, n_epochs in enumerate(self._rounds(len(candidates))):
            n_tried = len(candidates)
            results = evaluate_candidates(
                [{**params, self.resource: n_epochs} for params in candidates],
                more_results={"iter": [iteration] * n_tried, "n_resources": [n_epochs] * n_tried},
            )
            rank = results[f"rank_test_{self._metric(results)}"][-n_tried:]
            best = np.argsort(rank, kind="stable")[: math.ceil(n_tried / self.factor)]
            candidates = [candidates[place] for place in sorted(best)]

    def _rounds(self, n_candidates) -> list[int]:
        """Epochs of each round, until one candidate would be left."""
        most = self.estimator.get_params()[self.resource]
        n_rounds = 1
        while n_candidates > self.factor:
            n_candidates, n_rounds = math.ceil(n_candidates / self.factor), n_rounds + 1
        return [math.ceil(most / self.factor**later) for later in reversed(range(n_rounds))]

    def _metric(self, results) -> str:
        return "score" if "mean_test_score" in results else self.refit

    @staticmethod
    def _select_best_index(refit, refit_metric, results):
        """The best of the last round."""
        if callable(refit) or "iter" not in results:
            return GridSearchCV._select_best_index(refit, refit_metric, results)
        last = np.flatnonzero(results["iter"] == results["iter"].max())
        return last[results[f"rank_test_{refit_metric}"][last].argmin()]

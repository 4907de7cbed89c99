"""The search for the trade-off: one call, from rows to a front of fitted estimators."""

from __future__ import annotations

import warnings
from numbers import Integral

import joblib
import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state, indexable
from sklearn.utils.parallel import Parallel, delayed
from tqdm import tqdm

from .._utils import user_stacklevel
from ._evaluation import Evaluation, fit_quietly, named_costs
from ._front import ParetoFront, Trial, front_of
from ._space import SPACE, Space
from ._study import SAMPLERS, Study

__all__ = ["pareto_search"]


def pareto_search(
    estimator, X, y, space=None, *, costs="width", scoring=None, cv=None, params=None,
    n_trials=50, sampler="tpe", path=None, refit=True, n_jobs=None, random_state=None, verbose=0,
) -> ParetoFront:  # fmt: skip
    """Search the best scores at every cost; needs the extra ``search``.

    Optuna chooses what to try.  Cross-validation measures the score of each setting, and what
    the networks of its folds cost.  The settings that no other one beats are fitted on all rows.

    Parameters
    ----------
    estimator : PrunedNeuralNetClassifier, PrunedNeuralNetRegressor or Pipeline
        Parameters that are not searched stay as they are.
    X : {array-like, DataFrame, sparse matrix} of shape (n_samples, n_features)
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    space : dict of str to range, sequence or Optuna distribution, optional
        Values to try of each parameter; `SPACE` by default.  Numbers of a range have an order,
        values of a sequence have none.
    costs : str, callable, or sequence of them
        "width": proven accumulator width, in bits.  "weights": weights that are not 0.  "bytes":
        tables and code of `to_c`.  "lookups": table lookups of encrypted prediction per row.
        "seconds": of one core per encrypted row, as `encrypted_cost` estimates them; a setting
        whose sums are too wide for that is refused, as one that `fit` refuses.
        A callable takes a fitted estimator and returns a finite number; less is better.
    scoring : str, callable or None
        As in `cross_validate`, for one score; the estimator's own by default.
    cv : int, splitter, iterable or None
        As in `cross_validate`: 5 folds by default.  ``ShuffleSplit(1, random_state=0)`` is one
        held-out part.
    params : dict, optional
        Further arguments of `fit`, such as ``sample_weight``; those with one entry per row are
        split as the rows are.
    n_trials : int
        Settings to try, those that `path` holds already among them.  A setting that comes up
        again counts, but is not measured again.
    sampler : {"tpe", "nsga2"}
        Optuna's samplers for several objectives: Parzen estimators, which need fewer trials, or a
        genetic algorithm of 20 a generation.
    path : str or path-like, optional
        Journal of Optuna, written after each trial.  A call that was interrupted goes on from
        there, and tries what it would have tried without the interruption.  One call at a time
        may use it.
    refit : bool
        Whether to fit the front on all rows.
    n_jobs : int or None
        Folds, and then estimators of the front, that are fitted beside each other.  The result
        does not depend on it.
    random_state : int, RandomState or None
        Determines what is tried.  Fits have the random state of the estimator.
    verbose : int
        1 shows a progress bar.

    Returns
    -------
    ParetoFront

    Raises
    ------
    ImportError
        If Optuna is not installed.
    ValueError
        If the file at `path` is damaged, no journal, or of a search of other things; if `fit`
        refuses every setting; if an argument is none of those above.

    Warns
    -----
    sklearn.exceptions.FitFailedWarning
        If `fit` refuses some settings, with the reason of the first one.

    See Also
    --------
    qnnprune.inspection.ParetoDisplay : Draws scores against costs.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from qnnprune import PrunedNeuralNetClassifier
    >>> from qnnprune.search import pareto_search
    >>> X, y = load_iris(return_X_y=True)
    >>> net = PrunedNeuralNetClassifier((8,), max_epochs=5, random_state=0)
    >>> space = {"n_accum_bits": range(4, 8), "n_output_sums": [1, 2]}
    >>> found = pareto_search(net, X, y, space, cv=2, n_trials=4, random_state=0)
    >>> len(found.trials), len(found.estimators) == len(found.front)
    (4, True)
    """
    _check(n_trials, sampler)
    X, y = indexable(X, y)
    space = Space(SPACE if space is None else space, estimator.get_params())
    costs, params = named_costs(costs), params or {}
    splits = list(check_cv(cv, y, classifier=is_classifier(estimator)).split(X, y))
    identity = {
        "estimator": repr(estimator),
        "space": repr({name: str(kind) for name, kind in space.distributions.items()}),
        "costs": repr(list(costs)),
        "scoring": getattr(scoring, "__name__", repr(scoring)),
        "rows or folds": joblib.hash([X, y, splits, params]),
    }
    study = Study(path, identity, space.distributions, len(costs))
    scorer = check_scoring(estimator, scoring)
    measure = Evaluation(
        X, y, splits=splits, scorer=scorer, costs=costs, params=params, n_jobs=n_jobs
    )
    _try(study, estimator, space, measure, n_trials, sampler, random_state, verbose)
    trials = tuple(_trial(each, space, costs) for each in study.finished)
    _tell_of_failures(trials)
    front = front_of(trials)
    nets = [clone(estimator).set_params(**trials[place].params) for place in front if refit]
    fitted = Parallel(n_jobs=n_jobs)(delayed(fit_quietly)(net, X, y, params) for net in nets)
    return ParetoFront(trials, front, tuple(fitted))


def _check(n_trials, sampler) -> None:
    if isinstance(n_trials, bool) or not isinstance(n_trials, Integral) or n_trials < 1:
        raise ValueError(f"n_trials={n_trials!r} must be an integer, 1 or more.")
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler={sampler!r} must be one of {list(SAMPLERS)}.")


def _try(study, estimator, space, measure, n_trials, sampler, random_state, verbose) -> None:
    """Try settings until there are enough trials."""
    known = {repr(space.params(trial.params)): _measured(trial) for trial in study.finished}
    done = len(study.finished)
    seed = check_random_state(random_state).randint(np.iinfo(np.int32).max)
    with tqdm(total=n_trials, initial=done, unit="trial", disable=not verbose) as bar:
        for place in range(done, n_trials):
            own_seed = np.random.SeedSequence([seed, place]).generate_state(1)[0]
            asked = study.ask(sampler, int(own_seed))
            setting = space.params(asked.params)
            if repr(setting) not in known:
                known[repr(setting)] = measure(clone(estimator).set_params(**setting))
            study.tell(asked, known[repr(setting)])
            bar.update()


def _measured(trial) -> np.ndarray | str:
    """What was measured in a finished trial of Optuna."""
    error = trial.user_attrs.get("error")
    return np.array(trial.user_attrs["measured"]) if error is None else error


def _trial(finished, space: Space, costs) -> Trial:
    measured, params = _measured(finished), space.params(finished.params)
    if isinstance(measured, str):
        return Trial(params, np.nan, np.nan, {}, measured)
    score, *means = measured.mean(axis=0).tolist()
    return Trial(params, score, float(measured[:, 0].std()), dict(zip(costs, means, strict=True)))


def _tell_of_failures(trials) -> None:
    errors = [trial.error for trial in trials if trial.error is not None]
    if len(errors) == len(trials):
        raise ValueError(f"space has no setting that fit takes. The first refusal: {errors[0]}")
    if errors:
        warnings.warn(
            f"fit refused {len(errors)} of {len(trials)} settings. The first refusal: {errors[0]}",
            FitFailedWarning,
            stacklevel=user_stacklevel(),
        )

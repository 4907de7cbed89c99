"""The grid search whose candidates train as one, against scikit-learn's own."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.search import PrunedNeuralNetSearchCV, _gathered
from qnnprune.training import stack

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4)).round(1)
NAMES = np.array(["no", "so", "yes"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 0)]
REAL = X[:, 0] + X[:, 1] * X[:, 2]
WEIGHT = RNG.integers(1, 4, len(X)).astype(float)
GRID = {"lr": [0.01, 0.05], "n_accum_bits": [5, 8]}
FIRST = {"hidden_layer_sizes": (6,), "max_epochs": 3, "batch_size": 20, "random_state": 0}
NET = PrunedNeuralNetClassifier(**FIRST)
REGRESSOR = PrunedNeuralNetRegressor(**FIRST)
FRAME = pd.DataFrame(
    {"town": np.array(["Ulm", "Bonn", None])[RNG.integers(0, 3, 90)], "age": X[:, 0]}
)


def timeless(results):
    return {key: value for key, value in results.items() if "_time" not in key}


def assert_same_search(ours, theirs):
    assert ours.cv_results_.keys() == theirs.cv_results_.keys()
    for key, value in timeless(theirs.cv_results_).items():
        np.testing.assert_array_equal(ours.cv_results_[key], value, err_msg=key)
    names = ["best_params_", "best_index_", "best_score_", "n_splits_", "multimetric_"]
    for name in names:
        assert getattr(ours, name) == getattr(theirs, name), name


def both(estimator, grid, X, y, params=None, **settings):
    searches = [
        kind(estimator, grid, **{"cv": 2} | settings)
        for kind in (PrunedNeuralNetSearchCV, GridSearchCV)
    ]
    for search in searches:
        search.fit(X, y, **params or {})
    return searches


@pytest.mark.parametrize(
    ("estimator", "grid", "X", "y", "settings"),
    [
        (NET, GRID, X, NAMES, {"cv": 3, "return_train_score": True}),
        (NET, [{"lr": [0.1]}, {"hidden_layer_sizes": [(4,), (4, 4)]}], X, NAMES, {}),
        (NET, {"random_state": [0, 1]}, X, NAMES, {"cv": KFold(2, shuffle=True, random_state=0)}),
        (NET, GRID, FRAME, NAMES, {}),
        (REGRESSOR, GRID, X, REAL, {"scoring": ["r2", "neg_mean_absolute_error"], "refit": "r2"}),
        (REGRESSOR, {"lr": [0.01, 0.02]}, X, REAL, {"params": {"sample_weight": WEIGHT}}),
        (REGRESSOR, {"alpha": [0, 0.1]}, X, np.c_[REAL, -REAL], {"scoring": "neg_mean_absolute_error"}),
        (
            make_pipeline(StandardScaler(), NET),
            {"prunedneuralnetclassifier__lr": [0.01, 0.02], "standardscaler__with_mean": [True, False]},
            X, NAMES, {},
        ),
        (TransformedTargetRegressor(REGRESSOR), {"regressor__lr": [0.01, 0.02]}, X, REAL, {}),
    ],
)  # fmt: skip
def test_results_are_those_of_scikit_learn(estimator, grid, X, y, settings):
    ours, theirs = both(estimator, grid, X, y, **settings)
    assert_same_search(ours, theirs)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    assert ours.score(X, y) == theirs.score(X, y)


@pytest.fixture
def sizes(monkeypatch):
    """Sizes of the stacks that are trained."""
    found, made = [], stack.Stack.__init__

    def counted(self, nets):
        found.append(len(nets))
        made(self, nets)

    monkeypatch.setattr(stack.Stack, "__init__", counted)
    return found


def test_candidates_of_a_fold_train_as_one(sizes):
    PrunedNeuralNetSearchCV(NET, {"lr": [0.01, 0.02, 0.03]}, cv=2, refit=False).fit(X, NAMES)
    assert sizes == [3, 3]


def test_large_grids_run_in_parts(sizes, monkeypatch):
    monkeypatch.setattr(_gathered, "_MOST", 2)
    grid = {"lr": [0.01, 0.02, 0.03, 0.04]}
    assert_same_search(*both(NET, grid, X, NAMES, refit=False))
    assert sizes == [2, 2, 2, 2]


def test_filters_of_warnings_stay():
    before = list(warnings.filters)
    PrunedNeuralNetSearchCV(NET, {"lr": [0.01, 0.02, 0.03]}, cv=2).fit(X, NAMES)
    assert list(warnings.filters) == before


@pytest.mark.parametrize("n_jobs", [2, 5])
def test_results_do_not_depend_on_n_jobs(n_jobs):
    alone = PrunedNeuralNetSearchCV(NET, GRID, cv=2).fit(X, NAMES)
    with parallel_config("threading"):
        beside = PrunedNeuralNetSearchCV(NET, GRID, cv=2, n_jobs=n_jobs).fit(X, NAMES)
    assert_same_search(beside, alone)


def test_processes():
    alone = PrunedNeuralNetSearchCV(NET, GRID, cv=2).fit(X, NAMES)
    beside = clone(alone).set_params(n_jobs=2).fit(X, NAMES)
    assert_same_search(beside, alone)


def test_groups_and_weights_are_routed():
    with config_context(enable_metadata_routing=True):
        net = clone(NET).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        params = {"sample_weight": WEIGHT, "groups": np.arange(len(X)) % 4}
        assert_same_search(*both(net, GRID, X, NAMES, params, cv=GroupKFold(2)))


def test_it_is_an_estimator_of_scikit_learn():
    search = PrunedNeuralNetSearchCV(NET, {"lr": [0.01, 0.02]}, cv=2)
    assert clone(search).get_params().keys() == search.get_params().keys()
    assert clone(search).get_params()["estimator__n_accum_bits"] == 8
    with pytest.raises(NotFittedError):
        search.predict(X)
    search.fit(X, NAMES)
    again = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(again.predict_proba(X), search.predict_proba(X))
    assert list(again.classes_) == ["no", "so", "yes"] and again.n_features_in_ == 4
    assert cross_val_score(search, X, NAMES, cv=2).shape == (2,)


def test_fits_that_fail_score_what_error_score_says():
    grid = {"early_stopping": [True], "validation_fraction": [0.2, 0.99]}
    with pytest.warns(FitFailedWarning, match="too few to train"):
        ours = PrunedNeuralNetSearchCV(NET, grid, cv=2, error_score=-1.0).fit(X, NAMES)
    with pytest.warns(FitFailedWarning, match="too few to train"):
        theirs = GridSearchCV(NET, grid, cv=2, error_score=-1.0).fit(X, NAMES)
    assert_same_search(ours, theirs)
    assert ours.cv_results_["mean_test_score"][1] == -1
    with pytest.raises(ValueError, match="too few to train"):
        clone(ours).set_params(error_score="raise").fit(X, NAMES)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"param_grid": {"n_acum_bits": [5]}}, "Invalid parameter 'n_acum_bits'"),
        ({"param_grid": {"lr": [0.1, -1.0]}, "error_score": "raise"}, "'lr' parameter"),
        ({"param_grid": {"lr": []}}, "non-empty"),
        ({"factor": 1}, "'factor' parameter"),
        ({"factor": 2, "estimator": PrunedNeuralNetClassifier()}, "max_epochs='auto': set it"),
        ({"factor": 2, "resource": "epochs"}, "epochs=None"),
        ({"factor": 2, "param_grid": {"max_epochs": [1, 2]}}, "param_grid has 'max_epochs'"),
        ({"scoring": "acuracy"}, "'scoring' parameter"),
    ],
)
def test_errors_come_before_any_training(settings, message, sizes):
    search = PrunedNeuralNetSearchCV(NET, GRID, cv=2).set_params(**settings)
    with pytest.raises(ValueError, match=message):
        search.fit(X, NAMES)
    assert sizes == []


def test_an_interrupted_search_keeps_nothing(monkeypatch):
    def interrupted(self, batch):
        raise KeyboardInterrupt

    monkeypatch.setattr(stack.Stack, "train_step", interrupted)
    search = PrunedNeuralNetSearchCV(NET, {"lr": [0.01, 0.02]}, cv=2)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, NAMES)
    assert not hasattr(search, "cv_results_")
    monkeypatch.undo()
    assert search.fit(X, NAMES).cv_results_


def test_successive_halving_goes_on_with_the_best():
    net = clone(NET).set_params(max_epochs=9)
    grid = {"lr": [1e-6, 1e-5, 0.03, 0.05, 1e-4], "alpha": [0.001]}
    search = PrunedNeuralNetSearchCV(net, grid, factor=2, cv=2).fit(X, NAMES)
    results = search.cv_results_
    assert results["iter"].tolist() == [0] * 5 + [1] * 3 + [2] * 2
    assert results["n_resources"].tolist() == [3] * 5 + [5] * 3 + [9] * 2
    tried = [
        {p["lr"] for p, i in zip(results["params"], results["iter"], strict=True) if i == k}
        for k in range(3)
    ]
    for earlier, later, k in ((tried[0], tried[1], 0), (tried[1], tried[2], 1)):
        score = {
            p["lr"]: s
            for p, s, i in zip(
                results["params"], results["mean_test_score"], results["iter"], strict=True
            )
            if i == k
        }
        assert later < earlier
        assert min(score[lr] for lr in later) >= max(score[lr] for lr in earlier - later)
    assert search.best_params_["max_epochs"] == 9 and search.best_index_ >= 8
    for place in (0, 6, 9):  # each is the fit of its own epochs
        own = clone(net).set_params(**results["params"][place])
        np.testing.assert_array_equal(
            cross_val_score(own, X, NAMES, cv=2),
            [results[f"split{fold}_test_score"][place] for fold in range(2)],
        )


def test_successive_halving_in_a_pipeline_and_by_one_of_several_scores():
    pipe = make_pipeline(StandardScaler(), clone(REGRESSOR).set_params(max_epochs=4))
    name = "prunedneuralnetregressor"
    search = PrunedNeuralNetSearchCV(
        pipe, {f"{name}__lr": [0.001, 0.01, 0.02]}, factor=3, resource=f"{name}__max_epochs", cv=2,
        scoring=["r2", "neg_max_error"], refit="neg_max_error",
    ).fit(X, REAL)  # fmt: skip
    assert search.cv_results_["n_resources"].tolist() == [4, 4, 4]
    assert search.best_index_ == search.cv_results_["mean_test_neg_max_error"].argmax()

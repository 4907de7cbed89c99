"""The estimators inside scikit-learn's own tools."""

import copy

import numpy as np
import pandas as pd
import pytest
from samples import X, Y, classifier, differ
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


@pytest.mark.slow
def test_grid_search_in_processes(fitted):
    grid = {"n_accum_bits": [5, 8], "n_w_bits": [2, 3]}
    for estimator in (classifier(), clone(fitted), copy.deepcopy(fitted)):
        estimator.set_params(hidden_layer_sizes=(8,), max_epochs=3)
        search = GridSearchCV(estimator, grid, cv=2, n_jobs=2).fit(X, Y)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_grid_search_over_the_accumulator_mode():
    grid = {"accumulator_mode": ["exact", "wrap", "saturate", "raise"]}
    search = GridSearchCV(classifier(), grid, cv=2).fit(X, Y)
    scores = search.cv_results_["mean_test_score"]
    assert np.ptp(scores) == 0 and scores[0] > 0


@pytest.mark.slow
def test_cross_validate_returns_estimators():
    result = cross_validate(classifier(), X, Y, cv=3, return_estimator=True, n_jobs=2)
    for model, score in zip(result["estimator"], result["test_score"], strict=True):
        assert model.module_ is not None and 0 <= score <= 1
        assert model.predict(X).shape == (150,)


def test_halving_search():
    search = HalvingGridSearchCV(
        classifier(), {"n_accum_bits": [4, 6, 8]}, resource="max_epochs", max_resources=9, cv=2,
        random_state=0,
    ).fit(X, Y)  # fmt: skip
    assert search.best_estimator_.n_iter_ == search.best_estimator_.max_epochs == 9


def test_pipeline_with_a_column_transformer():
    table = pd.DataFrame(X, columns=list("abcd")).assign(kind=np.array(["x", "y", "z"])[Y])
    columns = ColumnTransformer(
        [("n", StandardScaler(), list("ab")), ("c", OneHotEncoder(), ["kind"])]
    )
    model = make_pipeline(columns, classifier((16,), max_epochs=30)).fit(table, Y)
    assert model.score(table, Y) > 0.95
    search = GridSearchCV(model, {"prunedneuralnetclassifier__n_accum_bits": [6]}, cv=2)
    assert search.fit(table, Y).best_score_ > 0.9


def test_meta_estimators():
    calibrated = CalibratedClassifierCV(classifier(), cv=2).fit(X, Y)
    assert calibrated.predict_proba(X).shape == (150, 3)
    bagged = BaggingClassifier(classifier(), n_estimators=2, random_state=0).fit(X, Y)
    assert bagged.predict_proba(X).shape == (150, 3)
    balanced = classifier(class_weight="balanced")
    BaggingClassifier(balanced, n_estimators=3, max_samples=10, random_state=0).fit(X, Y)


def test_permutation_importance():
    table = np.c_[X[:, 2], np.zeros(150)]
    model = classifier((16,), max_epochs=30).fit(table, Y)
    found = permutation_importance(model, table, Y, n_repeats=2, random_state=0)
    assert found.importances_mean[0] > 0.2 and found.importances_mean[1] == 0


def test_metadata_routing():
    weight = (Y != 2).astype(float)
    with config_context(enable_metadata_routing=True):
        model = classifier(max_epochs=20).set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        routed = cross_validate(
            model, X, Y, cv=2, params={"sample_weight": weight}, return_estimator=True
        )
        unasked = classifier(max_epochs=20).set_fit_request(sample_weight=False)
        unasked.set_score_request(sample_weight=True)
        plain = cross_validate(
            unasked, X, Y, cv=2, params={"sample_weight": weight}, return_estimator=True
        )
    for a, b in zip(routed["estimator"], plain["estimator"], strict=True):
        assert differ(a, b)
    for fold, model in enumerate(routed["estimator"]):
        assert not (model.predict(X) == 2).any(), "the class without weight"
        assert routed["test_score"][fold] > 0.3

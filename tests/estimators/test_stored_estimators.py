"""Fitted estimators in pickles, hashes and files of skops."""

import copy
import pickle

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor

X, Y = load_iris(return_X_y=True)


@pytest.fixture(params=[PrunedNeuralNetClassifier, PrunedNeuralNetRegressor])
def fitted(request):
    return request.param((16,), max_epochs=5, random_state=0).fit(X, Y)


def use(model):
    for rows in (X, X.astype(np.float32)):
        model.predict(rows)
        model.simulate(rows)
    model.accumulator_report(X)
    model.integer_network_.run(model.integer_network_.quantize_input(X))
    assert not model.module_.training


def test_use_changes_neither_hash_nor_pickle(fitted):
    # What prediction cached used to travel along, and joblib took it for another estimator.
    network = fitted.integer_network_
    before = [(joblib.hash(item), len(pickle.dumps(item))) for item in (fitted, network)]
    use(fitted)
    assert before == [(joblib.hash(item), len(pickle.dumps(item))) for item in (fitted, network)]


def test_copies_have_the_hash_of_the_original(fitted):
    two_labels = PrunedNeuralNetClassifier((16,), max_epochs=5, random_state=0).fit(X, Y == 1)
    for model in (fitted, two_labels):
        for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert joblib.hash(twin) == joblib.hash(model)


def test_float_twins_too():
    twin = PrunedNeuralNetClassifier((16,), max_epochs=5, random_state=0).float_twin().fit(X, Y)
    before = joblib.hash(twin)
    twin.predict(X)
    assert joblib.hash(twin) == before


def test_skops_stores_fitted_estimators(fitted):
    skops = pytest.importorskip("skops.io")
    use(fitted)
    for model in (fitted, make_pipeline(StandardScaler().fit(X), fitted)):
        data = skops.dumps(model)
        types = skops.get_untrusted_types(data=data)
        assert all(name.startswith("qnnprune.") for name in types)
        restored = skops.loads(data, trusted=types)
        np.testing.assert_array_equal(restored.predict(X), model.predict(X))

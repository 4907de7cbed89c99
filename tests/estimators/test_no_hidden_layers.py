"""Estimators without hidden layers: sums of the input codes, an additive model of the features."""

import numpy as np
import oracles
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.training.state import float_decision

SETTINGS = {"hidden_layer_sizes": (), "max_epochs": 15, "random_state": 0}


@pytest.fixture(scope="module")
def fitted():
    net = PrunedNeuralNetClassifier(n_accum_bits=6, n_in_bits=1, **SETTINGS)
    return net.fit(*load_iris(return_X_y=True))


def test_it_learns_and_the_proof_holds(fitted):
    X, y = load_iris(return_X_y=True)
    network = fitted.integer_network_
    assert fitted.score(X, y) > 0.9
    assert fitted.hidden_layer_sizes_ == network.hidden_layer_sizes == ()
    assert network.proven_bits <= 6
    codes = network.quantize_input(X[:20])
    sums = [list(oracles.walk(network.layers, row))[-1][0] for row in codes]
    totals = np.array(sums).reshape(20, -1, 3).sum(axis=1)
    output = network.layers[-1]
    expected = fitted.classes_[(totals * output.scale + output.bias).argmax(axis=1)]
    assert np.array_equal(fitted.predict(X[:20]), expected)


def test_the_integers_are_what_was_trained(fitted):
    X, _ = load_iris(return_X_y=True)
    levels = fitted.integer_network_.encoding.levels(X)
    module = float_decision(fitted._trained, levels)
    np.testing.assert_allclose(fitted.decision_function(X), module, atol=1e-6)


def test_a_feature_adds_what_it_adds_whatever_the_others_are(fitted):
    X, _ = load_iris(return_X_y=True)
    a, b = X[0], X[100]
    mixed = np.array([a, b, [*a[:2], *b[2:]], [*b[:2], *a[2:]]])
    logits = fitted.decision_function(mixed)
    np.testing.assert_allclose(logits[0] + logits[1], logits[2] + logits[3], atol=1e-9)


def test_regression_and_further_training():
    X, y = load_diabetes(return_X_y=True)
    net = PrunedNeuralNetRegressor(**SETTINGS).fit(X, y)
    assert net.score(X, y) > 0.4
    again = clone(net).set_params(warm_start=True).fit(X, y)
    assert np.array_equal(again.predict(X), net.predict(X))
    assert again.fit(X, y).n_iter_ and again.partial_fit(X, y).integer_network_.proven_bits <= 8


def test_sums_follow_from_the_number_of_codes():
    X = np.arange(40.0).reshape(-1, 1)
    few = PrunedNeuralNetClassifier(n_input_segments=4, n_in_bits=1, **SETTINGS)
    many = PrunedNeuralNetClassifier(n_input_segments=32, n_in_bits=1, n_accum_bits=4, **SETTINGS)
    assert few.fit(X, X[:, 0] > 20).n_output_sums_ == 1
    assert many.fit(X, X[:, 0] > 20).n_output_sums_ == 4

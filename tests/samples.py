"""Small tables and estimators that many tests fit, and what to ask of a fitted one."""

import numpy as np
import oracles
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from skorch.callbacks import Callback

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor

X, Y = load_iris(return_X_y=True)
CANCER = load_breast_cancer(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)


def classifier(hidden=(8,), **settings):
    return PrunedNeuralNetClassifier(hidden, **({"max_epochs": 3, "random_state": 0} | settings))


def regressor(hidden=(8,), **settings):
    return PrunedNeuralNetRegressor(hidden, **({"max_epochs": 3, "random_state": 0} | settings))


def slow_unless(cases, quick):
    """Cases of a test, of which a default run takes those that are `quick`."""
    slow = pytest.mark.slow
    return [case if quick(*case) else pytest.param(*case, marks=slow) for case in cases]


def arrays(model):
    """Everything that the integer network computes with."""
    network = model.integer_network_
    found = [network.encoding.thresholds]
    for layer in network.layers:
        found += [layer.weight, layer.input_range, layer.thresholds, layer.scale, layer.bias]
    return [a for a in found if a is not None]


def assert_same_network(a, b):
    for first, second in zip(arrays(a), arrays(b), strict=True):
        np.testing.assert_array_equal(first, second)


def differ(a, b):
    return any(
        x.shape != y.shape or (x != y).any() for x, y in zip(arrays(a), arrays(b), strict=True)
    )


def check_limits(model, n_w_bits, n_a_bits, n_in_bits, n_accum_bits, multiplier, guarantee):
    for index, layer in enumerate(model.integer_network_.layers):
        weight = layer.weight.astype(int)
        assert np.abs(weight).max() <= 2 ** (n_w_bits - 1) - 1
        if multiplier is not None:
            n_in = n_a_bits if index else n_in_bits
            omega = oracles.omega(n_w_bits, n_in, n_accum_bits)
            assert np.count_nonzero(weight, axis=1).max() <= multiplier * omega
        # Neurons that make no difference are gone, but for one where all are such.
        if layer.thresholds is not None and len(weight) > 1:
            assert np.count_nonzero(weight, axis=1).min() >= 1
    if guarantee:
        assert oracles.widest(model.integer_network_) <= n_accum_bits


class NoTraining(Callback):
    """Fails the test if training begins."""

    def on_train_begin(self, net, **kwargs):
        raise AssertionError("training has begun")


def assert_unchanged(model, before):
    after = dict(vars(model))
    assert after.keys() == before.keys()
    assert [key for key in before if after[key] is not before[key]] == []


def with_value(value):
    table = X.copy()
    table[3, 1] = value
    return table

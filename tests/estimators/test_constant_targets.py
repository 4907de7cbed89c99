"""Targets that do not vary are predicted exactly."""

import numpy as np
import pytest

from qnnprune import PrunedNeuralNetRegressor

X = np.random.default_rng(0).normal(size=(80, 4))


def net(**settings):
    return PrunedNeuralNetRegressor((8,), **({"max_epochs": 3, "random_state": 0} | settings))


@pytest.mark.parametrize("value", [1e-9, 0.1, 0.0, -3.0, 1e300, 5e-324, 123456789.123])
def test_a_constant_is_predicted_exactly(value):
    y = np.full(80, value)
    for model in (net().fit(X, y), net().float_twin().fit(X, y)):
        assert (model.predict(X) == value).all() and (model.predict(X * 99) == value).all()


def test_a_constant_output_among_others():
    y = np.stack([X[:, 0], np.full(80, 3.0)], axis=1)
    model = net(max_epochs=40).fit(X, y)
    assert (model.predict(X)[:, 1] == 3).all() and model.score(X[:, :], y) > 0.5
    assert (model.integer_network_.predict(X)[:, 1] == 3).all()


def test_rows_without_weight_do_not_make_it_vary():
    y = np.where(np.arange(80) < 40, 7.0, 8.0)
    assert (net().fit(X, y, sample_weight=(y == 7).astype(float)).predict(X) == 7).all()


@pytest.mark.parametrize("further", ["partial_fit", "warm_start"])
def test_a_target_that_varies_later_is_learned(further):
    model = net(warm_start=further == "warm_start", max_epochs=30).fit(X, np.full(80, 2.0))
    y = X[:, 0] * 5 + 1
    for _ in range(1 if further == "warm_start" else 30):
        model.fit(X, y) if further == "warm_start" else model.partial_fit(X, y)
    assert model.score(X, y) > 0.5


@pytest.mark.parametrize("further", ["warm_start", "prune"])
def test_a_target_that_varied_before_and_is_constant_now(further):
    model = net(warm_start=True, max_epochs=10).fit(X, X[:, 0])
    y = np.full(80, 3.0)
    model.fit(X, y) if further == "warm_start" else model.prune(X, y, n_accum_bits=7)
    assert (model.predict(X) == 3).all()


def test_a_batch_of_one_value_is_no_constant_target():
    model = net(max_epochs=30).fit(X, X[:, 0])
    model.partial_fit(X[:5], np.full(5, 3.0))
    assert np.ptp(model.predict(X)) > 1

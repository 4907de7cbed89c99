"""Weights of rows and of classes stand for repeated rows, also where rows are held back."""

import numpy as np
import pytest

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 4))
Y = (X[:, 0] + 0.5 * RNG.normal(size=300) > 0).astype(int)


def fit(X, y, weight=None, estimator=PrunedNeuralNetClassifier, **settings):
    settings = {"max_epochs": 5, "random_state": 0} | settings
    return estimator((16,), **settings).fit(X, y, sample_weight=weight)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_class_weights_are_sample_weights(early_stopping):
    # The quantiles of the encoding used to see sample weights alone.
    by_class = fit(X, Y, class_weight={1: 3}, early_stopping=early_stopping)
    by_row = fit(X, Y, np.where(Y == 1, 3.0, 1.0), early_stopping=early_stopping)
    repeated = np.repeat(np.arange(300), np.where(Y == 1, 3, 1))
    by_copies = fit(X[repeated], Y[repeated], early_stopping=early_stopping)
    expected = by_row.decision_function(X)
    assert (by_copies.decision_function(X) == expected).all()
    assert (by_class.decision_function(X) == expected).all()


def test_a_class_of_weight_0_is_one_that_is_not_there():
    y = np.arange(300) % 3
    without = fit(X, y, np.where(y == 2, 0.0, 1.0))
    assert (
        fit(X, y, class_weight={2: 0}).decision_function(X) == without.decision_function(X)
    ).all()


def grid(n_rows, seed=0):
    """Rows of five binary columns: 32 different ones, with noisy labels."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 2, (n_rows, 5)).astype(float)
    p = 1 / (1 + np.exp(-(X @ [2, -2, 1, 1, -1] - 0.5)))
    return X, (rng.random(n_rows) < p).astype(int)


def test_no_row_leaves_training_where_many_are_equal():
    # Each of 64 merged rows used to be held back as a whole or not at all.
    X, y = grid(20_000)
    plain = fit(X, y, max_epochs=30).score(X, y)
    stopped = fit(X, y, max_epochs=30, early_stopping=True)
    assert stopped.score(X, y) > plain - 0.005
    best = max(epoch["valid_score"] for epoch in stopped.history_)
    assert abs(best - plain) < 0.03  # 2,000 rows: a standard error of .009


def test_held_back_rows_do_not_depend_on_the_unit_of_the_weights():
    X, y = grid(1000)
    expected = fit(X, y, early_stopping=True).decision_function(X)
    for unit in (2.0, 0.5, 2.0**40):
        found = fit(X, y, np.full(1000, unit), early_stopping=True)
        assert (found.decision_function(X) == expected).all()


@pytest.mark.parametrize("weight", [1e9, 2.0**60])
def test_huge_counts_are_split_without_huge_arrays(weight):
    X, y = grid(500)
    weights = np.where(np.arange(500) == 0, weight + 1, 1.0)
    assert np.isfinite(fit(X, y, weights, early_stopping=True).decision_function(X)).all()


def test_regression_rows_that_repeat_are_split_too():
    X, _ = grid(2000)
    y = X @ [1.0, 2.0, 3.0, 4.0, 5.0]
    net = fit(X, y, estimator=PrunedNeuralNetRegressor, early_stopping=True, max_epochs=300)
    assert net.score(X, y) > 0.95

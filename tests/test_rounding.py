import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_iris

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.rounding import round_thresholds


@given(seed=st.integers(0, 2**32 - 1), n_bits=st.integers(0, 6))
def test_outputs_follow_from_the_high_bits_alone(tiny_network, seed, n_bits):
    network = tiny_network(np.random.default_rng(seed), n_hidden=(4,))
    layer = network.layers[0]
    rounded = round_thresholds(network.layers, n_bits)[0]
    assert (rounded.thresholds % 2**n_bits == 0).all()
    assert (np.diff(rounded.thresholds) >= 0).all()
    low, high = layer.accumulator_range.T
    sums = np.linspace(low, high, 50).astype(np.int64)
    assert np.array_equal(rounded.requantize(sums), rounded.requantize(sums >> n_bits << n_bits))
    reached = layer.thresholds <= low[:, None]
    beyond = layer.thresholds > high[:, None]
    assert (rounded.thresholds <= low[:, None])[reached].all()
    assert (rounded.thresholds > high[:, None])[beyond].all()
    moved = np.abs(rounded.thresholds - layer.thresholds)
    assert (moved[~reached & ~beyond] * 2 <= 2**n_bits).all()


def test_no_rounding_changes_nothing(tiny_network):
    layers = tiny_network(np.random.default_rng(0)).layers
    for before, after in zip(layers, round_thresholds(layers, 0), strict=True):
        assert np.array_equal(before.weight, after.weight)
        assert np.array_equal(before.thresholds, after.thresholds)


@pytest.mark.parametrize("estimator", [PrunedNeuralNetClassifier, PrunedNeuralNetRegressor])
def test_the_parameter_rounds_after_the_same_training(estimator):
    X, y = load_iris(return_X_y=True)
    settings = {"n_accum_bits": 7, "max_epochs": 5, "random_state": 0}
    plain = estimator((8, 6), **settings).fit(X, y)
    rounded = estimator((8, 6), n_rounding_bits=3, **settings).fit(X, y)
    expected = round_thresholds(plain.integer_network_.layers, 3)
    for found, wanted in zip(rounded.integer_network_.layers, expected, strict=True):
        assert np.array_equal(found.weight, wanted.weight)
        assert np.array_equal(found.thresholds, wanted.thresholds)
    assert (expected[0].thresholds != plain.integer_network_.layers[0].thresholds).any()


def test_rounding_away_the_whole_accumulator_is_refused():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="n_rounding_bits=6 must be less than n_accum_bits=6"):
        PrunedNeuralNetClassifier(n_accum_bits=6, n_rounding_bits=6).fit(X, y)
    with pytest.raises(ValueError, match="n_rounding_bits"):
        PrunedNeuralNetClassifier(n_rounding_bits=-1).fit(X, y)

"""What "auto" stands for: worked examples and bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnnprune import PrunedNeuralNetRegressor
from qnnprune.encoding._fit import auto_n_input_segments
from qnnprune.training.auto import auto_batch_size, auto_dropout, auto_max_epochs, auto_sums


@pytest.mark.parametrize(
    "n_graded, segments", [(0, 16), (5, 16), (12, 16), (13, 14), (64, 3), (784, 1)]
)
def test_segments(n_graded, segments):
    assert auto_n_input_segments(n_graded) == segments


@pytest.mark.parametrize("n_graded, segments", [(0, 48), (16, 48), (17, 45), (64, 12), (784, 1)])
def test_fine_segments(n_graded, segments):
    assert auto_n_input_segments(n_graded, "fine") == segments


@pytest.mark.parametrize(
    "n_rows, wide, narrow", [(10, 32, 32), (640, 64, 32), (1347, 134, 67), (10**6, 256, 256)]
)
def test_batch_size(n_rows, wide, narrow):
    assert auto_batch_size(n_rows, 8) == auto_batch_size(n_rows, None) == wide
    assert auto_batch_size(n_rows, 7) == narrow


def test_batch_size_of_one_epoch():
    assert auto_batch_size(1347, 8, once=True) == auto_batch_size(1347, None, once=True) == 67
    assert auto_batch_size(1347, 7, once=True) == 67


def test_partial_fit_takes_smaller_batches():
    X = np.random.default_rng(0).normal(size=(1000, 3))
    net = PrunedNeuralNetRegressor((4,), max_epochs=2, random_state=0)
    assert net.fit(X, X[:, 0]).history_[-1]["train_batch_count"] == 10
    assert net.partial_fit(X, X[:, 0]).history_[-1]["train_batch_count"] == 20


def test_batch_size_of_trials():
    assert auto_batch_size(640, 8, trial=True) == 64
    assert auto_batch_size(4000, 8, trial=True) == 400
    assert auto_batch_size(10**6, 8, trial=True) == 512
    assert auto_batch_size(10**6, 7, trial=True) == 256


@pytest.mark.parametrize(
    "n_rows, size, epochs", [(100, 32, 40), (1347, 67, 40), (20_000, 256, 26), (10**6, 256, 20)]
)
def test_max_epochs(n_rows, size, epochs):
    assert auto_max_epochs(n_rows, size) == epochs


def test_dropout_by_hand():
    assert auto_dropout(0.3, n_in=617) == 0.3
    assert auto_dropout(0.3, n_in=4) == pytest.approx(0.01875)


@given(st.floats(0.01, 0.9), st.integers(1, 10**4))
def test_dropout_grows_with_the_inputs(share, n_in):
    assert 0 < auto_dropout(share, n_in) <= auto_dropout(share, n_in + 1) <= share


def test_sums_by_hand():
    # Ternary weights of normal size: 255 / 3 * 1.534 = 130.4 of them on codes of 2 bits.
    assert auto_sums(32, 2, 2, 8) == 1 and auto_sums(33, 2, 2, 8) == 4
    assert auto_sums(24, 2, 1, 6) == 1 and auto_sums(25, 2, 1, 6) == 4  # 96.6 on codes of 1 bit
    assert auto_sums(128, 2, 2, 10) == 1 and auto_sums(128, 2, 2, 9) == 4  # 523 and 261
    assert auto_sums(128, 2, 2, None) == 1

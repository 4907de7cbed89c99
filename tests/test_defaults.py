"""What "auto" stands for: worked examples and bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnnprune.defaults import (
    auto_batch_size,
    auto_dropout,
    auto_max_epochs,
    auto_n_input_segments,
)


@pytest.mark.parametrize(
    "n_graded, segments", [(0, 16), (5, 16), (12, 16), (13, 14), (64, 3), (784, 1)]
)
def test_segments(n_graded, segments):
    assert auto_n_input_segments(n_graded) == segments


@pytest.mark.parametrize("n_rows, size", [(10, 32), (640, 32), (1347, 67), (10**6, 256)])
def test_batch_size(n_rows, size):
    assert auto_batch_size(n_rows) == size


@pytest.mark.parametrize(
    "n_rows, size, epochs", [(100, 32, 40), (1347, 67, 96), (1347, 1347, 100), (10**6, 256, 20)]
)
def test_max_epochs(n_rows, size, epochs):
    assert auto_max_epochs(n_rows, size) == epochs


def test_dropout_by_hand():
    assert auto_dropout(10**5, n_features=1, n_in=10) == pytest.approx(0.09)
    assert auto_dropout(500, n_features=5, n_in=10) == pytest.approx(0.1)
    assert auto_dropout(100, n_features=1, n_in=2) == pytest.approx(0.15)


@given(st.integers(1, 10**7), st.integers(1, 1000), st.integers(1, 16))
def test_no_feature_is_lost_to_dropout(n_rows, n_features, segments):
    dropout = auto_dropout(n_rows, n_features, n_features * segments)
    assert 0 <= dropout < 0.3
    assert (dropout == 0) == (segments == 1)

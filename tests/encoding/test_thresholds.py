"""Counting thresholds against a plain loop, whichever way it is done."""

import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnnprune.encoding._thresholds import ThresholdCounter, count_reached, rounded_up


@st.composite
def cases(draw, reach):
    """Thresholds from -reach to reach, and sums."""
    n_out = draw(st.integers(1, 3))
    n_thresholds = draw(st.sampled_from([1, 3, 7, 8, 15, 63, 255]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    thresholds = np.sort(rng.integers(-reach, reach + 1, (n_out, n_thresholds)), axis=1)
    thresholds[:, 0], thresholds[:, -1] = -reach, reach
    # Sums on both sides of every threshold, and beyond the lowest and the highest.
    near = np.concatenate([thresholds + shift for shift in (-1, 0, 1)], axis=1).T
    return thresholds, np.vstack([near, np.full((2, n_out), [[-4 * reach], [4 * reach]])])


@pytest.mark.parametrize("reach", [2, 300, 2**14, 2**22])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=50)
@given(data=st.data())
def test_counts_equal_a_loop(dtype, reach, data):
    thresholds, acc = data.draw(cases(reach))
    counter = ThresholdCounter(thresholds, dtype)
    # Few thresholds are compared, and tables of those far apart would be too large.
    assert (counter.table is not None) == (thresholds.shape[1] > 7 and reach < 2**22)
    found = counter.count(acc.astype(dtype))
    assert found.dtype == np.uint8
    for neuron, (row, sums) in enumerate(zip(thresholds.tolist(), acc.T.tolist(), strict=True)):
        assert found[:, neuron].tolist() == [oracles.reached(row, total) for total in sums]


def test_far_thresholds_get_no_table():
    for far, n_neurons in ((2**40, 1), (2**63 - 1, 1), (2**63 - 1, 1024)):  # 2**64 in all
        thresholds = np.repeat(np.repeat([[-far, far]], 8, axis=1), n_neurons, axis=0)
        counter = ThresholdCounter(thresholds, np.float64)
        assert counter.table is None
        assert (counter.count(np.zeros((1, n_neurons))) == 8).all()


def test_a_block_without_rows():
    for n_thresholds in (3, 15):
        counter = ThresholdCounter(np.arange(n_thresholds)[None], np.float32)
        assert counter.count(np.empty((0, 1), np.float32)).shape == (0, 1)


def test_wide_counts():
    thresholds = np.arange(300.0)[:, None]
    assert count_reached(np.array([[299.0], [12.5]]), thresholds, np.uint16).tolist() == [
        [300],
        [13],
    ]


@given(threshold=st.floats(allow_nan=False), steps=st.integers(-2, 2))
def test_a_float32_reaches_what_was_rounded_up_if_and_only_if_it_reaches_the_threshold(
    threshold, steps
):
    (rounded,) = rounded_up(np.array([threshold]), np.float32)
    assert rounded.dtype == np.float32
    with np.errstate(over="ignore"):
        value = np.float32(threshold)
        for _ in range(abs(steps)):
            value = np.nextafter(value, np.float32(np.copysign(np.inf, steps)))
    assert (value >= rounded) == (float(value) >= threshold)


def test_nothing_is_rounded_where_the_type_is_the_same():
    thresholds = np.array([0.1, -np.inf, 5e-324, 1.7976931348623157e308])
    assert rounded_up(thresholds, np.float64).tolist() == thresholds.tolist()

"""The walk along a row against one in plain Python."""

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnnprune.pruning.limits import LayerLimits, keep_what_fits, largest


def slow_walk(codes, magnitude, candidates, limits):
    """One row: weights by falling magnitude, each kept if the sum with it still fits."""
    n_bits = limits.n_accum_bits
    kept, low, high = [], 0, 0
    wanted = [i for i in range(len(codes)) if candidates[i] and codes[i] != 0]
    for i in sorted(wanted, key=lambda i: -magnitude[i]):
        ends = [int(codes[i]) * int(x) for x in limits.input_range[i]]
        bounds = low + min(ends), high + max(ends)
        fits_count = limits.budget is None or len(kept) < limits.budget
        if fits_count and (n_bits is None or oracles.fits(*bounds, n_bits, always_signed=True)):
            kept, (low, high) = [*kept, i], bounds
    if len(kept) == len(wanted):
        return [bool(c) for c in candidates]
    return [i in kept for i in range(len(codes))]


@st.composite
def rows_and_limits(draw):
    n_out, n_in = draw(st.integers(1, 3)), draw(st.integers(1, 9))
    largest = draw(st.sampled_from([1, 3, 7, 127]))

    def table(element):
        row = st.lists(element, min_size=n_in, max_size=n_in)
        return np.array(draw(st.lists(row, min_size=n_out, max_size=n_out)))

    codes = table(st.integers(-largest, largest))
    # Distinct magnitudes: the order of equal ones is nobody's promise.
    magnitude = np.array([draw(st.permutations(range(n_in))) for _ in range(n_out)], float)
    one_range = st.sampled_from([(0, 0), (-1, 0), (-2, 1), (-8, 7), (0, 3), (-128, 127)])
    input_range = np.array([draw(one_range) for _ in range(n_in)])
    n_accum_bits = draw(st.none() | st.integers(1, 14))
    budget = draw(st.none() | st.integers(1, n_in))
    return codes, magnitude, table(st.booleans()), LayerLimits(input_range, n_accum_bits, budget)


@given(rows_and_limits())
def test_keep_what_fits_equals_a_slow_walk(case):
    codes, magnitude, candidates, limits = case
    expected = [slow_walk(*row, limits) for row in zip(codes, magnitude, candidates, strict=True)]
    np.testing.assert_array_equal(keep_what_fits(codes, magnitude, candidates, limits), expected)


@pytest.mark.parametrize("n_accum_bits", [8, 62])
def test_keep_what_fits_on_a_wide_layer(n_accum_bits):
    rng = np.random.default_rng(0)
    codes = rng.integers(-127, 128, (4, 300))
    magnitude = rng.random((4, 300))
    candidates = rng.random((4, 300)) < 0.9
    limits = LayerLimits(np.tile([-4, 3], (300, 1)), n_accum_bits, 200)
    expected = [slow_walk(*row, limits) for row in zip(codes, magnitude, candidates, strict=True)]
    np.testing.assert_array_equal(keep_what_fits(codes, magnitude, candidates, limits), expected)


@given(st.integers(0, 2**32 - 1))
def test_largest_equals_sorting_each_row(seed):
    rng = np.random.default_rng(seed)
    rank, candidates = rng.random((3, 8)), rng.random((3, 8)) < 0.6
    keep = rng.integers(0, 9, 3)
    for row, can, n, found in zip(
        rank, candidates, keep, largest(rank, candidates, keep), strict=True
    ):
        best = sorted(np.flatnonzero(can), key=lambda i: -row[i])[:n]  # noqa: B023
        assert set(np.flatnonzero(found)) == set(best)

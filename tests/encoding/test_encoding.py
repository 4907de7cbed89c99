from fractions import Fraction

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnnprune.encoding._encoding import InputEncoding
from qnnprune.encoding._fit import fit_encoding

n_bits = st.integers(1, 8)
# Few enough distinct values: then the edges of the segments are the values themselves.
value_sets = st.lists(st.integers(-50, 50), min_size=1, max_size=6, unique=True).map(sorted)
DTYPES = ["f2", "f4", "f8", "i1", "i8", "u8", "?"]


def _encode(encoding, X):
    return encoding.codes(encoding.levels(np.asarray(X)))


def test_worked_example():
    column = np.array([3.0, 0.0, 2.0, 1.0, 1.0])
    encoding = fit_encoding([column], None, n_segments=3, n_bits=2)
    # Where 0 .. 3 steps round up to the next, but no nearer to a value than a quarter:
    ramp = [1 / 4, 1 / 2, 3 / 4]  # not 1/6 and 5/6
    assert encoding.thresholds[0] == pytest.approx([t + r for t in range(3) for r in ramp])
    # 1.6 is past the first segment, 0.6 * 3 = 1.8 steps into the second, before the third.
    assert _encode(encoding, [[1.6], [-9.0], [2.5], [9.0]]).tolist() == [
        [1, 0, -2],
        [-2, -2, -2],
        [1, 1, 0],
        [1, 1, 1],
    ]


def test_outermost_rows_are_clipped_and_segments_hold_equal_shares():
    column = np.arange(1000.0)
    encoding = fit_encoding([column], None, n_segments=2, n_bits=1)
    # Edges 2, 499 and 997: shares 0.0025, 0.5 and 0.9975 of the rows; thresholds in between.
    assert encoding.thresholds.tolist() == [[250.5, 747.75]]  # 748 is a value


@pytest.mark.parametrize(
    "n_segments, thresholds",
    [
        # The zeros count for 250 rows of 350, not for 900 of 1000: edges 0, 13 and 100.
        (4, [6.5, 56.5]),
        # For 125 of 225, as no value gets more than one share: edges 0, 16, 44, 72 and 100;
        # the middles are values themselves.
        (8, [7.75, 29.75, 57.75, 85.75]),
    ],
)
def test_a_frequent_value_does_not_swallow_the_segments(n_segments, thresholds):
    column = np.concatenate([np.zeros(900), np.arange(1.0, 101.0)])
    encoding = fit_encoding([column], None, n_segments=n_segments, n_bits=1)
    assert encoding.thresholds.tolist() == [thresholds]


def _ramp(low_edge, high_edge, bits):
    """Thresholds of one segment between two neighbouring values, in exact arithmetic."""
    steps, gap = 2**bits - 1, Fraction(high_edge - low_edge)
    thresholds = [low_edge + gap * (2 * k + 1) / (2 * steps) for k in range(steps)]
    return [max(low_edge + gap / 4, min(high_edge - gap / 4, t)) for t in thresholds]


@given(
    features=st.lists(value_sets, min_size=1, max_size=3),
    bits=n_bits,
    seed=st.integers(0, 2**32 - 1),
)
def test_codes_equal_a_loop_over_elements_and_segments(features, bits, seed):
    rng = np.random.default_rng(seed)
    columns = [rng.permutation(np.repeat(np.array(v, float), 2)) for v in features]
    encoding = fit_encoding(columns, None, n_segments=5, n_bits=bits)
    X = rng.uniform(-60, 60, (6, len(features)))
    X[0] = [values[0] for values in features]
    codes = _encode(encoding, X)
    column = 0
    for j, edges in enumerate(features):
        pairs = list(zip(edges, edges[1:], strict=False))
        for low_edge, high_edge in pairs:
            ramp = _ramp(low_edge, high_edge, bits)
            for x, code in zip(map(Fraction, X[:, j]), codes[:, column].tolist(), strict=True):
                if all(abs(x - t) >= Fraction(1, 10**6) for t in ramp):
                    assert code == oracles.reached(ramp, x) - 2 ** (bits - 1)
            column += 1
        if not pairs:
            assert not codes[:, column].any()
            column += 1
    assert column == codes.shape[1] == len(encoding.input_range)


@given(features=st.lists(value_sets, min_size=1, max_size=4), bits=n_bits)
def test_codes_stay_within_their_range_and_rise_with_x(features, bits):
    encoding = fit_encoding(map(np.array, features), None, n_segments=5, n_bits=bits)
    grid = np.linspace(-1e3, 1e3, 401).repeat(len(features)).reshape(-1, len(features))
    codes = _encode(encoding, grid)
    assert codes.dtype == np.int8
    assert (np.diff(codes.astype(int), axis=0) >= 0).all()
    assert np.array_equal(codes[[0, -1]].T, encoding.input_range)


@given(
    column=st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=40),
    n_segments=st.integers(1, 6),
    bits=st.integers(1, 4),
)
def test_no_threshold_is_near_a_training_value(column, n_segments, bits):
    column = np.array(column)
    encoding = fit_encoding([column], None, n_segments=n_segments, n_bits=bits)
    values, found = np.unique(column), encoding.thresholds[np.isfinite(encoding.thresholds)]
    gaps = np.diff(values)
    for threshold in found:
        nearest = np.abs(values - threshold).min()
        gap = gaps[np.searchsorted(values, threshold) - 1]
        assert nearest >= 0.25 * gap * (1 - 1e-6)


def test_constant_features_give_one_code_that_never_changes():
    columns = [np.full(4, 7.0), np.arange(4.0), np.zeros(4)]
    encoding = fit_encoding(columns, None, n_segments=2, n_bits=3)
    assert encoding.n_segments.tolist() == [0, 2, 0]
    assert encoding.feature.tolist() == [0, 1, 1, 2]
    assert encoding.input_range.tolist() == [[0, 0], [-4, 3], [-4, 3], [0, 0]]
    assert not _encode(encoding, [[-1e9, 1.0, 1e9], [1e9, 1.0, -1e9]])[:, [0, 3]].any()


def test_no_varying_feature_at_all():
    encoding = fit_encoding([np.ones(3)], None, n_segments=4, n_bits=2)
    assert _encode(encoding, [[5.0]]).tolist() == [[0]]


@given(
    rows=st.lists(
        st.tuples(st.floats(-1e6, 1e6, width=32), st.integers(0, 4)), min_size=1, max_size=40
    ).filter(lambda rows: any(weight for _, weight in rows)),
    n_segments=st.integers(1, 6),
    bits=st.integers(1, 3),
)
def test_integer_weights_equal_repeated_rows(rows, n_segments, bits):
    rows = [row for row in rows if row[1]]  # rows without weight are dropped by the caller
    column, weight = (np.array(part) for part in zip(*rows, strict=True))
    weighted = fit_encoding([column], weight.astype(float), n_segments=n_segments, n_bits=bits)
    repeated = fit_encoding([column.repeat(weight)], None, n_segments=n_segments, n_bits=bits)
    assert np.array_equal(weighted.thresholds, repeated.thresholds)
    assert np.array_equal(weighted.n_segments, repeated.n_segments)


@given(seed=st.integers(0, 2**32 - 1), bits=n_bits, dtype=st.sampled_from(DTYPES))
def test_few_rows_equal_many_rows_for_every_dtype(seed, bits, dtype):
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(12, 3)) * 3).round(1)
    X = np.abs(X).astype(dtype) if dtype in ("u8", "?") else X.astype(dtype)
    # Thresholds on values of X: the ties are where the two ways could differ.
    encoding = fit_encoding(X.astype(float).T, None, n_segments=3, n_bits=bits)
    ties = np.sort(rng.choice(X.astype(float).ravel(), encoding.thresholds.shape), axis=1)
    finite = np.isfinite(encoding.thresholds)
    encoding = InputEncoding(np.where(finite, ties, np.inf), encoding.n_segments, bits)
    levels = encoding.levels(X)
    assert np.array_equal(
        levels, np.concatenate([encoding.levels(X[i : i + 4]) for i in (0, 4, 8)])
    )
    assert np.array_equal(levels, encoding.levels(X.astype(np.float64)))
    for row, counts in zip(X.tolist(), levels.tolist(), strict=True):
        features = zip(encoding.thresholds.tolist(), row, strict=True)
        assert counts == [oracles.reached(thresholds, x) for thresholds, x in features]


@pytest.mark.parametrize("n_levels, dtype", [(1, "u1"), (255, "u1"), (256, "u2"), (65280, "u2")])
def test_levels_take_the_smallest_type_that_holds_them(n_levels, dtype):
    encoding = InputEncoding(np.arange(n_levels, dtype=float)[None], np.array([n_levels]), 1)
    for n_rows in (1, 5):
        levels = encoding.levels(np.full((n_rows, 1), 1e9))
        assert levels.dtype == dtype
        assert (levels == n_levels).all()


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_extreme_values_keep_thresholds_sorted_and_finite(scale):
    encoding = fit_encoding([np.array([-1.0, 0.0, 1.0]) * scale], None, n_segments=2, n_bits=8)
    assert np.isfinite(encoding.thresholds).all()
    assert (np.diff(encoding.thresholds) >= 0).all()
    assert _encode(encoding, [[-scale], [scale]]).tolist() == [[-128, -128], [127, 127]]


@given(
    thresholds=st.lists(
        st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5, unique=True
    ).map(sorted)
)
def test_float32_reaches_a_threshold_exactly_when_its_float64_does(thresholds):
    encoding = InputEncoding(np.array([thresholds]), np.array([len(thresholds)]), n_bits=1)
    with np.errstate(over="ignore"):
        near = np.float32(thresholds)
        X = np.concatenate([np.nextafter(near, np.float32(s * np.inf)) for s in (-1, 1)] + [near])
    X = X[np.isfinite(X)].repeat(5000)[:, None]  # many rows, as few are compared in another way
    expected = (X.astype(np.float64) >= np.array(thresholds)).sum(axis=1)
    np.testing.assert_array_equal(encoding.levels(X)[:, 0], expected)


@pytest.mark.parametrize("n_levels", [3, 48, 70, 300])
def test_many_rows_have_the_levels_of_few(n_levels):
    rng = np.random.default_rng(n_levels)
    thresholds = np.sort(rng.normal(size=(4, n_levels)), axis=1)
    encoding = InputEncoding(thresholds, np.full(4, n_levels), n_bits=1)
    X = rng.normal(size=(9000, 4))
    X[:3] = thresholds[:, :3].T  # exactly on a threshold
    levels = encoding.levels(X)
    np.testing.assert_array_equal(levels[:9], encoding.levels(X[:9]))
    assert levels[17, 2] == oracles.reached(thresholds[2], X[17, 2])
    np.testing.assert_array_equal(encoding.levels(np.asfortranarray(X)), levels)


def test_codes_by_segment_are_the_codes_in_another_order():
    rng = np.random.default_rng(0)
    columns = [rng.normal(size=99), np.arange(99) % 2, np.ones(99), rng.normal(size=99)]
    encoding = fit_encoding(columns, None, n_segments=3, n_bits=2)
    levels = encoding.levels(np.array(columns).T)
    codes, order = encoding.codes(levels), encoding.order_by_segment
    # First segments of the four features, then the second and third ones of two.
    assert order.tolist() == [0, 3, 4, 5, 1, 6, 2, 7]
    np.testing.assert_array_equal(encoding.codes_by_segment(levels), codes[:, order])

"""Tables of rows: merging, weights, batches; sparse input like dense."""

from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from qnnprune._utils import row_blocks
from qnnprune.encoding._fit import fit_input_encoding
from qnnprune.training import batches
from qnnprune.training.batches import BatchLoader
from qnnprune.training.blocks import InputCodes
from qnnprune.training.rows import _groups, merge_rows


def fit(X, weight=None, n_segments=3, n_bits=2):
    weight = np.ones(X.shape[0]) if weight is None else weight
    rng = np.random.RandomState(0)
    return fit_input_encoding(X, weight, n_segments=n_segments, n_bits=n_bits, random_state=rng)


def contents(table):
    """Levels, target and weight of every row, in order."""
    parts = zip(table.levels(table.rows), table.y, table.weight, strict=True)
    return [(*map(tuple, (row, np.ravel(target))), weight) for row, target, weight in parts]


# Few distinct values, so that rows repeat; weights whose sums depend on the order.
rows = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 2),
        st.integers(0, 1),
        st.sampled_from([0, 1, 2, 0.5, 0.1, 0.7]),
    ),
    min_size=2,
    max_size=30,
)


def unpack(rows, y_dtype):
    table = np.array(rows, dtype=np.float64)
    return table[:, :2], table[:, 2].astype(y_dtype), table[:, 3]


@pytest.mark.parametrize("y_dtype", [np.int64, np.float64])
@given(rows=rows)
def test_merging_adds_up_the_weights_of_equal_rows(rows, y_dtype):
    X, y, weight = unpack(rows, y_dtype)
    if not weight.any():
        return
    encoding = fit(X)
    expected = defaultdict(float)
    for level, target, w in zip(encoding.levels(X), y, weight, strict=True):
        if w > 0:
            expected[tuple(level), (target,)] += w
    table = merge_rows(X, y, weight, encoding)
    found = {(level, target): w for level, target, w in contents(table)}
    assert found == pytest.approx(expected, rel=1e-12)
    assert len(table) == len(expected)


@given(rows=rows, seed=st.integers(0, 9))
def test_order_makes_no_difference(rows, seed):
    X, y, weight = unpack(rows, np.int64)
    order = np.random.default_rng(seed).permutation(len(X))
    encoding = fit(X)
    table, shuffled = (merge_rows(X[i], y[i], weight[i], encoding) for i in (slice(None), order))
    assert contents(table) == contents(shuffled)


def test_repeating_rows_equals_weighting_them():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(50, 3)), rng.normal(size=50)
    times = rng.integers(0, 4, 50)
    weighted, repeated = fit(X, times.astype(float)), fit(np.repeat(X, times, axis=0))
    np.testing.assert_array_equal(weighted.thresholds, repeated.thresholds)
    a = merge_rows(X, y, times.astype(float), weighted)
    b = merge_rows(np.repeat(X, times, axis=0), np.repeat(y, times), np.ones(times.sum()), weighted)
    assert contents(a) == contents(b)


def test_targets_that_differ_in_any_bit_stay_apart():
    X = np.zeros((4, 2))
    X[0] = 1
    y = np.array([1.0, 1.0, np.nextafter(1.0, 2.0), 1.0])
    table = merge_rows(X, y, np.ones(4), fit(X))
    assert sorted(table.y) == [1.0, 1.0, np.nextafter(1.0, 2.0)]
    assert sorted(table.weight) == [1.0, 1.0, 2.0]


def test_columns_are_not_mixed_up():
    X = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    Y = X[:, ::-1].copy()
    table = merge_rows(X, Y, np.ones(4), fit(X))
    assert len(table) == 4 and table.y.shape == (4, 2)


FORMATS = [sparse.csr_matrix, sparse.csr_array]


@pytest.mark.parametrize("to_sparse", FORMATS)
@pytest.mark.parametrize("zero_weights", [False, True])
def test_sparse_equals_dense(to_sparse, zero_weights):
    rng = np.random.default_rng(0)
    X = rng.poisson(0.3, (80, 5)) * rng.choice([-1.5, 1.0, 3.0], (80, 5))
    X[:, 4] = 0
    y, weight = rng.integers(0, 3, 80), np.ones(80)
    weight[: 20 * zero_weights] = 0
    dense, thin = fit(X, weight), fit(to_sparse(X), weight)
    np.testing.assert_array_equal(dense.thresholds, thin.thresholds)
    np.testing.assert_array_equal(dense.n_segments, thin.n_segments)
    tables = merge_rows(X, y, weight, dense), merge_rows(to_sparse(X), y, weight, thin)
    assert contents(tables[0]) == contents(tables[1])


def test_encoding_ignores_rows_of_weight_zero():
    X = np.arange(20.0)[:, None]
    weight = np.ones(20)
    weight[10:] = 0
    np.testing.assert_array_equal(fit(X, weight).thresholds, fit(X[:10]).thresholds)


def test_blocks_cover_all_rows():
    for shape in [(1, 1), (10, 2**21), (7, 3 * 2**21), (5, 0)]:
        covered = [i for block in row_blocks(*shape) for i in range(shape[0])[block]]
        assert covered == list(range(shape[0]))


def loader_of(table, *args):
    return BatchLoader(table, InputCodes(table.encoding), *args)


def make_table(n_rows):
    X = np.arange(float(n_rows))[:, None]
    return merge_rows(X, np.zeros(n_rows, np.int64), np.ones(n_rows), fit(X, n_segments=n_rows))


def values_of(table):
    """Of input codes of 2 bits, by hand: the share of a segment that lies below the level."""
    steps, segments = table.encoding.steps, table.encoding.offset
    return np.clip(table.levels(table.rows) - segments, 0, steps) / steps * 2 - 1


@pytest.mark.parametrize(
    ("n_rows", "batch_size"), [(10, 3), (33, 32), (64, 32), (5, 100), (100, 7)]
)
def test_batches_have_nearly_equal_sizes(n_rows, batch_size):
    table = make_table(n_rows)
    assert len(table) == n_rows
    loader = loader_of(table, batch_size, np.random.RandomState(0))
    batches = list(loader)
    sizes = [len(batch.values) for batch in batches]
    assert sum(sizes) == n_rows and max(sizes) <= batch_size and len(sizes) == len(loader)
    assert max(sizes) - min(sizes) <= 1
    seen = torch.cat([batch.values for batch in batches]).numpy()
    assert len(np.unique(seen, axis=0)) == n_rows, "every row comes once"
    assert not np.array_equal(seen, values_of(table)), "rows are shuffled"


def test_no_training_batch_has_a_single_row():
    # Batch normalisation has nothing to normalise in a batch of one row.
    for n_rows in range(1, 12):
        for batch_size in range(1, 6):
            loader = loader_of(make_table(n_rows), batch_size, np.random.RandomState(0))
            assert min(len(batch.values) for batch in loader) >= 2


def test_validation_batches_keep_the_order():
    table = make_table(10)
    values = torch.cat([batch.values for batch in loader_of(table, 3)])
    np.testing.assert_allclose(values, values_of(table), rtol=1e-6)


@pytest.mark.parametrize("as_sparse", [False, True])
def test_values_that_are_kept_are_those_of_each_batch(as_sparse, monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 3)) * (rng.random((50, 3)) < 0.7)
    X = sparse.csr_matrix(X) if as_sparse else X
    table = merge_rows(X, rng.integers(0, 2, 50), np.ones(50), fit(X)).subset(np.arange(5, 25))
    monkeypatch.setattr(batches, "_MOST_VALUES", 20 * InputCodes(table.encoding).n_values)
    kept = loader_of(table, 6, np.random.RandomState(0))
    first = [batch.values for batch in kept]
    monkeypatch.setattr(batches, "_MOST_VALUES", batches._MOST_VALUES - 1)
    each, n_encoded = loader_of(table, 6, np.random.RandomState(0)), []
    each.encode.register_forward_pre_hook(lambda _, levels: n_encoded.append(len(levels[0])))
    for mine in (first, [batch.values for batch in kept]):
        for values, batch in zip(mine, each, strict=True):
            assert torch.equal(values, batch.values)
    assert max(n_encoded) <= 6, "too many rows to keep: each batch by itself"


def test_subset():
    table = make_table(6)
    part = table.subset(np.array([4, 1]))
    assert contents(part) == [contents(table)[4], contents(table)[1]]


@pytest.mark.parametrize("n_keys", [1, 2, 7])
def test_rows_of_one_key_are_told_apart_by_their_contents(n_keys):
    # A hash may give one key to different rows: contents alone decide.
    rng = np.random.default_rng(n_keys)
    rows = rng.integers(0, 3, (60, 3)).astype(np.uint64)
    weight = rng.integers(0, 3, 60).astype(float)
    keys = np.stack([rows.sum(axis=1) % np.uint64(n_keys)] * 2, axis=1)
    order, starts = _groups(keys, weight, lambda index: rows[index], width=3)
    found = [
        (tuple(rows[group[0]].tolist()), weight[group].sum())
        for group in np.split(order, starts[1:])
        if len({tuple(row) for row in rows[group].tolist()}) == 1
    ]
    expected = {}
    for row, w in zip(rows.tolist(), weight, strict=True):
        if w:
            expected[tuple(row)] = expected.get(tuple(row), 0) + w
    assert len(found) == len(starts) == len(expected) and dict(found) == expected
    # ... and the order of the groups does not depend on that of the rows.
    turned = rng.permutation(60)
    again, starts = _groups(
        keys[turned], weight[turned], lambda index: rows[turned][index], width=3
    )
    assert [rows[turned[i]].tolist() for i in again[starts]] == [list(row) for row, _ in found]

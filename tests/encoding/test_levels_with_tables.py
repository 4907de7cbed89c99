"""Tables, categories and gaps: levels and codes of any mixture of features."""

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnnprune import IntegerNetwork
from qnnprune.accumulators import code_range
from qnnprune.encoding import InputEncoding
from qnnprune.integer import OutputLayer
from qnnprune.integer._consistency import check_network

INF = np.inf
# A ramp of two segments, three categories with rare and unknown ones and gaps, a constant, and a
# ramp of one segment with a level for gaps.
WORKED = InputEncoding(
    thresholds=np.array(
        [[0.0, 1, 2, 3, 4, 5], [0.5, 1.5, 2.5, INF, INF, INF], [INF] * 6, [7, 8, 9, INF, INF, INF]]
    ),
    n_segments=np.array([2, 0, 0, 1]),
    n_bits=2,
    tables=(
        None,
        np.array([[1, -2, -2], [-2, 1, -2], [-2, -2, 1], [-2, -2, -2], [0, 0, 0]], np.int8),
        None,
        np.array([[-2, -2], [-1, -2], [0, -2], [1, -2], [-1, 1]], np.int8),
    ),
    categories=(None, np.array(["a", "b", "c"]), None, None),
    missing_level=np.array([3, 4, 0, 4]),
)
NAN = np.nan


def test_worked_example():
    rows = [[4.5, 1, 9, 8.5], [NAN, NAN, NAN, NAN], [-1, 3, 0, 9]]
    levels = WORKED.levels(np.array(rows))
    assert levels.tolist() == [[5, 1, 0, 2], [3, 4, 0, 4], [0, 3, 0, 3]]
    assert WORKED.codes(levels).tolist() == [
        [1, 0, -2, 1, -2, 0, 0, -2],
        [1, -2, 0, 0, 0, 0, -1, 1],
        [-2, -2, -2, -2, -2, 0, 1, -2],
    ]
    assert WORKED.n_codes.tolist() == [2, 3, 1, 2]
    assert WORKED.feature.tolist() == [0, 0, 1, 1, 1, 2, 3, 3]
    assert WORKED.input_range.tolist() == [[-2, 1]] * 5 + [[0, 0]] + [[-2, 1]] * 2


def test_ranges_of_tables_are_those_of_their_codes_and_zero():
    table = np.array([[1, 0, -1], [1, 0, -2]], np.int8)
    encoding = InputEncoding(np.array([[0.5]]), np.array([0]), 2, (table,), (np.array([1]),))
    assert encoding.input_range.tolist() == [[0, 1], [0, 0], [-2, 0]]


@st.composite
def mixtures(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_bits = draw(st.integers(1, 8))
    kinds = draw(st.lists(st.sampled_from("rcgt"), min_size=1, max_size=5))
    steps, (low, high) = 2**n_bits - 1, code_range(n_bits)
    rows, n_segments, tables, categories, missing = [], [], [], [], []
    for kind in kinds:
        n = 0 if kind == "c" else int(rng.integers(0, 3))
        known = np.arange(rng.integers(1, 5)) if kind == "c" else None
        row = np.sort(rng.normal(size=n * steps)) if known is None else known + 0.5
        n_levels = len(row) + 1 + int(kind in "cg")
        has_table = kind != "r"
        table = rng.integers(low, high + 1, (n_levels, rng.integers(1, 4))).astype(np.int8)
        rows.append(row)
        n_segments.append(n)
        tables.append(table if has_table else None)
        categories.append(known)
        missing.append(int(rng.integers(0, n_levels)))
    thresholds = np.full((len(rows), max(1, *map(len, rows))), np.inf)
    for place, row in enumerate(rows):
        thresholds[place, : len(row)] = row
    encoding = InputEncoding(
        thresholds, np.array(n_segments), n_bits, tables, categories, np.array(missing)
    )
    X = rng.normal(size=(7, len(rows))) * 2
    X[rng.random(X.shape) < 0.2] = np.nan
    return encoding, X


@given(mixture=mixtures())
def test_codes_equal_the_oracle_for_few_rows_and_many(mixture):
    encoding, X = mixture
    expected = [oracles.encode(encoding, row) for row in X.tolist()]
    codes = encoding.codes(encoding.levels(X))
    assert codes.tolist() == expected
    many = np.repeat(X, 2**14 // X.size + 1, axis=0)
    for table in (many, many.astype(np.float32).astype(np.float64)):
        levels = encoding.levels(table)
        by_segment = encoding.codes_by_segment(levels)
        np.testing.assert_array_equal(
            by_segment, encoding.codes(levels)[:, encoding.order_by_segment]
        )
    np.testing.assert_array_equal(
        encoding.codes(encoding.levels(many)), np.repeat(codes, len(many) // 7, axis=0)
    )
    low, high = encoding.input_range.T
    assert ((codes >= low) & (codes <= high)).all()


def _network(encoding):
    ranges = encoding.input_range
    weight = np.random.default_rng(0).integers(-1, 2, (2, len(ranges))).astype(np.int8)
    layer = OutputLayer(weight, ranges, scale=np.ones(2), bias=np.zeros(2))
    return IntegerNetwork(encoding, [layer], n_w_bits=2, n_accum_bits=8)


@given(mixture=mixtures())
def test_files_keep_tables_categories_and_gaps(mixture, tmp_path_factory):
    encoding, X = mixture
    network = _network(encoding)
    path = tmp_path_factory.mktemp("saved") / "network.npz"
    network.save(path)
    loaded = IntegerNetwork.load(path)
    np.testing.assert_array_equal(loaded.encoding.levels(X), encoding.levels(X))
    np.testing.assert_array_equal(loaded.decision(X), network.decision(X))
    for name in ("tables", "categories"):
        found, expected = getattr(loaded.encoding, name), getattr(encoding, name)
        for pair in zip(found, expected, strict=True):
            np.testing.assert_array_equal(*pair)
    np.testing.assert_array_equal(loaded.encoding.missing_level, encoding.missing_level)


def _changed(**changes):
    names = ("thresholds", "n_segments", "n_bits", "tables", "categories", "missing_level")
    return InputEncoding(**{name: getattr(WORKED, name) for name in names} | changes)


def _table(feature, table):
    tables = list(WORKED.tables)
    tables[feature] = None if table is None else np.array(table, np.int8)
    return {"tables": tables}


@pytest.mark.parametrize(
    "changes, message",
    [
        (_table(1, WORKED.tables[1][:3]), "tables.1 has shape"),
        (_table(1, np.vstack([WORKED.tables[1]] * 2)), "tables.1 has shape"),
        (_table(1, WORKED.tables[1][:, :0]), "tables.1 has shape"),
        (_table(3, WORKED.tables[3] * 2), "tables.3 has codes beyond 2 bits"),
        (_table(1, None), "tables.1: there is none"),
        ({"missing_level": np.array([7, 4, 0, 4])}, "missing_level of feature 0 is 7, not below 7"),
        ({"missing_level": np.array([3, 4, 0, -2])}, "missing_level of feature 3 is -2"),
        ({"missing_level": np.array([3, 4])}, "missing_level"),
        ({"categories": (None, np.array(["a", "b", "b"]), None, None)}, "different values"),
        ({"categories": (None, np.array(["a", "b"]), None, None)}, "does not match"),
        ({"categories": (None, np.array([1.0, 2.0, np.nan]), None, None)}, "not finite"),
        ({"n_segments": np.array([2, 1, 0, 1])}, "categorical feature 1 is not 0"),
        ({"thresholds": WORKED.thresholds + 0.25}, "not 0.5, 1.5"),
    ],
)
def test_contradictions(changes, message):
    check_network(_network(WORKED))
    network = _network(WORKED)
    network.encoding = _changed(**changes)
    with pytest.raises(ValueError, match=message):
        check_network(network)

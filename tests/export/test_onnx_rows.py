"""Raw rows in ONNX Runtime: what `predict` says, gaps, categories and dates among them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_rows import decision, session_of
from pipelines import EveryCode, around_thresholds, fold
from sklearn.compose import make_column_transformer
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from qnnprune import IntegerNetwork, PrunedNeuralNetRegressor, prove
from qnnprune.accumulators import code_range
from qnnprune.encoding import InputEncoding
from qnnprune.export import register_skl2onnx, to_onnx, to_qonnx
from qnnprune.integer import OutputLayer

pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

pytestmark = pytest.mark.filterwarnings("ignore")


def network_of(encoding, names=None, seed=0, n_out=8):
    """Random weights, and so many sums that hardly any two codes give the same ones."""
    shape = (n_out, len(encoding.feature))
    weight = np.random.RandomState(seed).randint(-7, 8, shape).astype(np.int8)
    layer = OutputLayer(weight, encoding.input_range, scale=np.ones(n_out), bias=np.zeros(n_out))
    names = None if names is None else np.array(names)
    return IntegerNetwork(encoding, [layer], n_w_bits=8, n_accum_bits=32, feature_names=names)


KNOWN = {
    "text": np.array(["a", "b", "ä ö", "z"]),
    "empty text": np.array(["", "b"]),
    "none": np.empty(0, dtype="U1"),
    "integers": np.array([-3, 0, 2**53]),
    "floats": np.array([-0.5, 0.0, 0.1, 1e300]),
    "single floats": np.array([0.1, 0.5], dtype=np.float32),
    "truth values": np.array([False, True]),
}


@st.composite
def encodings(draw):
    """Numbers as ramps and as tables, dates, and categories, all of them with any level for gaps."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_bits = draw(st.integers(1, 3))
    names = ("ramp", "table", "rising", "date", *KNOWN)
    kinds = draw(st.lists(st.sampled_from(names), min_size=1, max_size=5))
    low, high = code_range(n_bits)
    rows, n_segments, tables, categories, missing = [], [], [], [], []
    for kind in kinds:
        known, table, count = KNOWN.get(kind), None, 0
        if known is not None:
            row = np.arange(len(known)) + 0.5
        elif kind == "ramp":
            count = int(rng.integers(0, 4))
            row = np.sort(rng.normal(size=count * (2**n_bits - 1)).round(2))
        else:
            row = np.sort(rng.normal(size=rng.integers(1, 20)).round(2))
        n_levels = len(row) + 1
        if kind != "ramp":
            n_levels += int(rng.integers(0, 2))
            table = rng.integers(low, high + 1, (n_levels, rng.integers(1, 4))).astype(np.int8)
            if kind == "rising":
                table[: len(row) + 1] = np.sort(table[: len(row) + 1], axis=0)
        rows.append(row)
        n_segments.append(count)
        tables.append(table)
        categories.append(known)
        missing.append(rng.integers(0, n_levels))
    thresholds = np.full((len(rows), max(1, *map(len, rows), 2**n_bits - 1)), np.inf)
    for place, row in enumerate(rows):
        thresholds[place, : len(row)] = row
    is_date = np.array(kinds) == "date"
    encoding = InputEncoding(
        thresholds, np.array(n_segments), n_bits, tuple(tables), tuple(categories),
        np.array(missing), is_date,
    )  # fmt: skip
    return kinds, encoding


def frame_for(kinds, encoding, rng, dtype, n=40):
    """Values on thresholds and next to them, known and unknown categories, gaps."""
    columns = {}
    for place, kind in enumerate(kinds):
        if kind == "date":
            hours = pd.to_timedelta(rng.integers(-60, 60, n), unit="h")
            values = pd.Series(pd.Timestamp(0) + hours)
        elif kind in KNOWN:
            known = KNOWN[kind].tolist()
            others = ["other", "A"] if KNOWN[kind].dtype.kind == "U" else [7.0, 0.1, 1.0]
            values = pd.Series([[*known, *others][i] for i in rng.integers(0, len(known) + 2, n)])
            values = values.astype(object)
        else:
            near = encoding.thresholds_for(dtype)[place]
            near = near[np.isfinite(near)]
            near = [near, np.nextafter(near, dtype(-9)), np.nextafter(near, dtype(9)), [0, -9, 9]]
            values = pd.Series(rng.choice(np.concatenate(near).astype(dtype), n))
        columns[f"{kind} {place}"] = values.where(pd.Series(rng.random(n) < 0.8))
    return pd.DataFrame(columns)


@settings(max_examples=60)
@given(
    case=encodings(),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 2**32 - 1),
)
def test_mixed_rows_of_any_kind(case, dtype, seed):
    kinds, encoding = case
    rows = frame_for(kinds, encoding, np.random.default_rng(seed), dtype)
    network = network_of(encoding, names=list(rows))
    for name, known in zip(list(rows), encoding.categories, strict=True):
        if known is not None and "" in known:  # an empty text is a category there
            rows[name] = rows[name].fillna("<missing>")
            rows.loc[rows.index[::5], name] = ""
    wanted = rows.replace("<missing>", np.nan)
    session = session_of(network, dtype=np.dtype(dtype).name)
    np.testing.assert_array_equal(decision(session, rows), network.decision(wanted))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_bits", [1, 2, 5])
def test_a_gap_in_a_matrix_has_its_level(tiny_network, dtype, n_bits):
    plain = tiny_network(np.random.default_rng(n_bits), n_features=4, n_in_bits=n_bits)
    encoding = plain.encoding
    last = np.isfinite(encoding.thresholds).sum(axis=1)
    encoding = InputEncoding(
        encoding.thresholds, encoding.n_segments, n_bits, missing_level=(last + 1) // 2
    )
    network = IntegerNetwork(encoding, plain.layers, n_w_bits=3, n_accum_bits=8)
    X = np.random.default_rng(1).normal(size=(60, 4)).astype(dtype)
    X[np.random.default_rng(2).random(X.shape) < 0.4] = np.nan
    session = session_of(network, dtype=np.dtype(dtype).name)
    np.testing.assert_array_equal(decision(session, X), network.decision(X))


def test_no_operator_for_gaps_where_they_have_the_lowest_level_or_none(tiny_network):
    network = tiny_network(np.random.default_rng(0))
    nodes = [node.op_type for node in to_onnx(network).graph.node]
    assert "IsNaN" not in nodes and "LabelEncoder" not in nodes


def test_inputs_are_named_and_typed():
    kinds = ["ramp", "text", "integers", "truth values", "date"]
    n = len(kinds)
    thresholds = np.full((n, 4), np.inf)
    thresholds[0, :1] = 0.5
    categories = tuple(KNOWN.get(kind) for kind in kinds)
    tables = [None]
    for place, known in enumerate(categories[1:], start=1):
        count = 4 if known is None else len(known)
        thresholds[place, :count] = np.arange(count) + 0.5
        tables.append(np.arange(count + 1, dtype=np.int8)[:, None] % 2 - 1)
    encoding = InputEncoding(
        thresholds, np.array([1, 0, 0, 0, 0]), 1, tuple(tables), categories,
        np.zeros(n, dtype=np.int64), np.array(kinds) == "date",
    )  # fmt: skip
    names = ["decision", "label", "Gather_3", "constant_0", ""]
    session = session_of(network_of(encoding, names=names))
    found = {value.name: (value.type, value.shape[1]) for value in session.get_inputs()}
    double, text = ("tensor(double)", 1), ("tensor(string)", 1)
    assert found == {
        "decision": ("tensor(float)", 1), "label": text, "Gather_3": double, "constant_0": double,
        "x4": double,
    }  # fmt: skip
    assert [value.name for value in session.get_outputs()] == ["variable", "decision_"]
    unnamed = session_of(network_of(encoding))
    assert [value.name for value in unnamed.get_inputs()] == ["x0", "x1", "x2", "x3", "x4"]
    with pytest.raises(ValueError, match="Several columns have the name 'a'"):
        to_onnx(network_of(encoding, names=["a", "a", "b", "c", "d"]))


def frame(n, seed):
    rng = np.random.default_rng(seed)
    town = rng.choice(["Ulm", "Bonn", "Köln"], n).astype(object)
    town[rng.random(n) < 0.1] = np.nan
    return pd.DataFrame(
        {
            "height": np.where(rng.random(n) < 0.1, np.nan, rng.normal(170, 10, n)),
            "income": np.exp(rng.normal(8, 1, n)),
            "rooms": rng.integers(1, 6, n),
            "town": town,
            "owner": rng.random(n) < 0.5,
            "name": [f"person {i}" for i in range(n)],
        }
    )


NUMBERS = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
TEXTS = make_pipeline(
    SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
)
STEPS = {
    "tables": make_column_transformer(
        (NUMBERS, ["height", "income"]), (TEXTS, ["town", "owner"]), ("passthrough", ["rooms"])
    ),
    "looked-up numbers": make_column_transformer(
        (NUMBERS, ["income"]), (OneHotEncoder(handle_unknown="ignore"), ["rooms", "town"])
    ),
    "selection": make_pipeline(
        make_column_transformer((NUMBERS, ["height", "income"]), (TEXTS, ["town"])),
        VarianceThreshold(0.05),
    ),
}


def with_thresholds(network, dtype, seed):
    """Rows with gaps everywhere, unseen towns, and numbers on thresholds."""
    near = around_thresholds(network, dtype, of_all_sizes=False)
    rows, rng = frame(len(near), seed), np.random.default_rng(seed)
    for name in ("height", "income"):
        rows[name] = near[:, list(rows).index(name)].astype(dtype)
        rows.loc[rng.random(len(rows)) < 0.1, name] = np.nan
    rows["rooms"] = rows["rooms"].astype(dtype)
    rows.loc[::7, "town"] = "Rome"
    return rows


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", STEPS)
def test_pipelines(name, dtype):
    rows = frame(300, 0)
    pipeline = make_pipeline(STEPS[name], EveryCode()).fit(rows, rows["rooms"])
    network = fold(pipeline)
    session = session_of(pipeline, dtype=np.dtype(dtype).name)
    assert "name" not in [value.name for value in session.get_inputs()]  # it may hold anything
    hard = with_thresholds(network, dtype, 1)
    np.testing.assert_array_equal(decision(session, hard), network.decision(hard))


def test_levels_that_float64_lacks_count_as_in_frames():
    """Thresholds of both types that are apart in one and equal in the other."""
    thresholds = np.array([[1.0, 1.0, 2.0, 3.0], [0.5, np.inf, np.inf, np.inf]])
    singles = np.array([[1.0, 1.5, 2.5, 3.0], [0.5, np.inf, np.inf, np.inf]], dtype=np.float32)
    ramp = np.array([[-2], [-1], [0], [1], [1]], dtype=np.int8)
    encoding = InputEncoding(
        thresholds, np.zeros(2, dtype=np.int64), 2, (ramp, np.array([[-2], [1]], dtype=np.int8)),
        (None, np.array(["a"])), np.zeros(2, dtype=np.int64), single_thresholds=singles,
        blocks=np.array([0, 1]),
    )  # fmt: skip
    values = np.arange(0, 4, 0.25, dtype=np.float32)
    rows = pd.DataFrame({"n": values, "t": ["a"] * len(values)})
    for blocks in ([0, 1], [0, 0]):
        object.__setattr__(encoding, "blocks", np.array(blocks))
        network = network_of(encoding, names=["n", "t"])
        np.testing.assert_array_equal(decision(session_of(network), rows), network.decision(rows))


def test_a_category_that_the_pipeline_refuses_is_an_error():
    rows = frame(100, 0).dropna()
    steps = make_column_transformer((OrdinalEncoder(), ["town"]), ("passthrough", ["height"]))
    pipeline = make_pipeline(steps, EveryCode()).fit(rows[["town", "height"]])
    session = session_of(pipeline)
    rows = rows[["town", "height"]]
    np.testing.assert_array_equal(decision(session, rows), fold(pipeline).decision(rows))
    for bad in ("Rome", None):
        with pytest.raises(Exception, match="out of data bounds"):
            decision(session, rows.assign(town=bad))


def test_categories_of_numbers_through_skl2onnx():
    skl2onnx = pytest.importorskip("skl2onnx")
    register_skl2onnx()
    X = np.random.default_rng(0).integers(0, 4, (80, 2)).astype(np.float32) / 10
    X[::9, 1] = np.nan
    net = PrunedNeuralNetRegressor((4,), max_epochs=2, random_state=0, categorical_features=[0])
    net.fit(X, X[:, 0])
    proto = skl2onnx.to_onnx(net, X[:1])
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"X": X})
    assert np.array_equal(found[:, 0], net.predict(X).astype(np.float32))
    own = session_of(net)
    feed = {"x0": X[:, :1].astype(np.float64), "x1": X[:, 1:]}
    assert np.array_equal(own.run(None, feed)[0], found)
    words = np.where(X > 0.1, "a", "b").astype(object)
    net.fit(np.concatenate([words[:, :1], X[:, 1:]], axis=1), X[:, 0])
    with pytest.raises(ValueError, match="Column 0 holds text"):
        skl2onnx.to_onnx(net, X[:1])


def test_sums_of_raw_rows_are_proven_anew():
    """The audit reads the model as it would that of others, and finds the same widths."""
    rows = frame(200, 0)
    pipeline = make_pipeline(STEPS["tables"], EveryCode()).fit(rows)
    proof = prove(to_onnx(pipeline))
    assert not proof.unknown
    assert proof.bits == fold(pipeline).proven_bits


def test_qonnx_takes_the_codes_of_raw_rows():
    pytest.importorskip("qonnx")
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx

    rows = frame(60, 0)
    pipeline = make_pipeline(STEPS["tables"], EveryCode()).fit(rows)
    network = fold(pipeline)
    codes = network.quantize_input(rows).astype(np.float32)
    model = ModelWrapper(to_qonnx(pipeline, batch_size=len(rows)))
    found = execute_onnx(model, {"codes": codes})["decision"]
    np.testing.assert_array_equal(found, network.decision(rows))  # whole numbers below 2**24

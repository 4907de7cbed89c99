"""Every target predicts the same for every row: straight on frames, and behind pipelines."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from compiled import decisions
from mixed import LONG, NUMBERS, TEXTS, hard_rows, mixed_frame, with_dates
from onnx_rows import decision, session_of
from pipelines import EveryCode
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    StandardScaler,
)

from qnnprune import IntegerNetwork, PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.export import to_c

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed"),
]
FRAME, LABELS, VALUES = mixed_frame()
ESTIMATORS = {
    "classifier": (PrunedNeuralNetClassifier, LABELS),
    "regressor": (PrunedNeuralNetRegressor, VALUES),
}
SMALL = {"hidden_layer_sizes": (8,), "n_input_segments": 3, "max_epochs": 2, "random_state": 0}
FILLED = ["age", "income (€)", "count", "tiny", "constant", LONG]


def imputed(*steps, **settings):
    """An imputer and more."""
    return make_pipeline(SimpleImputer(**settings), *steps)


def columns(numbers, texts, *, names=NUMBERS, **more):
    """Numbers, texts and truth values, each by a transformer of their own."""
    parts = [("n", numbers, names), ("t", texts, TEXTS), ("flag", "passthrough", ["flag"])]
    return ColumnTransformer(parts, **more)


ONE_HOT = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
ORDINAL = OrdinalEncoder(
    handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2
)
PIPELINES = {
    "scaler and one-hot": columns(
        imputed(StandardScaler(), strategy="median"),
        imputed(ONE_HOT, strategy="most_frequent"),
    ),
    "indicators, rare categories": columns(
        imputed(StandardScaler(), add_indicator=True),
        OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5, sparse_output=False),
    ),
    "ordinal": columns(imputed(strategy="constant", fill_value=-1.5), ORDINAL),
    "quantiles": columns(imputed(QuantileTransformer(n_quantiles=20)), ORDINAL, names=FILLED),
    "bins and powers": columns(
        imputed(
            make_union(KBinsDiscretizer(3, encode="onehot-dense"), PowerTransformer()),
            keep_empty_features=True,
        ),
        ONE_HOT,
        names=["age", "count", LONG],
    ),
    "refuses unseen": columns(
        imputed(StandardScaler()), OneHotEncoder(sparse_output=False), names=["age", "count"]
    ),
}


def in_onnx(model, network, rows, dtype):
    """Decisions of ONNX Runtime, each number in one type, gaps of texts by their mark."""
    pytest.importorskip("onnxruntime")
    known = zip(rows.columns, network.encoding.categories, strict=True)
    marks = {name: "<missing>" for name, texts in known if texts is not None and "" in texts}
    rows = rows.astype(dict.fromkeys(marks, object)).fillna(marks)
    if network.feature_names is None:
        rows = rows.set_axis([f"x{place}" for place in range(rows.shape[1])], axis=1)
    return decision(session_of(model, dtype=np.dtype(dtype).name), rows)


def float_frame(dtype):
    """The training frame with all numbers in one type."""
    return FRAME.astype(dict.fromkeys(NUMBERS, dtype))


@pytest.fixture(scope="module", params=[*ESTIMATORS, "skip connection", "every code"])
def straight(request):
    """An estimator fitted on the frame; the last one tells almost any codes apart."""
    if request.param == "every code":
        return EveryCode().fit(with_dates(FRAME))
    if request.param == "skip connection":
        skips = PrunedNeuralNetClassifier(**SMALL, skip_connection=True)
        return skips.fit(with_dates(FRAME), LABELS)
    estimator, y = ESTIMATORS[request.param]
    return estimator(**SMALL).fit(with_dates(FRAME), y)


@pytest.fixture(scope="module", params=PIPELINES)
def pipeline(request):
    """A fitted pipeline whose end tells almost any codes apart."""
    return make_pipeline(PIPELINES[request.param], EveryCode()).fit(FRAME, LABELS)


@pytest.fixture
def elsewhere(tmp_path):
    """Decisions of a loaded file, in a process that has neither torch nor scikit-learn."""

    def decide(network, rows):
        network.save(tmp_path / "net.npz")
        rows.to_pickle(tmp_path / "rows.pkl")
        script = (
            "import sys\n"
            "sys.modules.update(dict.fromkeys(['torch', 'sklearn', 'brevitas', 'scipy']))\n"
            "import numpy, pandas, qnnprune\n"
            "net = qnnprune.IntegerNetwork.load(sys.argv[1])\n"
            "numpy.save(sys.argv[3], net.decision(pandas.read_pickle(sys.argv[2])))\n"
        )
        files = [tmp_path / name for name in ("net.npz", "rows.pkl", "found.npy")]
        subprocess.run([sys.executable, "-c", script, *files], check=True)
        return np.load(files[-1])

    return decide


FLOATS = pytest.mark.parametrize("kind, dtype", [("float", np.float32), ("double", np.float64)])


@FLOATS
def test_straight_on_frames(straight, kind, dtype, tmp_path, elsewhere):
    network = straight.integer_network_
    rows = hard_rows(network.encoding, with_dates(FRAME), dtype)
    if kind == "float":  # dates are compared in float32 there
        rows["when"] = rows["when"].dt.floor("D")
    wanted = network.decision(rows)
    assert len(np.unique(wanted, axis=0)) > 5
    if hasattr(straight, "predict"):
        np.testing.assert_array_equal(straight.predict(rows), network.predict(rows))
    np.testing.assert_array_equal(elsewhere(network, rows), wanted)
    np.testing.assert_array_equal(decisions(straight, network, rows, tmp_path, kind), wanted)
    np.testing.assert_array_equal(in_onnx(straight, network, rows, dtype), wanted)


@FLOATS
def test_pipelines(pipeline, kind, dtype, tmp_path, elsewhere):
    network = IntegerNetwork.from_pipeline(pipeline)
    rows = hard_rows(network.encoding, float_frame(dtype), dtype)
    wanted = pipeline.decision_function(rows)
    np.testing.assert_array_equal(network.decision(rows), wanted)
    np.testing.assert_array_equal(elsewhere(network, rows), wanted)
    np.testing.assert_array_equal(decisions(pipeline, network, rows, tmp_path, kind), wanted)
    np.testing.assert_array_equal(in_onnx(pipeline, network, rows, dtype), wanted)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_pipelines_of_trained_estimators(kind, tmp_path):
    estimator, y = ESTIMATORS[kind]
    pipeline = make_pipeline(PIPELINES["scaler and one-hot"], estimator(**SMALL)).fit(FRAME, y)
    network = IntegerNetwork.from_pipeline(pipeline)
    rows = hard_rows(network.encoding, FRAME, np.float64)
    np.testing.assert_array_equal(network.predict(rows), pipeline.predict(rows))
    found = decisions(pipeline, network, rows, tmp_path, "double")
    np.testing.assert_array_equal(found, network.decision(rows))


@pytest.mark.parametrize("types", [{"age": "int16", "count": "int8"}, {"age": "int32"}])
def test_self_tests_of_pipelines_with_integers(types, tmp_path):
    """Gaps of integers are constants; int8 beside float32 counts as float32, int32 does not."""
    numbers = imputed(StandardScaler(), PowerTransformer(), add_indicator=True)
    steps = columns(numbers, ONE_HOT, names=["age", "count", LONG])
    pipeline = make_pipeline(steps, EveryCode()).fit(FRAME, LABELS)
    network = IntegerNetwork.from_pipeline(pipeline)
    rows = hard_rows(network.encoding, float_frame(np.float32), np.float32)
    for name in types:
        rows[name] = np.floor(rows[name]).clip(-100, 100)
    to_c(pipeline, tmp_path / "net.h", input=types, test_vectors=rows)
    program = tmp_path / "test"
    subprocess.run(["gcc", tmp_path / "net_test.c", "-o", program], check=True)
    assert subprocess.run([program], check=False).returncode == 0


def test_what_a_pipeline_refuses_has_no_constant_in_c(tmp_path):
    """Any other number counts as a known category, and reads nothing beyond a table."""
    pipeline = make_pipeline(PIPELINES["refuses unseen"], EveryCode()).fit(FRAME, LABELS)
    network = IntegerNetwork.from_pipeline(pipeline)
    text = to_c(pipeline, prefix="net").text
    assert "NET_ONE_ONLY = 0" in text
    assert "NET_ONE_OTHER" not in text and "NET_ONE_MISSING" not in text
    assert "NET_CODE_MISSING = 3" in text and "NET_CODE_OTHER" not in text
    first = FRAME.sample(50, random_state=0).assign(flag=True)
    first["code"] = network.encoding.categories[5][0]
    wrong = first.assign(one="another")
    with pytest.raises(ValueError, match="Column 'one' has the value 'another'"):
        network.predict(wrong)
    found = decisions(pipeline, network, wrong, tmp_path)
    np.testing.assert_array_equal(found, decisions(pipeline, network, first, tmp_path))


def test_types_of_pandas_that_a_pipeline_computes_in():
    """Truth values and small integers beside float32 are float32, columns of pandas' own are not."""
    steps = make_pipeline(StandardScaler(), PowerTransformer())
    X = FRAME[["income (€)", "count"]]
    pipeline = make_pipeline(steps, EveryCode()).fit(X)
    network = IntegerNetwork.from_pipeline(pipeline)
    rows = hard_rows(network.encoding, X, np.float32, gaps=False)
    rows = rows[(rows["income (€)"].abs() < 1e20) & (rows["count"].abs() < 1e3)]
    for dtype in ("bool", "int8", "uint16", "int32", "float16", "Int8", "boolean"):
        mixed = rows.assign(count=np.resize([0, 1], len(rows))).astype({"count": dtype})
        wanted = pipeline.decision_function(mixed)
        np.testing.assert_array_equal(network.decision(mixed), wanted, err_msg=dtype)
    own = rows.astype("Float32")
    np.testing.assert_array_equal(network.decision(own), pipeline.decision_function(own))
    with pytest.raises(ValueError, match="Column 'income .* comes in float16"):
        network.predict(rows[["income (€)", "count"]].clip(-9, 9).astype("float16"))

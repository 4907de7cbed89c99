"""Every target predicts the same for every row: straight on frames, and behind pipelines."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from compiled import predictions
from mixed import LONG, NUMBERS, TEXTS, hard_rows, mixed_frame, with_dates
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


def float_frame(dtype):
    """The training frame with all numbers in one type."""
    return FRAME.astype(dict.fromkeys(NUMBERS, dtype))


@pytest.fixture(scope="module", params=ESTIMATORS)
def straight(request):
    """A network fitted on the frame."""
    estimator, y = ESTIMATORS[request.param]
    return estimator(**SMALL).fit(with_dates(FRAME), y)


@pytest.fixture(scope="module", params=PIPELINES)
def pipeline(request):
    """A fitted pipeline; kinds of estimators take turns."""
    kind = list(ESTIMATORS)[list(PIPELINES).index(request.param) % 2]
    estimator, y = ESTIMATORS[kind]
    return make_pipeline(PIPELINES[request.param], estimator(**SMALL)).fit(FRAME, y)


def assert_agree(model, network, rows, folder, kind, elsewhere):
    """The model, its network, its file in another process, and C."""
    wanted = model.predict(rows)
    assert len(np.unique(wanted)) > 1
    np.testing.assert_array_equal(network.predict(rows), wanted)
    np.testing.assert_array_equal(elsewhere(network, rows), wanted)
    np.testing.assert_array_equal(predictions(model, network, rows, folder, kind), wanted)


@pytest.fixture
def elsewhere(tmp_path):
    """Predictions of a loaded file, in a process that has neither torch nor scikit-learn."""

    def predict(network, rows):
        network.save(tmp_path / "net.npz")
        rows.to_pickle(tmp_path / "rows.pkl")
        script = (
            "import sys\n"
            "sys.modules.update(dict.fromkeys(['torch', 'sklearn', 'brevitas', 'scipy']))\n"
            "import numpy, pandas, qnnprune\n"
            "net = qnnprune.IntegerNetwork.load(sys.argv[1])\n"
            "numpy.save(sys.argv[3], net.predict(pandas.read_pickle(sys.argv[2])))\n"
        )
        files = [tmp_path / name for name in ("net.npz", "rows.pkl", "found.npy")]
        subprocess.run([sys.executable, "-c", script, *files], check=True)
        return np.load(files[-1])

    return predict


@pytest.mark.parametrize("kind, dtype", [("float", np.float32), ("double", np.float64)])
def test_straight_on_frames(straight, kind, dtype, tmp_path, elsewhere):
    network = straight.integer_network_
    rows = hard_rows(network.encoding, with_dates(FRAME), dtype)
    if kind == "float":  # dates are compared in float32 there
        rows["when"] = rows["when"].dt.floor("D")
    assert_agree(straight, network, rows, tmp_path, kind, elsewhere)


@pytest.mark.parametrize("kind, dtype", [("float", np.float32), ("double", np.float64)])
def test_pipelines(pipeline, kind, dtype, tmp_path, elsewhere):
    network = IntegerNetwork.from_pipeline(pipeline)
    rows = hard_rows(network.encoding, float_frame(dtype), dtype)
    assert_agree(pipeline, network, rows, tmp_path, kind, elsewhere)

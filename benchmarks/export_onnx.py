"""ONNX export against ``predict``: differences, speed and size.

Trains each set for a few epochs (what a network has learned makes no difference here), then
compares ONNX Runtime, at its default optimization level, with scikit-learn: the estimator on
float32 features, on all rows and on as many whose values lie on thresholds of the encoding or one
step beside; and the whole pipeline, from the raw columns in float64.
"""

from __future__ import annotations

import time
from functools import partial

import _data
import numpy as np
import onnxruntime
import pandas as pd
import skl2onnx
from _runner import arguments, run
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.export import register_skl2onnx, to_onnx

TIMED_ROWS = 10_000


def as_frame(X) -> pd.DataFrame:
    """Numbers in float64, strings as they are; ONNX Runtime fills no float64 gaps, so here."""
    frame = pd.DataFrame(X).rename(columns=lambda name: f"c{name}")
    numbers = frame.select_dtypes("number").astype(np.float64)
    strings = frame[frame.columns.difference(numbers.columns)]
    return pd.concat([numbers.fillna(numbers.median()), strings.fillna("missing")], axis=1)


def fit_pipeline(frame: pd.DataFrame, y, max_epochs: int):
    """Scaling and one-hot encoding, then one of our estimators."""
    numbers = list(frame.select_dtypes("number").columns)
    strings = [name for name in frame if name not in numbers]
    columns = make_column_transformer(
        (StandardScaler(), numbers),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), strings),
    )
    make = PrunedNeuralNetRegressor if _data.is_regression(y) else PrunedNeuralNetClassifier
    return make_pipeline(columns, make(max_epochs=max_epochs, random_state=0)).fit(frame, y)


def session(proto):
    """ONNX Runtime as it comes, but on one thread, as `predict` here."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(proto.SerializeToString(), options)


def on_thresholds(X: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Rows as many as those of X, with most values on a threshold or one float32 beside."""
    random = np.random.RandomState(0)
    finite = [row[np.isfinite(row)] for row in thresholds]
    ties = [random.choice(row if len(row) else [0.0], len(X)) for row in finite]
    ties = np.stack(ties, axis=1).astype(np.float32)
    X = np.where(random.uniform(size=X.shape) < 0.8, ties, X)
    infinity = np.float32(np.inf)
    return np.nextafter(X, np.choose(random.randint(3, size=X.shape), [X, -infinity, infinity]))


def n_different(found: np.ndarray, expected: np.ndarray) -> int:
    """Rows whose label, or whose target in the type of `found`, is another."""
    if found.dtype.kind == "f":
        found, expected = found.ravel(), expected.astype(found.dtype).ravel()
    return int((found != expected).sum())


def pipeline_differences(pipeline, frame: pd.DataFrame) -> int:
    """Rows that differ from the raw columns on."""
    options = {id(pipeline[-1]): {"zipmap": False}} if hasattr(pipeline[-1], "classes_") else None
    proto = skl2onnx.to_onnx(pipeline, frame[:1], options=options)
    found = session(proto).run(None, {name: frame[[name]].to_numpy() for name in frame})[0]
    return n_different(found, pipeline.predict(frame))


def milliseconds(function, *arguments) -> float:
    """Best of five runs over `TIMED_ROWS` rows, for 100,000 rows."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - started)
    return min(times) * 1e3 * 100_000 / TIMED_ROWS


def measure(set, *, folder, max_epochs) -> dict:
    """Differences, times and size on one set."""
    X_train, X_test, y, _ = _data.load(set, folder)
    frame = as_frame(pd.concat([pd.DataFrame(X_train), pd.DataFrame(X_test)], ignore_index=True))
    pipeline = fit_pipeline(frame[: len(y)], y, max_epochs)
    net, network = pipeline[-1], pipeline[-1].integer_network_
    X = pipeline[:-1].transform(frame).astype(np.float32)
    checked = np.vstack([X, on_thresholds(X, network.encoding.thresholds)])
    labels, *_, decision = session(to_onnx(net, decision=True)).run(None, {"X": checked})
    proto, timed = to_onnx(net), np.resize(X, (TIMED_ROWS, X.shape[1]))
    return {
        "codes": len(network.encoding.feature),
        "rows": len(checked),
        "different": n_different(labels, net.predict(checked)),
        "largest_difference": float(np.abs(decision - network.decision(checked)).max()),
        "pipeline_rows": len(frame),
        "pipeline_different": pipeline_differences(pipeline, frame),
        "runtime_ms": milliseconds(session(proto).run, None, {"X": timed}),
        "predict_ms": milliseconds(net.predict, timed),
        "file_kb": len(proto.SerializeToString()) / 1000,
    }


def main() -> None:
    """Measure what is missing."""
    parser = arguments(__doc__, "export_onnx")
    parser.add_argument("--max-epochs", type=int, default=3)
    options = parser.parse_args()
    register_skl2onnx()
    cells = [{"set": name} for name in _data.names(options.data, options.sets)]
    one = partial(measure, folder=options.data, max_epochs=options.max_epochs)
    run(one, cells, options.output, ("onnxruntime", "skl2onnx", "scikit-learn", "numpy"))


if __name__ == "__main__":
    main()

"""ONNX export against `predict`: differences, speed and size, on real sets.

    python benchmarks/export_onnx.py [--data FOLDER] [--max-epochs 3] [--output FILE]

FOLDER holds ``load.py``; without it the sets are scikit-learn's own.  Trains each set for a few epochs (what a network
has learned makes no difference here), then compares ONNX Runtime, at its default optimization
level, with scikit-learn: the estimator on float32 features, all rows and as many whose values
lie on thresholds of the encoding or one step beside; and the whole pipeline, from the raw
columns in float64.  Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import sets
import skl2onnx
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.export.onnx._convert import register_skl2onnx, to_onnx

TIMED_ROWS = 10_000
COLUMNS = [
    "set",
    "codes",
    "rows checked",
    "different",
    "largest logit difference",
    "pipeline rows",
    "different",
    "ONNX Runtime, ms",
    "`predict`, ms",
    "kB",
]


def as_frame(X) -> pd.DataFrame:
    """Numbers in float64, words as they are; ONNX Runtime fills no float64 gaps, so here."""
    frame = pd.DataFrame(X).rename(columns=lambda name: f"c{name}")
    numeric = frame.select_dtypes("number").astype(np.float64)
    words = frame[frame.columns.difference(numeric.columns)]
    return pd.concat([numeric.fillna(numeric.median()), words.fillna("missing")], axis=1)


def fit_pipeline(frame: pd.DataFrame, y, max_epochs: int):
    """Scaling and one-hot encoding, then one of our estimators."""
    numeric = list(frame.select_dtypes("number").columns)
    words = [name for name in frame if name not in numeric]
    columns = make_column_transformer(
        (StandardScaler(), numeric),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), words),
    )
    make = PrunedNeuralNetRegressor if sets.is_regression(y) else PrunedNeuralNetClassifier
    return make_pipeline(columns, make(max_epochs=max_epochs, random_state=0)).fit(frame, y)


def session(proto):
    """ONNX Runtime as it comes, but on one thread, as `predict` here."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(proto.SerializeToString(), options)


def on_thresholds(X: np.ndarray, encoding) -> np.ndarray:
    """Rows as many as those of X, with most values on a threshold or one float32 beside."""
    rng = np.random.RandomState(0)
    ties = np.stack(
        [
            rng.choice(row[np.isfinite(row)] if np.isfinite(row).any() else [0.0], len(X))
            for row in encoding.thresholds
        ],
        axis=1,
    )
    X = np.where(rng.uniform(size=X.shape) < 0.8, ties.astype(np.float32), X)
    toward = np.choose(rng.randint(3, size=X.shape), [X, np.float32(-np.inf), np.float32(np.inf)])
    return np.nextafter(X, toward)


def n_different(found: np.ndarray, expected: np.ndarray) -> int:
    """Rows whose label, or whose target in the type of `found`, is another."""
    if found.dtype.kind == "f":
        found, expected = found.ravel(), expected.astype(found.dtype).ravel()
    return int((found != expected).sum())


def check_estimator(net, X: np.ndarray):
    """Rows that differ, and the largest difference of the output layer's values."""
    proto = to_onnx(net, decision=True)
    found, *_, decision = session(proto).run(None, {"X": X})
    expected = net.integer_network_.decision(X)
    return n_different(found, net.predict(X)), np.abs(decision - expected).max()


def check_pipeline(pipeline, frame: pd.DataFrame) -> int:
    """Rows that differ from the raw columns on."""
    zipmap = {"zipmap": False} if hasattr(pipeline[-1], "classes_") else None
    options = {id(pipeline[-1]): zipmap} if zipmap else None
    proto = skl2onnx.to_onnx(pipeline, frame[:1], options=options)
    found = session(proto).run(None, {name: frame[[name]].to_numpy() for name in frame})[0]
    return n_different(found, pipeline.predict(frame))


def milliseconds(function, *arguments) -> float:
    """Best of five runs over `TIMED_ROWS` rows, for 100,000 rows."""
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        function(*arguments)
        seconds.append(time.perf_counter() - started)
    return min(seconds) * 1e3 * 100_000 / TIMED_ROWS


def measure(name: str, folder: str | None, max_epochs: int) -> list[str]:
    """One row of the table."""
    X_train, X_test, y_train, _ = sets.load(name, folder)
    frame = as_frame(pd.concat([pd.DataFrame(X_train), pd.DataFrame(X_test)], ignore_index=True))
    pipeline = fit_pipeline(frame[: len(X_train)], y_train, max_epochs)
    net = pipeline[-1]
    X = pipeline[:-1].transform(frame).astype(np.float32)
    checked = np.vstack([X, on_thresholds(X, net.integer_network_.encoding)])
    different, largest = check_estimator(net, checked)
    timed, runtime = np.resize(X, (TIMED_ROWS, X.shape[1])), session(to_onnx(net))
    return [
        name,
        len(net.integer_network_.encoding.feature),
        f"{len(checked):,}",
        different,
        largest,
        f"{len(frame):,}",
        check_pipeline(pipeline, frame),
        f"{milliseconds(runtime.run, None, {'X': timed}):.0f}",
        f"{milliseconds(net.predict, timed):.0f}",
        f"{len(to_onnx(net).SerializeToString()) / 1000:.0f}",
    ]


def markdown(rows: list[list]) -> str:
    """A Markdown table."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of sets; scikit-learn's own by default")
    parser.add_argument("--sets", nargs="+", help="some of the sets only")
    parser.add_argument("--max-epochs", type=int, default=3)
    parser.add_argument("--output", help="Markdown file to write as well")
    options = parser.parse_args()
    register_skl2onnx()
    rows = []
    for name in options.sets or sets.names(options.data):
        rows.append(measure(name, options.data, options.max_epochs))
        print(*rows[-1], flush=True)
    text = (
        f"Networks of default size after {options.max_epochs} epochs; times for 100,000 rows on "
        f"one thread; {sets.machine()}. ONNX Runtime "
        f"{onnxruntime.__version__}. Half of the rows checked lie on thresholds or one float32 "
        "beside; pipelines take their raw columns, in float64. Different is a row whose label, or "
        "whose target in float32, is another.\n\n" + markdown(rows)
    )
    print(text)
    if options.output:
        Path(options.output).write_text(f"# ONNX export\n\n{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""How fit and predict grow with rows, features, classes, neurons, bits and segments.

One thread, synthetic classes, two epochs in batches of 256 rows; prediction of the training rows.
Each point is measured in a process of its own.  Memory is what the process holds at most beyond
what it held before the call, the caller's rows included: what 10,000,000 rows of 50 features, 2 GB
in float32, take beside themselves.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from _runner import arguments, run

BASE = {"rows": 10_000, "features": 50, "classes": 10, "hidden": 128, "bits": 2, "segments": 1}
CURVES = {
    "rows": [1_000, 10_000, 100_000, 1_000_000, 10_000_000],
    "features": [10, 32, 100, 316, 1_000, 10_000],
    "classes": [10, 100, 1_000],
    "hidden": [32, 64, 128, 256, 512, 1_024],
    "bits": [2, 3, 4, 6, 8],
    "segments": [1, 2, 4, 8, 16],
    "largest": [1_000_000],  # rows, of 100 features
}


def table(rows: int, features: int, classes: int):
    """Features in float32, and classes that four of them make."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, features), dtype=np.float32)
    return X, (X[:, :4] @ np.array([1.0, -2.0, 1.5, 0.7]) * 0.12 * classes).astype(int) % classes


def measured(call, *arguments) -> tuple[float, float]:
    """Seconds of a call, and megabytes that the process holds at most beyond those before it."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before, started = megabytes("VmRSS"), time.perf_counter()
    call(*arguments)
    return time.perf_counter() - started, megabytes("VmHWM") - before


def megabytes(name: str) -> float:
    """Memory of this process, as Linux counts it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def work(rows, features, classes, hidden, bits, segments) -> dict:
    """Seconds and megabytes of one fit and one prediction."""
    from qnnprune import PrunedNeuralNetClassifier

    warnings.simplefilter("ignore")
    net = PrunedNeuralNetClassifier(
        (hidden,),
        n_w_bits=bits,
        n_a_bits=bits,
        n_accum_bits=max(8, 2 * bits + 2),
        n_input_segments=segments,
        max_epochs=2,
        batch_size=256,
        random_state=0,
    )
    net.fit(*table(200, features, 10))  # imports
    X, y = table(rows, features, classes)
    fit, fit_mb = measured(net.fit, X, y)
    net.predict(X[:100])
    predict, predict_mb = measured(net.predict, X)
    return {"fit": fit, "predict": predict, "memory_mb": fit_mb, "predict_mb": predict_mb}


def measure(grows, to) -> dict:
    """One point of a curve."""
    changed = {"rows": to, "features": 100} if grows == "largest" else {grows: to}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process:
        return process.submit(work, **BASE | changed).result()


def main() -> None:
    """Measure what is missing."""
    parser = arguments(__doc__, "scaling", data=False)
    parser.add_argument("--most", type=int, default=10**7, help="leave out what is larger")
    parser.add_argument("--curves", nargs="+", default=list(CURVES), help="some of them only")
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    points = [(name, to) for name in options.curves for to in CURVES[name]]
    cells = [{"grows": name, "to": to} for name, to in points if to <= options.most]
    run(measure, cells, options.output, ("torch", "numpy"))


if __name__ == "__main__":
    main()

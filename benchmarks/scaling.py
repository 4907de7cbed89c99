"""How the cost of fit and predict grows with rows, features, neurons, bits and segments.

One thread, synthetic classes, two epochs in batches of 256 rows; prediction of the training rows.
Each point is measured in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
import warnings
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from _runner import arguments, run

BASE = {"rows": 10_000, "features": 50, "hidden": 128, "bits": 2, "segments": 1}
CURVES = {
    "rows": [1_000, 10_000, 100_000, 1_000_000],
    "features": [10, 32, 100, 316, 1_000],
    "hidden": [32, 64, 128, 256, 512, 1_024],
    "bits": [2, 3, 4, 6, 8],
    "segments": [1, 2, 4, 8, 16],
    "largest": [1_000_000],  # rows, of 100 features
}


def table(rows: int, features: int):
    """Ten classes, float32."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, features), dtype=np.float32)
    return X, (X[:, :4] @ np.array([1.0, -2.0, 1.5, 0.7]) * 1.2).astype(int) % 10


def work(rows, features, hidden, bits, segments) -> dict:
    """Seconds of one fit and one prediction, and megabytes that the fit adds."""
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
    net.fit(*table(200, features))  # imports
    X, y = table(rows, features)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    net.fit(X, y)
    fitted = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    net.predict(X[:100])
    started = time.perf_counter()
    net.predict(X)
    predicted = time.perf_counter() - started
    return {"fit": fitted, "predict": predicted, "memory_mb": memory / 1024}


def measure(grows, to) -> dict:
    """One point of a curve."""
    changed = {"rows": to, "features": 100} if grows == "largest" else {grows: to}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process:
        return process.submit(work, **BASE | changed).result()


def main() -> None:
    """Measure what is missing."""
    parser = arguments(__doc__, "scaling", data=False)
    parser.add_argument("--most", type=int, default=1_000_000, help="leave out what is larger")
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    points = [(name, to) for name, values in CURVES.items() for to in values]
    cells = [{"grows": name, "to": to} for name, to in points if to <= options.most]
    run(measure, cells, options.output, ("torch", "numpy"))


if __name__ == "__main__":
    main()

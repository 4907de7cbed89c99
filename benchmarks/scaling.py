"""How the cost of fit and predict grows with rows, features, neurons, bits and segments.

    python benchmarks/scaling.py [--output FOLDER]

One thread, synthetic classes, two epochs in batches of 256 rows; prediction of the training rows.
Writes ``scaling.md`` with all times, the exponent of each curve (slope between its last two
points, both axes logarithmic) and the memory of the largest table, and ``scaling.svg``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

BASE = {"rows": 10_000, "features": 50, "hidden": 128, "bits": 2, "segments": 1}
CURVES = {
    "rows": [1_000, 10_000, 100_000, 1_000_000],
    "features": [10, 32, 100, 316, 1_000],
    "hidden": [32, 64, 128, 256, 512, 1_024],
    "bits": [2, 3, 4, 6, 8],
    "segments": [1, 2, 4, 8, 16],
}
LARGEST = BASE | {"rows": 1_000_000, "features": 100}
EPOCHS = 2


def table(rows: int, features: int):
    """Ten classes, float32."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, features), dtype=np.float32)
    return X, (X[:, :4] @ np.array([1.0, -2.0, 1.5, 0.7]) * 1.2).astype(int) % 10


def work(point: dict) -> dict:
    """Seconds of one fit and one prediction, and megabytes; in a process of its own."""
    import threadpoolctl

    from qnnprune import PrunedNeuralNetClassifier

    warnings.simplefilter("ignore")
    threadpoolctl.threadpool_limits(1)
    net = PrunedNeuralNetClassifier(
        (point["hidden"],),
        n_w_bits=point["bits"],
        n_a_bits=point["bits"],
        n_accum_bits=max(8, 2 * point["bits"] + 2),
        n_input_segments=point["segments"],
        max_epochs=EPOCHS,
        batch_size=256,
        random_state=0,
    )
    net.fit(*table(200, point["features"]))
    X, y = table(point["rows"], point["features"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    net.fit(X, y)
    fitted = time.perf_counter()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    net.predict(X[:100])
    begun = time.perf_counter()
    net.predict(X)
    predicted = time.perf_counter() - begun
    return {"fit": fitted - started, "predict": predicted, "memory": memory / 1024}


def measure(point: dict) -> dict:
    """Run `work` in a process of its own."""
    command = [sys.executable, __file__, "--work", json.dumps(point)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    print(point, found, file=sys.stderr, flush=True)
    return found


def exponent(values, times) -> float:
    """Slope between the last two points."""
    return float(np.log(times[-1] / times[-2]) / np.log(values[-1] / values[-2]))


def draw(results: dict, path: Path) -> None:
    """One panel a quantity."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "scaling"
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(CURVES), figsize=(16, 3.4), sharey=True)
    for panel, (name, values) in zip(panels, CURVES.items(), strict=True):
        for key in ("fit", "predict"):
            times = [found[key] for found in results[name]]
            label = f"{key}, exponent {exponent(values, times):.2f}"
            panel.loglog(values, times, marker="o", label=label)
        panel.set_xlabel(name)
        panel.legend(fontsize=8)
    panels[0].set_ylabel("seconds")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def report(results: dict, largest: dict) -> str:
    """Markdown."""
    import sets

    base = ", ".join(f"{value:,} {name}" for name, value in BASE.items())
    lines = [
        "# Scaling",
        "",
        f"One hidden layer, {EPOCHS} epochs in batches of 256, one thread; {sets.machine()}. Where "
        f"nothing else is said: {base}.",
        "",
        "![curves](scaling.svg)",
        "",
        "| what grows | to | fit, s | predict, s |",
        "|---|---|---|---|",
    ]
    for name, values in CURVES.items():
        for value, found in zip(values, results[name], strict=True):
            lines.append(f"| {name} | {value:,} | {found['fit']:.2f} | {found['predict']:.4f} |")
        slopes = [exponent(values, [f[key] for f in results[name]]) for key in ("fit", "predict")]
        lines.append(f"| {name} | *exponent* | *{slopes[0]:.2f}* | *{slopes[1]:.2f}* |")
    size = LARGEST["rows"] * LARGEST["features"] * 4 / 2**20
    lines += [
        "",
        f"Largest table, {LARGEST['rows']:,} rows of {LARGEST['features']} float32 features "
        f"({size:.0f} MB): fit {largest['fit']:.1f} s, predict {largest['predict']:.2f} s; the "
        f"process grows by {largest['memory']:.0f} MB beyond the caller's array.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default=Path(__file__).parent, type=Path, help="folder")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(work(json.loads(options.work))))
        return
    results = {
        name: [measure(BASE | {name: value}) for value in values] for name, values in CURVES.items()
    }
    text = report(results, measure(LARGEST))
    print(text)
    (options.output / "scaling.md").write_text(text, encoding="utf-8")
    draw(results, options.output / "scaling.svg")


if __name__ == "__main__":
    main()

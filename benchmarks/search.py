"""A grid search beside the same search with scikit-learn's MLP, and what a fit costs beyond training.

    python benchmarks/search.py [--n-jobs 2] [--rounds 3] [--output FILE]

8 candidates, 5 folds, scikit-learn's digits; equal layers, batches and epochs.  The first round
pays for starting the worker processes and importing torch there, so it is reported apart.
"""

from __future__ import annotations

import argparse
import os
import pickle
import sys
import time
import warnings

import numpy as np
import sets
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier

from qnnprune import PrunedNeuralNetClassifier

HIDDEN, BATCH, EPOCHS = (128,), 128, 30
RATES = [3e-3, 1e-2]


def searches(n_jobs: int) -> dict:
    """The same number of candidates for either."""
    mlp = MLPClassifier(
        HIDDEN, batch_size=BATCH, max_iter=EPOCHS, n_iter_no_change=EPOCHS, random_state=0
    )
    ours = PrunedNeuralNetClassifier(
        HIDDEN, batch_size=BATCH, max_epochs=EPOCHS, n_input_segments=1, random_state=0
    )
    grids = {
        "scikit-learn MLP": (
            mlp,
            {"learning_rate_init": RATES, "alpha": [1e-5, 1e-4, 1e-3, 1e-2]},
        ),
        "qnnprune, 1 segment": (ours, {"lr": RATES, "n_accum_bits": [6, 7, 8, 10]}),
        "qnnprune, default encoding": (
            clone(ours).set_params(n_input_segments="auto"),
            {"lr": RATES, "n_accum_bits": [6, 7, 8, 10]},
        ),
    }
    return {
        name: GridSearchCV(estimator, grid, cv=5, n_jobs=n_jobs)
        for name, (estimator, grid) in grids.items()
    }


def extras(X, y, repeats: int = 20) -> dict[str, float]:
    """Milliseconds of what surrounds training, of one estimator of the search."""
    from qnnprune.integer._verification import check_network, verify_layers
    from qnnprune.training.compilation import compile_layers

    net = searches(1)["qnnprune, 1 segment"].estimator.fit(X, y)
    network = net.integer_network_
    blob = pickle.dumps(net)
    steps = {
        "clone": lambda: clone(net),
        "pickle": lambda: pickle.dumps(net),
        "unpickle": lambda: pickle.loads(blob),
        "build the Brevitas module": lambda: net._build_module(network.encoding, net._module_shape),
        "compile": lambda: compile_layers(
            net.module_, network.encoding.input_range, np.zeros(10), np.ones(10)
        ),
        "verify the proof": lambda: (
            check_network(network),
            verify_layers(network.layers, 2, 8, [None] * len(network.layers)),
        ),
    }
    found = {}
    for name, step in steps.items():
        times = []
        for _ in range(repeats):
            started = time.perf_counter()
            step()
            times.append(time.perf_counter() - started)
        found[name] = 1000 * float(np.median(times))
    started = time.perf_counter()
    clone(net).fit(X, y)
    return found | {"the whole fit": 1000 * (time.perf_counter() - started)}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", help="also write the tables to this file")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    X, _, y, _ = sets.load_numeric("digits")
    walls: dict[str, list[float]] = {}
    scores = {}
    for turn in range(options.rounds + 1):
        for name, search in searches(options.n_jobs).items():
            started = time.perf_counter()
            search.fit(X, y)
            walls.setdefault(name, []).append(time.perf_counter() - started)
            scores[name] = search.best_score_
            print(turn, name, f"{walls[name][-1]:.2f} s", file=sys.stderr, flush=True)
    base = np.median(walls["scikit-learn MLP"][1:])
    lines = ["| search | first, s | later, s | × MLP | best score |", "|---" * 5 + "|"]
    for name, (first, *later) in walls.items():
        lines.append(
            f"| {name} | {first:.2f} | {np.median(later):.2f} ({min(later):.2f}–{max(later):.2f}) "
            f"| {np.median(later) / base:.2f} | {scores[name]:.3f} |"
        )
    lines += ["", "| part of one fit, 1 segment | ms |", "|---|---|"]
    lines += [f"| {name} | {value:.2f} |" for name, value in extras(X, y).items()]
    text = (
        f"8 candidates, 5 folds, digits 64-128-10, {EPOCHS} epochs in batches of {BATCH}, "
        f"n_jobs={options.n_jobs}, {options.rounds} rounds, median (range); {sets.machine()}, "
        f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}.\n\n" + "\n".join(lines)
    )
    print(text)
    if options.output:
        with open(options.output, "w", encoding="utf-8") as file:
            file.write(f"# Search\n\n{text}\n")


if __name__ == "__main__":
    main()

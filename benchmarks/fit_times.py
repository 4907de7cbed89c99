"""How long a plain ``fit`` takes, with every parameter at its default.

    python benchmarks/fit_times.py [--data FOLDER] [--output FILE]

Preprocessed training rows of every set; with and without early stopping, beside scikit-learn's
MLP (64, 64) with early stopping.  One fit each, on one thread.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings

import sets
import threadpoolctl
from sklearn.neural_network import MLPClassifier, MLPRegressor

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor


def measure(name: str, folder: str | None) -> list:
    """One row of the table."""
    X, _, y, _ = sets.load_numeric(name, folder)
    regression = sets.is_regression(y)
    ours = PrunedNeuralNetRegressor if regression else PrunedNeuralNetClassifier
    mlp = MLPRegressor if regression else MLPClassifier
    estimators = [
        ours(random_state=0),
        ours(early_stopping=True, random_state=0),
        mlp(hidden_layer_sizes=(64, 64), early_stopping=True, random_state=0),
    ]
    row = [name, len(X), X.shape[1]]
    for estimator in estimators:
        started = time.perf_counter()
        estimator.fit(X, y)
        row += [f"{time.perf_counter() - started:.1f}", estimator.n_iter_]
    return row


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder with load.py")
    parser.add_argument("--output", help="also write the table to this file")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    threadpoolctl.threadpool_limits(1)
    titles = ["set", "rows", "columns", "fit, s", "epochs"]
    titles += ["early stopping, s", "epochs", "MLP (64, 64), s", "epochs"]
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    measure("iris", None)  # imports
    for name in sets.names(options.data):
        row = measure(name, options.data)
        lines.append("| " + " | ".join(map(str, row)) + " |")
        print(lines[-1], file=sys.stderr, flush=True)
    text = f"Default settings, one fit each, one thread; {sets.machine()}.\n\n" + "\n".join(lines)
    print(text)
    if options.output:
        with open(options.output, "w", encoding="utf-8") as file:
            file.write(f"# Fit times\n\n{text}\n")


if __name__ == "__main__":
    main()

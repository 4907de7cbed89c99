"""Accuracy under proof on scikit-learn's own sets, beside a float MLP and the float twin.

    python benchmarks/small_sets.py [--seeds 3] [--accum-bits 8 6] [--output FILE]

Every seed draws its own 75/25 split (stratified for labels) and its own initial weights;
features are standardised.  Prints a Markdown table of mean ± sd over the seeds.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings

import numpy as np
from sklearn import datasets
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor

SETS = ["digits", "breast_cancer", "wine", "iris", "diabetes"]

# Concrete ML 1.9.0, NeuralNetClassifier / NeuralNetRegressor, 2 layers, 30 epochs, 3-bit weights
# and activations, 8-bit accumulators (observed on a calibration set, not proven), its better
# scale mode; one split (random_state=0), not repeated here.
CONCRETE_ML = {
    "digits": 0.602,
    "breast_cancer": 0.874,
    "wine": 0.956,
    "iris": 0.789,
    "diabetes": 0.29,
}


def split(name: str, seed: int):
    """75 % training and 25 % held-back rows."""
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    stratify = None if name == "diabetes" else y
    return train_test_split(X, y, test_size=0.25, random_state=seed, stratify=stratify)


def candidates(regression: bool, seed: int, accum_bits: list[int]) -> dict:
    """Estimators to compare, by the title of their column."""
    mlp = MLPRegressor if regression else MLPClassifier
    ours = PrunedNeuralNetRegressor if regression else PrunedNeuralNetClassifier
    compared = {
        "MLP (64, 64), float": mlp(hidden_layer_sizes=(64, 64), max_iter=500, random_state=seed),
        "float twin": ours(random_state=seed).float_twin(),
    }
    for bits in accum_bits:
        compared[f"proven {bits} bits"] = ours(n_accum_bits=bits, random_state=seed)
    return compared


def measure(name: str, seeds: int, accum_bits: list[int]) -> dict[str, list[float]]:
    """Held-back scores of every candidate, one a seed, and the fit times of ours."""
    scores: dict[str, list[float]] = {}
    for seed in range(seeds):
        X_train, X_test, y_train, y_test = split(name, seed)
        for title, estimator in candidates(name == "diabetes", seed, accum_bits).items():
            pipeline = make_pipeline(StandardScaler(), estimator)
            started = time.perf_counter()
            pipeline.fit(X_train, y_train)
            seconds = time.perf_counter() - started
            scores.setdefault(title, []).append(pipeline.score(X_test, y_test))
            if title == f"proven {accum_bits[0]} bits":
                scores.setdefault("fit, s", []).append(seconds)
            check_proof(estimator)
    return scores


def check_proof(estimator) -> None:
    """Recompute every width from the arrays, without the library's functions."""
    if not hasattr(estimator, "integer_network_"):
        return
    for layer in estimator.integer_network_.layers:
        weight = layer.weight.astype(np.int64)
        low, high = layer.input_range.T
        top = np.maximum(weight * low, weight * high).sum(axis=1)
        bottom = np.minimum(weight * low, weight * high).sum(axis=1)
        half = 2 ** (estimator.n_accum_bits - 1)
        assert (top < half).all() and (bottom >= -half).all()


def table(results: dict[str, dict[str, list[float]]]) -> str:
    """Markdown, one row a set."""
    titles = list(next(iter(results.values())))
    lines = ["| set | " + " | ".join([*titles, "Concrete ML, 8 bits observed"]) + " |"]
    lines.append("|---" * (len(titles) + 2) + "|")
    for name, scores in results.items():
        cells = [
            f"{np.mean(v):.1f}" if title == "fit, s" else f"{np.mean(v):.3f} ± {np.std(v):.3f}"
            for title, v in scores.items()
        ]
        lines.append(f"| {name} | " + " | ".join([*cells, f"{CONCRETE_ML[name]:.3f}"]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--accum-bits", type=int, nargs="+", default=[8, 6])
    parser.add_argument("--output", help="also write the table to this file")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    results = {}
    for name in SETS:
        results[name] = measure(name, options.seeds, options.accum_bits)
        print(table({name: results[name]}).splitlines()[-1], file=sys.stderr, flush=True)
    text = f"Accuracy (R² for diabetes), mean ± sd over {options.seeds} seeds.\n\n{table(results)}"
    print(text)
    if options.output:
        with open(options.output, "w", encoding="utf-8") as file:
            file.write(f"# Small sets\n\n{text}\n")


if __name__ == "__main__":
    main()

"""Score against the cost of encrypted rows, over sizes and widths of the network.

Needs the extra ``fhe`` (constraints-fhe.txt).  Costs of every network are estimated without
compiling it; then the network of seed 0 is compiled, and the first rows of its test part go
encrypted through client and server.  The score is that of the whole test part, over all seeds, of
which MNIST gets one.  Splits of scikit-learn's own sets are drawn by the seed; sets of `--data` have
a fixed one.  Set OMP_NUM_THREADS=1: processor time is then that of the computation alone.
"""

from __future__ import annotations

import os
import warnings
from ast import literal_eval
from functools import partial

import _data
import numpy as np
from _runner import arguments, run
from encrypted import through_client_and_server
from sklearn.preprocessing import StandardScaler

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.export import compile_fhe, encrypted_cost

# Hidden neurons, accumulator, rounding, codes of inputs and of activations, sums per logit.
SMALL = [
    ("(32,)", 8, 4, 2, 2, 4),
    ("(16,)", 6, 2, 2, 2, 4),
    ("(16,)", 5, 1, 1, 1, 4),
    ("(8,)", 4, 0, 1, 1, 4),
    ("()", 6, 0, 1, 1, 4),
]
GRIDS = {
    "digits": [
        ("(72,)", 8, 4, 2, 2, 4),  # the reference
        ("(36,)", 7, 3, 2, 2, 8),
        ("(24,)", 7, 3, 2, 2, 4),
        ("(44,)", 6, 2, 1, 1, 4),
        ("(56,)", 5, 1, 1, 1, 4),
        ("(72,)", 4, 0, 1, 1, 8),
        ("(24, 16)", 6, 2, 1, 1, 4),
        ("()", 8, 0, 1, 1, 16),
    ],
    "breast_cancer": SMALL,
    "diabetes": SMALL,
    "german_credit": SMALL,
    "mnist": [("(96,)", 8, 4, 1, 2, 8), ("()", 8, 0, 1, 1, 8)],
}
# What makes up for few neurons: long training with much dropout, and inputs, which cost nothing.
OF_NETWORK = {
    ("digits", "(36,)"): {"max_epochs": 150, "dropout": 0.4},
    ("mnist", "(96,)"): {"max_epochs": 30, "dropout": 0.2, "n_input_segments": 4},
}
NAMES = (
    "hidden_layer_sizes", "n_accum_bits", "n_rounding_bits", "n_in_bits", "n_a_bits", "n_output_sums",
)  # fmt: skip


def rows_of(name: str, folder: str | None, seed: int):
    """Raw rows where a set has columns of text, else standardised numbers."""
    own = name in _data.OWN
    X_train, X, y_train, y = _data.load(name, None if own else folder, seed=seed)
    if hasattr(X, "columns"):
        return X_train, X, y_train, y
    if X.dtype == np.uint8:
        return X_train / np.float32(255), X / np.float32(255), y_train, y
    scaler = StandardScaler().fit(X_train)
    return scaler.transform(X_train), scaler.transform(X), y_train, y


def fit(name: str, folder: str | None, seed: int, hidden_layer_sizes: str, **widths):
    """A fitted estimator and its test part."""
    X_train, X, y_train, y = rows_of(name, folder, seed)
    make = PrunedNeuralNetRegressor if _data.is_regression(y) else PrunedNeuralNetClassifier
    sizes = literal_eval(hidden_layer_sizes)
    given = OF_NETWORK.get((name, hidden_layer_sizes), {}) | widths
    return make(sizes, **given, random_state=seed).fit(X_train, y_train), X, y


def measure(set, hidden_layer_sizes, *, folder, n_seeds, n_rows, **widths) -> dict:
    """Score, estimated cost, and what encrypted rows cost."""
    warnings.simplefilter("ignore")
    seeds = range(n_seeds if set != "mnist" else 1)
    fitted = [fit(set, folder, seed, hidden_layer_sizes, **widths) for seed in seeds]
    scores = [estimator.score(X, y) for estimator, X, y in fitted]
    network, X, _ = fitted[0]
    cost = encrypted_cost(network)
    found = {
        "n_seeds": len(scores),
        "score": np.mean(scores),
        "score_sd": np.std(scores),
        "neurons": " + ".join(map(str, cost.neurons)),
        "lookups": cost.lookups,
        "lookups_by_bits": ", ".join(f"{n} x {b}" for b, n in cost.lookups_by_bits.items()),
        "estimated_core_s": cost.core_seconds_row,
        "estimated_keys_mb": cost.sent_key_bytes / 1e6,
        "estimated_keygen_s": cost.keygen_seconds,
        "estimated_request_kb": cost.request_bytes / 1e3,
        "estimated_response_kb": cost.response_bytes / 1e3,
    }
    return found | encrypted(network, X[:n_rows])


def encrypted(network, X) -> dict:
    """Costs of encrypted rows, and whether they and simulated ones equal `predict`."""
    compiled, found = compile_fhe(network), {"threads": os.environ.get("OMP_NUM_THREADS")}
    expected = network.predict(X)
    simulated = compiled.predict(X, mode="simulate")
    answers = through_client_and_server(compiled, X, found)
    found["simulated_equal"] = int(np.sum(simulated == expected))
    found["encrypted_equal"] = int(np.sum(answers == expected))
    found["complexity"] = compiled.report.complexity
    return found | {"encrypted_rows": len(answers)}


def main() -> None:
    """Measure what is missing."""
    parser = arguments(__doc__, "encrypted_front", data=False)
    parser.add_argument("--data", help="folder of sets (DATASETS.md), for german_credit and mnist")
    parser.add_argument("--sets", nargs="+", choices=list(GRIDS), default=list(GRIDS))
    parser.add_argument("--rows", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    grids = {name: GRIDS[name] for name in options.sets if options.data or name in _data.OWN}
    cells = [
        {"set": name} | dict(zip(NAMES, widths, strict=True))
        for name, grid in grids.items()
        for widths in grid
    ]
    one = partial(measure, folder=options.data, n_seeds=options.seeds, n_rows=options.rows)
    run(one, cells, options.output, ("concrete-python", "scikit-learn", "torch", "numpy"))


if __name__ == "__main__":
    main()

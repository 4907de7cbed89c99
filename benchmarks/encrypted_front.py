"""Scores of networks for encrypted rows, over sizes and widths, and their lookups.

Nothing is encrypted: encrypted_times.py measures what rows of the same networks cost.  The score is
that of the whole test part, over all seeds, of which MNIST gets one.  Splits of scikit-learn's own
sets are drawn by the seed; sets of `--data` have a fixed one.
"""

from __future__ import annotations

import warnings
from ast import literal_eval
from functools import partial

import _data
import numpy as np
from _runner import arguments, run
from sklearn.preprocessing import StandardScaler

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.export import encrypted_cost

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
        ("(34,)", 7, 3, 2, 2, 8),
        ("(24,)", 7, 3, 2, 2, 4),
        ("(16,)", 7, 3, 2, 2, 8),
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
# What makes up for few neurons: long training with much dropout, and what costs nothing: inputs, and
# the way past the neurons.
OF_NETWORK = {
    ("digits", "(34,)"): {"max_epochs": 400, "dropout": 0.4},
    ("digits", "(16,)"): {"max_epochs": 400, "dropout": 0.4, "skip_connection": True},
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


def measure(set, hidden_layer_sizes, *, folder, n_seeds, **widths) -> dict:
    """Score, and the lookups of the network of seed 0."""
    warnings.simplefilter("ignore")
    seeds = range(n_seeds if set != "mnist" else 1)
    fitted = [fit(set, folder, seed, hidden_layer_sizes, **widths) for seed in seeds]
    scores = [estimator.score(X, y) for estimator, X, y in fitted]
    network = fitted[0][0]
    cost = encrypted_cost(network)
    return {
        "n_seeds": len(scores),
        "score": np.mean(scores),
        "score_sd": np.std(scores),
        "skips": network.skip_connection,
        "neurons": " + ".join(map(str, cost.neurons)),
        "lookups": cost.lookups,
        "lookups_by_bits": ", ".join(f"{n} x {b}" for b, n in cost.lookups_by_bits.items()),
    }


def cells_of(sets, folder) -> list[dict]:
    """The networks of some sets, or of all whose rows are there."""
    return [
        {"set": name} | dict(zip(NAMES, widths, strict=True))
        for name, grid in GRIDS.items()
        if (folder or name in _data.OWN) and (sets is None or name in sets)
        for widths in grid
    ]


def main() -> None:
    """Measure what is missing."""
    parser = arguments(__doc__, "encrypted_front", data=False)
    parser.add_argument("--data", help="folder of sets (DATASETS.md), for german_credit and mnist")
    parser.add_argument("--sets", nargs="+", help="some of the sets only")
    parser.add_argument("--seeds", type=int, default=6)
    options = parser.parse_args()
    cells = cells_of(options.sets, options.data)
    one = partial(measure, folder=options.data, n_seeds=options.seeds)
    run(one, cells, options.output, ("concrete-python", "scikit-learn", "torch", "numpy"))


if __name__ == "__main__":
    main()

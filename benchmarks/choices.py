"""How the recipes were chosen that a fit chooses from, with a guard against tuning to these sets.

Every candidate is trained on 80 % of the training part, of 5,000 rows at most.  What it reaches on
the other 20 % chooses among the candidates of a short list, as `fit` does; the test part says what
the choice was worth.  The page says which short list is best on all sets, on all but one, on real
sets alone and on synthetic ones alone.
"""

from __future__ import annotations

from functools import partial

import _data
import numpy as np
from _cells import make_float
from _default_cells import load_table
from _runner import arguments, run
from _synthetic import FAMILIES
from sklearn.model_selection import train_test_split

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor

PACKAGES = ("scikit-learn", "torch", "numpy")
_ONE = {"n_in_bits": 1, "n_a_bits": 1}
_ADDITIVE = {"n_input_segments": 16, "dropout": 0.3, "hidden_layer_sizes": (), "n_output_sums": 16}
WIDE = {
    "coarse, dropout .3": {"n_input_segments": 16, "dropout": 0.3},
    "coarse, no dropout": {"n_input_segments": 16, "dropout": 0.0},
    "4 segments, dropout .15": {"n_input_segments": 4, "dropout": 0.15},
    "fine, dropout .15": {"n_input_segments": 48, "dropout": 0.15},
    "fine, no dropout": {"n_input_segments": 48, "dropout": 0.0},
    "coarse, dropout .3, one sum": {"n_input_segments": 16, "dropout": 0.3, "n_output_sums": 1},
    "fine, no dropout, one sum": {"n_input_segments": 48, "dropout": 0.0, "n_output_sums": 1},
    "fine, 1 bit, no dropout": {"n_input_segments": 48, "dropout": 0.0, **_ONE},
    "no hidden layers": _ADDITIVE,
}
NARROW = {
    "coarse, dropout .3": {"n_input_segments": 16, "dropout": 0.3},
    "coarse, no dropout": {"n_input_segments": 16, "dropout": 0.0},
    "coarse, 1 bit, dropout .15": {"n_input_segments": 16, "dropout": 0.15, **_ONE},
    "coarse, 1 bit, dropout .3": {"n_input_segments": 16, "dropout": 0.3, **_ONE},
    "fine, 1 bit, no dropout": {"n_input_segments": 48, "dropout": 0.0, **_ONE},
    "no hidden layers": _ADDITIVE,
}
_USUAL = {"hidden_layer_sizes": (256, 128), "n_output_sums": 4, "n_a_bits": 2}
_ROWS = 5000


def measure(set, candidate, bits, seed, *, folder) -> dict:
    """Errors of a candidate, by its name, or of the float MLP, on held-back and on test rows."""
    X, X_test, y, y_test = load_table(set, seed, folder)
    if set not in FAMILIES:
        X, X_test, y, y_test = _data.numeric(X, X_test, y, y_test)
    regression = _data.is_regression(y)
    task = "regression" if regression else "classification"
    rows = np.random.RandomState(seed).permutation(len(y))[:_ROWS]
    X, y = X[rows], y[rows]
    found = {"task": task, "kind": "synthetic" if set in FAMILIES else "real"}
    if candidate == "mlp":
        model = make_float("mlp", task, len(y), seed).fit(X, y)
        return found | {"error": np.nan, "score": model.score(X_test, y_test)}
    X, X_held, y, y_held = train_test_split(X, y, test_size=0.2, random_state=seed)
    kind = PrunedNeuralNetRegressor if regression else PrunedNeuralNetClassifier
    given = {"max_epochs": 40 if bits >= 8 else 60, "n_accum_bits": bits, "random_state": seed}
    given |= _USUAL | (WIDE if bits >= 8 else NARROW)[candidate]
    model = kind(**given).fit(X, y)
    if regression:
        error = np.mean((model.predict(X_held) - y_held) ** 2)
    else:
        hot = y_held[:, None] == model.classes_
        error = ((model.predict_proba(X_held) - hot) ** 2).sum(axis=1).mean()
    return found | {"error": float(error), "score": model.score(X_test, y_test)}


def main() -> None:
    """Measure what is missing."""
    parser = arguments(__doc__, "choices")
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 6])
    parser.add_argument("--jobs", type=int, default=2, help="cells at a time, one thread each")
    options = parser.parse_args()
    real = [name for name in _data.names(options.data, options.sets) if name != "mnist"]
    wanted = [
        {"set": name, "candidate": candidate, "bits": bits, "seed": 0}
        for bits in options.bits
        for candidate in ["mlp", *(WIDE if bits >= 8 else NARROW)]
        for name in [*FAMILIES, *real]
    ]
    run(partial(measure, folder=options.data), wanted, options.output, PACKAGES, options.jobs)


if __name__ == "__main__":
    main()

"""How the recipes were chosen that a fit chooses from, with a guard against tuning to these sets.

Of every candidate a trial, as `fit` makes it, is trained on 80 % of the training part, of 5,000
rows at most.  What it reaches on the other 20 % chooses among the candidates of a short list.  The
candidate is trained on all these rows, too, and the test part says what the choice was worth.  The
page says which short list is best on all sets, on all but one, on real sets alone and on synthetic
ones alone.
"""

from __future__ import annotations

import time
from functools import partial

import _data
import numpy as np
from _cells import make_float
from _default_cells import load_table
from _runner import arguments, run
from _synthetic import FAMILIES
from sklearn.model_selection import train_test_split

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.training.auto import Recipe

PACKAGES = ("scikit-learn", "torch", "numpy")
_COARSE = {"resolution": "coarse", "n_a_bits": 2, "dropout": 0.3}
_FINE = {"resolution": "fine", "n_a_bits": 2, "dropout": 0.0}
_FINE_ONE = {"resolution": "fine", "n_a_bits": 1, "dropout": 0.15}
_ADDITIVE = _COARSE | {"hidden_layer_sizes": (), "n_output_sums": 16}
WIDE = {
    **{f"coarse, {n} members": _COARSE | {"n_members": n} for n in (1, 2, 4, 8)},
    **{f"fine, {n} members": _FINE | {"n_members": n} for n in (1, 2, 4, 8)},
    "no hidden layers": _ADDITIVE,
}
NARROW = {
    "coarse, 4 members": _COARSE | {"n_members": 4},
    **{f"fine, {n} members": _FINE | {"n_members": n} for n in (1, 2, 4, 8)},
    **{f"fine, 1 bit, {n} members": _FINE_ONE | {"n_members": n} for n in (2, 4)},
    "fine, 1 bit, no dropout, 4 members": _FINE_ONE | {"dropout": 0.0, "n_members": 4},
    "no hidden layers": _ADDITIVE,
}
_ROWS, _EPOCHS = 5000, 40


def measure(set, candidate, bits, seed, *, folder) -> dict:
    """Error of a candidate's trial, and its score or that of the float MLP on test rows."""
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
        return found | {"error": np.nan, "score": model.score(X_test, y_test), "cpu_seconds": 0}
    kind = PrunedNeuralNetRegressor if regression else PrunedNeuralNetClassifier
    given = (WIDE if bits >= 8 else NARROW)[candidate]
    started = time.process_time()
    error = _trial_error(kind(**_settings(X, given, bits, seed, trial=True)), X, y, seed)
    model = kind(**_settings(X, given, bits, seed)).fit(X, y)
    seconds = time.process_time() - started
    return found | {
        "error": error, "score": model.score(X_test, y_test), "cpu_seconds": round(seconds, 2)
    }  # fmt: skip


def _settings(X, given, bits, seed, trial=False) -> dict:
    """What a recipe stands for, of `fit` or of its trials."""
    n_graded = sum(len(np.unique(column[~np.isnan(column)])) > 2 for column in X.T)
    # About as it was when recipes were chosen; since then the second layer of a fit is wider, and at 8
    # bits batches are larger.
    usual = {"hidden_layer_sizes": (256, 128), "n_output_sums": 4}
    if bits < 8:
        usual = {"hidden_layer_sizes": (512, 256), "n_output_sums": 16}
    given = usual | given
    given["n_input_segments"] = Recipe(given.pop("resolution")).at(n_graded).n_input_segments
    given["n_output_sums"] = max(given["n_output_sums"], given.get("n_members", 1))
    given["dropout"] *= min(1, X.shape[1] * given["n_input_segments"] / 64)
    epochs, n_rows = _EPOCHS, len(X)
    if trial:
        n_rows = round(0.8 * n_rows)
        epochs = epochs if bits < 8 else epochs // 2
        given["hidden_layer_sizes"] = tuple(n // 2 for n in given["hidden_layer_sizes"])
        given["n_members"] = max(1, given.get("n_members", 1) // 2)
    given["batch_size"] = min(256, max(32, n_rows // 20))
    return given | {"max_epochs": epochs, "n_accum_bits": bits, "random_state": seed}


def _trial_error(model, X, y, seed) -> float:
    """Mean squared error of values or probabilities on a fifth of the rows."""
    X, X_held, y, y_held = train_test_split(X, y, test_size=0.2, random_state=seed)
    model.fit(X, y)
    if not hasattr(model, "classes_"):
        return float(np.mean((model.predict(X_held) - y_held) ** 2))
    hot = y_held[:, None] == model.classes_
    return float(((model.predict_proba(X_held) - hot) ** 2).sum(axis=1).mean())


def main() -> None:
    """Measure what is missing."""
    parser = arguments(__doc__, "choices")
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 6])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--jobs", type=int, default=2, help="cells at a time, one thread each")
    options = parser.parse_args()
    chosen = [name for name in options.sets or () if name not in FAMILIES]
    real = _data.names(options.data, chosen) if chosen or not options.sets else []
    real = [name for name in real if name != "mnist"]
    synthetic = [name for name in FAMILIES if not options.sets or name in options.sets]
    wanted = [
        {"set": name, "candidate": candidate, "bits": bits, "seed": seed}
        for seed in options.seeds
        for bits in options.bits
        for name in [*synthetic, *real]
        for candidate in ["mlp", *(WIDE if bits >= 8 else NARROW)]
    ]
    run(partial(measure, folder=options.data), wanted, options.output, PACKAGES, options.jobs)


if __name__ == "__main__":
    main()

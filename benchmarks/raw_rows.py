"""Raw rows as they come, beside the usual preprocessing; and other ways to encode them.

Each method is fitted on three quarters of the training part of a set and scored on the last
quarter.  Each seed draws another quarter.  Test parts are not used.
"""

from __future__ import annotations

import time
import warnings
from functools import partial
from unittest.mock import patch

import _data
import numpy as np
import pandas as pd
from _runner import arguments, run
from accuracy import PACKAGES
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.metrics import accuracy_score, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import TargetEncoder

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.encoding import _categories

SETS = ["german_credit", "wine_quality", "heloc", "nsl_kdd", "california_housing", "adult"]
CAPS = {"8 categories": 8, "16 categories": 16, "32 categories": 32}
METHODS = ["pipeline", "raw rows", *CAPS, "rare below 1 %", "gaps filled", "target encoding"]


def measure(set, method, seed, *, folder, max_rows) -> dict:
    """Fit one method on raw rows, and score it on those that were held back."""
    warnings.simplefilter("ignore")
    X, X_held, y, y_held = _data.load_validation(set, folder, seed)
    X, X_held = pd.DataFrame(X), pd.DataFrame(X_held)
    X.columns = X_held.columns = X.columns.astype(str)
    if len(y) > max_rows:
        rows = np.sort(np.random.RandomState(seed).permutation(len(y))[:max_rows])
        X, y = _data.take(X, rows), y[rows]
    if method == "gaps filled":
        medians = X.median(numeric_only=True)
        X, X_held = X.fillna(medians), X_held.fillna(medians)
    if method == "rare below 1 %":
        X, X_held = _without_rare(X, X_held, 0.01)
    regression = _data.is_regression(y)
    make = PrunedNeuralNetRegressor if regression else PrunedNeuralNetClassifier
    model = make(n_accum_bits=8, random_state=seed)
    if method == "pipeline":
        model = make_pipeline(_data.preprocessing(X), model)
    if method == "target encoding":
        model = make_pipeline(_target_encoding(X), model)
    most = CAPS.get(method, _categories.MOST_CATEGORIES)
    started = time.perf_counter()
    with patch.object(_categories, "MOST_CATEGORIES", most):
        model.fit(X, y)
    fitted = time.perf_counter()
    predicted = model.predict(X_held)
    return {
        "task": "regression" if regression else "classification",
        "rows": len(y),
        "score": (r2_score if regression else accuracy_score)(y_held, predicted),
        "codes": _network(model).encoding.feature.size,
        "fit_seconds": fitted - started,
        "predict_seconds": time.perf_counter() - fitted,
    }


def _network(model):
    return (model[-1] if hasattr(model, "steps") else model).integer_network_


def _target_encoding(X):
    numbers = make_column_selector(dtype_include="number")
    text = make_column_selector(dtype_exclude="number")
    encoder = TargetEncoder(random_state=0)
    return make_column_transformer(("passthrough", numbers), (encoder, text))


def _without_rare(X, X_held, share: float):
    X, X_held = X.copy(), X_held.copy()
    for name in X.select_dtypes(exclude="number"):
        shares = X[name].value_counts(normalize=True)
        kept = shares.index[shares >= share]
        for part in (X, X_held):
            part[name] = part[name].where(part[name].isin(kept) | part[name].isna(), "rare")
    return X, X_held


def main() -> None:
    """Measure what is missing."""
    parser = arguments(__doc__, "raw_rows")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--max-rows", type=int, default=6000, help="training rows, at most")
    parser.add_argument("--jobs", type=int, default=1, help="cells at a time, one thread each")
    options = parser.parse_args()
    wanted = [
        {"set": name, "method": method, "seed": seed}
        for seed in range(options.seeds)
        for name in _data.names(options.data, options.sets or SETS)
        for method in options.methods
    ]
    one = partial(measure, folder=options.data, max_rows=options.max_rows)
    run(one, wanted, options.output, PACKAGES, options.jobs)


if __name__ == "__main__":
    main()

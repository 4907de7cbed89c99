"""How long a plain ``fit`` takes, with every parameter at its default.

Preprocessed training rows of every set, with and without early stopping, beside scikit-learn's
MLP (64, 64) with early stopping.  One fit each, on one thread.
"""

from __future__ import annotations

import time
import warnings
from functools import partial

import _data
from _runner import arguments, run
from sklearn.neural_network import MLPClassifier, MLPRegressor
from threadpoolctl import threadpool_limits

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor


def measure(set, *, folder) -> dict:
    """Seconds and epochs of the three fits."""
    warnings.simplefilter("ignore")
    X, _, y, _ = _data.load_numeric(set, folder)
    ours, mlp = PrunedNeuralNetClassifier, MLPClassifier
    if _data.is_regression(y):
        ours, mlp = PrunedNeuralNetRegressor, MLPRegressor
    estimators = {
        "": ours(random_state=0),
        "stopping_": ours(early_stopping=True, random_state=0),
        "mlp_": mlp(hidden_layer_sizes=(64, 64), early_stopping=True, random_state=0),
    }
    ours(max_epochs=1).fit(X[:300], y[:300])  # imports
    found = {"rows": len(X), "columns": X.shape[1]}
    for prefix, estimator in estimators.items():
        started = time.perf_counter()
        estimator.fit(X, y)
        found |= {f"{prefix}fit": time.perf_counter() - started}
        found |= {f"{prefix}epochs": estimator.n_iter_}
    return found


def main() -> None:
    """Measure what is missing."""
    options = arguments(__doc__, "fit_times").parse_args()
    cells = [{"set": name} for name in _data.names(options.data, options.sets)]
    with threadpool_limits(1):
        one = partial(measure, folder=options.data)
        run(one, cells, options.output, ("scikit-learn", "torch", "numpy"))


if __name__ == "__main__":
    main()

"""Training by partial_fit over partitions: where the encoding comes from, and what that costs.

The training rows come in partitions.  These are "sorted" by the feature that goes along most with the
target, as tables sorted by time or place are, or "shuffled".  The rows of the first call fix the
encoding.
"""

from __future__ import annotations

import warnings
from functools import partial

import _data
import numpy as np
from _runner import arguments, run

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor

SETS = ["breast_cancer", "digits", "diabetes"]
ORDERS = ["sorted", "shuffled"]
FIRST = ["first partition", "sample of 20 %", "all rows"]
N_PARTITIONS = 8


def measure(set, order, first, seed, *, folder, epochs) -> dict:
    """Score of a network that saw one partition at a time; with "plain fit", of `fit`."""
    warnings.simplefilter("ignore")
    X, X_test, y, y_test = _data.load(set, folder, seed)
    regression = _data.is_regression(y)
    make = PrunedNeuralNetRegressor if regression else PrunedNeuralNetClassifier
    net = make((64,), random_state=seed)
    if first == "plain fit":
        return {"score": net.set_params(max_epochs=epochs).fit(X, y).score(X_test, y_test)}
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(y))
    sample = rng.choice(rows, len(rows) // 5, replace=False)
    if order == "sorted":
        rows = np.argsort(_leading(X, y))
    parts = np.array_split(rows, N_PARTITIONS)
    begin = dict(zip(FIRST, (parts[0], sample, rows), strict=True))[first]
    net.partial_fit(X[begin], y[begin], **({} if regression else {"classes": np.unique(y)}))
    for _ in range(epochs):
        for place in rng.permutation(N_PARTITIONS):
            net.partial_fit(X[parts[place]], y[parts[place]])
    return {"score": net.score(X_test, y_test)}


def _leading(X, y) -> np.ndarray:
    """The feature with the largest correlation with the target."""
    return X[:, np.argmax([abs(np.corrcoef(x, y)[0, 1]) if np.ptp(x) else 0 for x in X.T])]


def main() -> None:
    """Measure what is missing."""
    parser = arguments(__doc__, "partitions")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10, help="passes over the partitions")
    options = parser.parse_args()
    ways = [(order, first) for order in ORDERS for first in FIRST]
    wanted = [
        {"set": name, "order": order, "first": first, "seed": seed}
        for seed in range(options.seeds)
        for name in _data.names(options.data, options.sets or SETS)
        for order, first in [*ways, ("all at once", "plain fit")]
    ]
    one = partial(measure, folder=options.data, epochs=options.epochs)
    run(one, wanted, options.output, ["numpy", "scikit-learn", "torch", "brevitas"])


if __name__ == "__main__":
    main()

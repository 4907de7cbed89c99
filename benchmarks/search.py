"""Grid searches beside the same search with scikit-learn's MLP.

8 candidates, 5 folds, scikit-learn's digits; equal layers, batches and epochs.  The first round
pays for starting the worker processes and importing torch there.  Searches alternate.
"""

from __future__ import annotations

import os
import time
import warnings
from functools import partial

import _data
from _runner import arguments, run
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier

from qnnprune import PrunedNeuralNetClassifier
from qnnprune.search import PrunedNeuralNetSearchCV

TRAINING = {"hidden_layer_sizes": (128,), "batch_size": 128, "random_state": 0}
MLP = MLPClassifier(max_iter=30, n_iter_no_change=30, **TRAINING)
OURS = PrunedNeuralNetClassifier(max_epochs=30, n_input_segments=1, **TRAINING)
DEFAULT = PrunedNeuralNetClassifier(max_epochs=30, **TRAINING)
RATES = [3e-3, 1e-2]
GRID = {"lr": RATES, "n_accum_bits": [6, 7, 8, 10]}
MLP_GRID = {"learning_rate_init": RATES, "alpha": [1e-5, 1e-4, 1e-3, 1e-2]}
TOGETHER, HALVING = PrunedNeuralNetSearchCV, partial(PrunedNeuralNetSearchCV, factor=3)
SEARCHES = {
    "scikit-learn MLP": (GridSearchCV, MLP, MLP_GRID),
    "1 segment, GridSearchCV": (GridSearchCV, OURS, GRID),
    "1 segment, PrunedNeuralNetSearchCV": (TOGETHER, OURS, GRID),
    "1 segment, successive halving": (HALVING, OURS, GRID),
    "default encoding, GridSearchCV": (GridSearchCV, DEFAULT, GRID),
    "default encoding, PrunedNeuralNetSearchCV": (TOGETHER, DEFAULT, GRID),
    "default encoding, successive halving": (HALVING, DEFAULT, GRID),
}


def measure(jobs, round, tool) -> dict:
    """Seconds of one search, and its best score."""
    warnings.simplefilter("ignore")
    X, _, y, _ = _data.load_numeric("digits")
    search, estimator, grid = SEARCHES[tool]
    started = time.perf_counter()
    found = search(estimator, grid, cv=5, n_jobs=jobs).fit(X, y)
    return {"seconds": time.perf_counter() - started, "score": found.best_score_}


def main() -> None:
    """Measure what is missing."""
    parser = arguments(__doc__, "search", data=False)
    parser.add_argument("--jobs", type=int, default=2, help="fits at a time, one thread each")
    parser.add_argument("--rounds", type=int, default=3, help="rounds after the first")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # in the workers
    cells = [
        {"jobs": options.jobs, "round": turn, "tool": name}
        for turn in range(options.rounds + 1)
        for name in SEARCHES
    ]
    run(measure, cells, options.output, ("scikit-learn", "torch", "numpy"))


if __name__ == "__main__":
    main()

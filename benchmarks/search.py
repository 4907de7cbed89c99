"""Grid searches beside the same search with scikit-learn's MLP.

8 candidates, 5 folds, scikit-learn's digits; equal layers, batches and epochs.  The first round
pays for starting the worker processes and importing torch there.  Searches alternate.  Then what a
network costs that trains as one with others, in one process: candidates of a single fold.
"""

from __future__ import annotations

import os
import time
import warnings
from functools import partial

import _data
import numpy as np
from _runner import arguments, run
from sklearn.model_selection import GridSearchCV, StratifiedKFold
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
SIZES = [1, 2, 4, 8, 16]
AS_ONE = {
    "scikit-learn MLP": (GridSearchCV, MLP, {"learning_rate_init": RATES}),
    **{
        f"{name}, {size} as one": (TOGETHER, estimator, {"lr": np.linspace(*RATES, size)})
        for name, estimator in (("1 segment", OURS), ("default encoding", DEFAULT))
        for size in SIZES
    },
}


def measure(jobs, round, tool) -> dict:
    """Seconds of one search, and its best score; of one process, seconds of a candidate."""
    warnings.simplefilter("ignore")
    X, _, y, _ = _data.load_numeric("digits")
    search, estimator, grid = (SEARCHES if jobs > 1 else AS_ONE)[tool]
    folds = list(StratifiedKFold().split(X, y))[: None if jobs > 1 else 1]
    started = time.perf_counter()
    found = search(estimator, grid, cv=folds, n_jobs=jobs, refit=jobs > 1).fit(X, y)
    seconds = time.perf_counter() - started
    if jobs == 1:
        seconds /= len(found.cv_results_["params"])
    return {"seconds": seconds, "score": found.best_score_}


def main() -> None:
    """Measure what is missing."""
    parser = arguments(__doc__, "search", data=False)
    parser.add_argument("--jobs", type=int, default=2, help="fits at a time, at least 2")
    parser.add_argument("--rounds", type=int, default=3, help="rounds after the first")
    options = parser.parse_args()
    if options.jobs < 2:
        parser.error("--jobs must be at least 2: one process is measured apart.")
    os.environ["OMP_NUM_THREADS"] = "1"  # in the workers
    cells = [
        {"jobs": jobs, "round": turn, "tool": name}
        for jobs, searches in ((options.jobs, SEARCHES), (1, AS_ONE))
        for turn in range(options.rounds + 1)
        for name in searches
    ]
    run(measure, cells, options.output, ("scikit-learn", "torch", "numpy"))


if __name__ == "__main__":
    main()

"""One cell of the benchmark of defaults: a model on a set, at a width, with a seed."""

from __future__ import annotations

import importlib.metadata
import time
import warnings
from functools import lru_cache

import _data
import numpy as np
import torch
from _anchors import CAPS, OWN, make, tables
from _synthetic import FAMILIES
from _synthetic import make as make_table
from sklearn.metrics import accuracy_score, r2_score
from threadpoolctl import threadpool_limits

__all__ = ["load_table", "measure"]


def measure(set, method, bits, seed, *, folder) -> dict:
    """Fit to the training part and score the test part.

    Returns
    -------
    dict
        ``score`` is the accuracy, or R² for regression.  ``n_fit`` rows of the ``n_train`` were
        used.  ``cpu_seconds`` are what compares on a machine with other work.
    """
    warnings.simplefilter("ignore")
    parts = load_table(set, seed, folder)
    X, X_test, y, y_test = tables(method, *parts)
    n_train, n_fit = len(y), CAPS.get((method, set), len(y))
    if n_fit < n_train:
        rows = np.sort(np.random.RandomState(seed).permutation(n_train)[:n_fit])
        X, y = _data.take(X, rows), y[rows]
    with threadpool_limits(1):
        torch.set_num_threads(1)
        model = make(method, X, y, bits, seed)
        found = _fit(model, X, y)
        predicted = np.asarray(model.predict(X_test)).reshape(len(y_test))
    regression = _data.is_regression(y)
    score = (r2_score if regression else accuracy_score)(y_test, predicted)
    return {
        "kind": "synthetic" if set in FAMILIES else "real",
        "task": "regression" if regression else "classification",
        "n_train": n_train,
        "n_fit": n_fit,
        "n_columns": parts[0].shape[1],
        "score": round(score, 5),
        **found,
        **(_network(model.integer_network_) if method == OWN else {}),
    }


@lru_cache(maxsize=1)
def load_table(name, seed, folder):
    """Training and test part of a real set, or of a synthetic family, as they come."""
    return make_table(name, seed) if name in FAMILIES else _data.load(name, folder, seed)


def _fit(model, X, y):
    wall, cpu = time.perf_counter(), time.process_time()
    model.fit(X, y)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"threads": 1, "fit_seconds": round(wall, 3), "cpu_seconds": round(cpu, 3)}


def _network(network):
    return {
        "proven_bits": network.proven_bits,
        "nonzeros": network.nonzeros,
        "version": importlib.metadata.version("qnnprune"),
    }

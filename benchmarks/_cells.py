"""One cell of the accuracy benchmark: a method on a set, at a width, with a seed."""

from __future__ import annotations

import math
import pickle
import tempfile
import time
import warnings
from functools import lru_cache
from pathlib import Path

import _data
import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, balanced_accuracy_score, r2_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.pruning import CRITERIA, SCHEDULES

__all__ = ["FLOAT", "FREE", "LIMITED", "PRUNING", "make_float", "measure"]

FLOAT = ["linear", "hgb", "mlp"]  # scikit-learn's
# Parameters of this library's estimators, by method.  The first know no accumulator; the others
# are given its width as well.
FREE: dict[str, dict] = {
    "twin": {"accumulator_guarantee": False, "n_accum_bits": 32},
    "unpruned": {"accumulator_guarantee": False, "n_accum_bits": 32},
}
LIMITED: dict[str, dict] = {
    "omega1": {"accumulator_guarantee": False, "n_hidden_neurons_multiplier": 1},
    "omega4": {"accumulator_guarantee": False, "n_hidden_neurons_multiplier": 4},
    "a2q": {},
    "a2q+": {},
    "exact": {},
}
_HGB_ROWS = 6000  # of sets with hundreds of columns, where boosting takes minutes


def _pruning_methods() -> dict[str, dict]:
    """The exact range alone, then every schedule and criterion at equal numbers of weights.

    A neuron keeps 1 × Ω weights, or 2 × Ω where the criterion removes half of the neurons.
    """
    default = PrunedNeuralNetClassifier()
    found = {"exact": {}, "multiplier 1": {"n_hidden_neurons_multiplier": 1}}
    for name in SCHEDULES:
        if name != default.pruning_schedule:
            changed = {"pruning_schedule": name, "n_hidden_neurons_multiplier": 1}
            found[f"schedule {name}, multiplier 1"] = changed
    for name in CRITERIA:
        if name != default.pruning_criterion:
            factor = 2 if name.startswith("neuron_") else 1
            changed = {"pruning_criterion": name, "n_hidden_neurons_multiplier": factor}
            found[f"criterion {name}, multiplier {factor}"] = changed
    return found


PRUNING = _pruning_methods()


def measure(
    set, method, bits, seed, *, folder=None, validation=False, max_rows=None, parameters=None
) -> dict:
    """Fit, score on what is held back, and describe the network.

    Parameters
    ----------
    set, method : str
    bits : int or None
        Width of the accumulator, in bits.
    seed : int
    folder : str, optional
        Where the sets lie.
    validation : bool
        Hold back a quarter of the training part, and leave the test part alone.
    max_rows : int, optional
        Training rows, at most.
    parameters : dict, optional
        Of the estimator; those of the method by default.

    Returns
    -------
    dict
        ``score`` is the accuracy, or R² for regression.
    """
    warnings.simplefilter("ignore")
    where = (set, folder, seed, validation, max_rows)
    X, X_held, y, y_held = _parts(*where)
    task = "regression" if _data.is_regression(y) else "classification"
    if method in FLOAT:
        if method == "hgb" and X.shape[1] > 500 and len(X) > _HGB_ROWS:
            rows = np.random.RandomState(seed).permutation(len(X))[:_HGB_ROWS]
            X, y = X[rows], y[rows]
        model, seconds = _timed(make_float(method, task, len(X), seed), X, y)
    elif method.startswith("a2q"):
        model, seconds = _fit_bounded(where, bits, centred=method == "a2q+")
    else:
        if parameters is None:
            parameters = (FREE | LIMITED | PRUNING)[method]
        if bits is not None:
            parameters = parameters | {"n_accum_bits": bits}
        model = _make(y, **parameters, random_state=seed)
        model, seconds = _timed(model.float_twin() if method == "twin" else model, X, y)
    found = {"task": task, "n_train": len(y), "n_test": len(y_held)}
    found |= _scores(y_held, model.predict(X_held), task) | {"fit_seconds": seconds}
    network = getattr(model, "integer_network_", None)
    return found | (_float_sizes(model) if network is None else _integer_sizes(network, model))


@lru_cache(maxsize=1)
def _parts(name, folder, seed, validation, max_rows):
    """Preprocessed parts; one process measures many methods on the same ones."""
    load = _data.load_validation if validation else _data.load
    X, X_held, y, y_held = load(name, folder, seed)
    if max_rows is not None and len(y) > max_rows:
        rows = np.sort(np.random.RandomState(seed).permutation(len(y))[:max_rows])
        X, y = _data.take(X, rows), y[rows]
    return _data.numeric(X, X_held, y, y_held)


def _scores(y, predicted, task) -> dict:
    if task == "regression":
        return {"score": r2_score(y, predicted)}
    return {
        "score": accuracy_score(y, predicted),
        "balanced": balanced_accuracy_score(y, predicted),
    }


def _make(y, **parameters):
    make = PrunedNeuralNetRegressor if _data.is_regression(y) else PrunedNeuralNetClassifier
    return make(**parameters)


def _timed(model, X, y):
    """The fitted model and the seconds that it took."""
    started = time.perf_counter()
    return model.fit(X, y), time.perf_counter() - started


def _fit_bounded(where, bits, centred):
    from accumulator_aware import train_bounded

    pickled, seconds = _unpruned(*where)
    X, _, y, _ = _parts(*where)
    started = time.perf_counter()
    model = train_bounded(pickle.loads(pickled), X, y, n_accum_bits=bits, centred=centred)
    return model, seconds + time.perf_counter() - started


@lru_cache(maxsize=1)
def _unpruned(name, folder, seed, validation, max_rows):
    """What A2Q and A2Q+ start from at all widths: an estimator, pickled, and its seconds."""
    from accumulator_aware import START

    X, _, y, _ = _parts(name, folder, seed, validation, max_rows)
    model, seconds = _timed(_make(y, **START, random_state=seed), X, y)
    return pickle.dumps(model), seconds


def make_float(method, task, n_rows, seed):
    """scikit-learn's estimators with their defaults; the MLP stops early on many rows."""
    regression = task == "regression"
    if method == "linear":
        return Ridge() if regression else LogisticRegression()
    if method == "hgb":
        make = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
        return make(random_state=seed)
    make, epochs = (MLPRegressor, 300) if regression else (MLPClassifier, 200)
    mlp = make(
        hidden_layer_sizes=(64, 64),
        max_iter=epochs,
        early_stopping=n_rows >= 5000,
        random_state=seed,
    )
    return TransformedTargetRegressor(mlp, transformer=StandardScaler()) if regression else mlp


def _integer_sizes(network, model) -> dict:
    """Sizes of an integer network, beside those of the dense one that training began with.

    Compression and speedup as Blalock et al. 2020 define them, "What is the State of Neural
    Network Pruning?": size over size left, and multiply-adds over those left.  A size counts
    weights and, for each neuron, its thresholds, or its scale and bias.
    """
    layers, hidden = network.layers, tuple(model.hidden_layer_sizes)
    widths = (layers[0].weight.shape[1], *hidden, len(layers[-1].weight))
    dense = sum(a * b for a, b in zip(widths, widths[1:], strict=False))
    n_thresholds = layers[0].thresholds.shape[1]
    nonzeros = np.concatenate([np.count_nonzero(layer.weight, axis=1) for layer in layers])
    left, n_hidden = int(nonzeros.sum()), sum(len(layer.weight) for layer in layers[:-1])
    dense_size = dense + n_thresholds * sum(hidden) + 2 * layers[-1].n_logits
    return _nonzeros(nonzeros) | {
        "proven_bits": max(int(layer.accumulator_bits.max()) for layer in layers),
        "compression": dense_size / (left + n_thresholds * n_hidden + 2 * layers[-1].n_logits),
        "speedup": dense / max(left, 1),
        "neurons": len(nonzeros),
        "dead": sum(map(_dead_neurons, layers[:-1])) + _dead_logits(layers[-1]),
        "file_kb": _file_bytes(network) / 1000,
        "packed_kb": math.ceil(network.n_w_bits * sum(x.weight.size for x in layers) / 8) / 1000,
    }


def _nonzeros(per_neuron) -> dict:
    return {
        "nonzeros": int(per_neuron.sum()),
        "nonzeros_mean": float(per_neuron.mean()),
        "nonzeros_max": int(per_neuron.max()),
    }


def _dead_neurons(layer) -> int:
    """Neurons whose output is the same over their whole range of sums."""
    low, high = (
        (layer.thresholds <= end[:, None]).sum(axis=1) for end in layer.accumulator_range.T
    )
    return int((low == high).sum())


def _dead_logits(layer) -> int:
    low, high = layer.accumulator_range.T
    return int(((low == high) | (layer.scale == 0)).sum())


def _file_bytes(network) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.npz"
        network.save(path)
        return path.stat().st_size


def _float_sizes(model) -> dict:
    """Weights of a float model in float32; nothing for trees."""
    model = getattr(model, "regressor_", model)
    if hasattr(model, "module_"):
        weights = [w.detach().numpy() for w in model.module_.parameters() if w.ndim == 2]
    elif hasattr(model, "coefs_"):
        weights = [w.T for w in model.coefs_]
    elif hasattr(model, "coef_"):
        weights = [np.atleast_2d(model.coef_)]
    else:
        return {}
    per_neuron = np.concatenate([np.count_nonzero(w, axis=1) for w in weights])
    return _nonzeros(per_neuron) | {"packed_kb": 4 * sum(w.size for w in weights) / 1000}

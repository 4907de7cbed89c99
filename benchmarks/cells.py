"""One cell of the accuracy benchmark: a method on a set, at a width, with a seed."""

from __future__ import annotations

import pickle
import time
import warnings
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache

import numpy as np
import sets
from integer_measures import float_measures, integer_measures
from resumable import key
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, balanced_accuracy_score, r2_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.accumulators import weight_budget, weight_max
from qnnprune.pruning.pruner import CRITERIA, SCHEDULES

__all__ = ["FREE", "LIMITED", "Cell", "is_unlimited", "measure", "pruning_methods"]

# Methods that know no accumulator, and those that are given one.
FREE = {
    "linear": "linear",
    "hgb": "HistGradientBoosting",
    "mlp": "MLP (64, 64)",
    "twin": "float twin",
    "unpruned": "quantized, unpruned",
}
LIMITED = {
    "omega1": "count, 1 × Ω",
    "omega4": "count, 4 × Ω",
    "a2q": "A2Q",
    "a2q+": "A2Q+",
    "exact": "exact range",
}
# What parts of a method's name stand for, as in "schedule:one_shot,criterion:l1,multiplier:1".
PARTS = {
    "schedule": "pruning_schedule",
    "criterion": "pruning_criterion",
    "multiplier": "n_hidden_neurons_multiplier",
}
PEERS = ("linear", "hgb", "mlp")  # scikit-learn's
_STARTS: dict[str, tuple[bytes, float]] = {}  # in each worker
_HGB_ROWS = 6000  # of sets with hundreds of columns, where boosting takes minutes
_NOT_IDENTITY = ("random_state", "verbose", "device", "callbacks", "class_weight")


def pruning_methods() -> list[str]:
    """Every schedule and every criterion, at equal numbers of weights; and the exact range alone.

    A neuron keeps 1 × Ω weights; or 2 × Ω, where half of the neurons are removed.
    """
    default = PrunedNeuralNetClassifier()
    schedules = [f"schedule:{name}" for name in SCHEDULES if name != default.pruning_schedule]
    criteria = [f"criterion:{name}" for name in CRITERIA if name != default.pruning_criterion]
    removing = {f"criterion:{n}" for n, criterion in CRITERIA.items() if criterion.removes_neurons}
    counted = [f"{m},multiplier:{2 if m in removing else 1}" for m in schedules + criteria]
    return ["exact", "multiplier:1", *counted]


@dataclass(frozen=True)
class Cell:
    """What is measured.

    Attributes
    ----------
    set, method : str
        A method is a key of `FREE` or `LIMITED`, or parts as in "criterion:random".
    bits : int or None
        Width of the accumulator.
    seed : int
    folder : str or None
        Where the set lies.
    validation : bool
        Hold back a quarter of the training part, and leave the test part alone.
    max_rows : int or None
        Training rows, at most.
    changed : dict
        Parameters of the estimator beside the method's own.
    """

    set: str
    method: str
    bits: int | None
    seed: int
    folder: str | None = None
    validation: bool = False
    max_rows: int | None = None
    changed: dict = field(default_factory=dict)

    def parameters(self) -> dict:
        """What this library's estimator is made with; empty for other tools."""
        if self.method in PEERS:
            return {}
        return _parameters(self.method, self.bits) | self.changed

    def identity(self) -> dict:
        """Everything that the result depends on, defaults of the estimator included."""
        named = {k: v for k, v in asdict(self).items() if k not in ("folder", "changed")}
        if self.method not in PEERS:
            settings = PrunedNeuralNetClassifier(**self.parameters()).get_params()
            named["settings"] = {k: v for k, v in settings.items() if k not in _NOT_IDENTITY}
        if self.method.startswith("a2q"):
            from accumulator_aware import SETTINGS

            named["settings"] |= SETTINGS
        return named

    def __str__(self) -> str:
        bits = "" if self.bits is None else f" at {self.bits} bits"
        return f"{self.set}: {self.method}{bits}, seed {self.seed}"


def _parameters(method, bits) -> dict:
    if method in ("twin", "unpruned"):
        return {"accumulator_guarantee": False, "n_accum_bits": 32}
    if method in ("omega1", "omega4"):
        return {
            "accumulator_guarantee": False,
            "n_accum_bits": bits,
            "n_hidden_neurons_multiplier": int(method[-1]),
        }
    if method in LIMITED:
        return {"n_accum_bits": bits}
    found: dict = {"n_accum_bits": bits}
    for part in method.split(","):
        name, value = part.split(":")
        found[PARTS[name]] = float(value) if name == "multiplier" else value
    return found


def is_unlimited(cell: Cell, fan_in: int) -> bool:
    """Whether no weights at all of that fan-in reach the cell's limits.

    Its network is then, bit for bit, the unpruned one.
    """
    if cell.method not in ("exact", "omega1", "omega4"):
        return False
    settings = PrunedNeuralNetClassifier(**cell.parameters())
    bits, multiplier = settings.n_accum_bits, settings.n_hidden_neurons_multiplier
    if cell.method == "exact":
        largest = weight_max(settings.n_w_bits) * 2 ** (settings.n_a_bits - 1)
        return fan_in * largest < 2 ** (bits - 1)
    return weight_budget(settings.n_w_bits, settings.n_a_bits, bits, multiplier) >= fan_in


@lru_cache(maxsize=1)
def _data(name, folder, seed, validation, max_rows):
    """Preprocessed parts; one worker measures many methods on the same ones."""
    load = sets.load_validation if validation else sets.load
    X_train, X_held, y_train, y_held = load(name, folder, seed)
    if max_rows is not None and len(y_train) > max_rows:
        rows = np.sort(np.random.RandomState(seed).permutation(len(y_train))[:max_rows])
        X_train, y_train = sets.take(X_train, rows), y_train[rows]
    return sets.numeric(name, X_train, X_held, y_train, y_held)


def measure(cell: Cell) -> dict:
    """Fit, predict what is held back, and describe the network.

    Returns
    -------
    dict
        ``score`` (accuracy or R²), ``balanced``, sizes and times; or ``refused``, where a limit
        leaves no weight to a neuron.
    """
    warnings.simplefilter("ignore")
    data = _data(cell.set, cell.folder, cell.seed, cell.validation, cell.max_rows)
    regression = sets.is_regression(data[2])
    found = {"regression": regression, "n_train": len(data[2]), "n_held": len(data[3])}
    started = time.perf_counter()
    try:
        model, extra = _fit(cell, data[0], data[2], regression)
    except ValueError as error:
        if "leaves a budget of 0" not in str(error):
            raise
        return found | {"refused": "budget 0"}
    found |= {"fit_seconds": time.perf_counter() - started} | extra
    found |= _scores(data[3], model.predict(data[1]), regression)
    network = getattr(model, "integer_network_", None)
    return found | (float_measures(model) if network is None else integer_measures(network, model))


def _scores(y, predicted, regression) -> dict:
    if regression:
        return {"score": float(r2_score(y, predicted))}
    return {
        "score": float(accuracy_score(y, predicted)),
        "balanced": float(balanced_accuracy_score(y, predicted)),
    }


def _fit(cell, X, y, regression):
    """The fitted model, and what to record beside its measures."""
    if cell.method in PEERS:
        return _fit_peer(cell, X, y, regression)
    make = PrunedNeuralNetRegressor if regression else PrunedNeuralNetClassifier
    model = make(**cell.parameters(), random_state=cell.seed)
    if cell.method.startswith("a2q"):
        from accumulator_aware import fit_accumulator_aware

        start, seconds = _start(cell, model, X, y)
        started = time.perf_counter() - seconds
        fitted, extra = fit_accumulator_aware(
            start, X, y, n_accum_bits=cell.bits, centred=cell.method == "a2q+"
        )
        return fitted, extra | {"fit_seconds": time.perf_counter() - started}
    if cell.method == "twin":
        model = model.float_twin()
    return model.fit(X, y), {"n_epochs": model.n_iter_}


def _start(cell, model, X, y):
    """What A2Q starts from: one training for all widths and both methods; and its seconds."""
    from accumulator_aware import fit_start

    name = key(replace(cell, method="a2q", bits=None).identity())
    if name not in _STARTS:
        started = time.perf_counter()
        pickled = pickle.dumps(fit_start(model, X, y))
        _STARTS[name] = pickled, time.perf_counter() - started
    pickled, seconds = _STARTS[name]
    return pickle.loads(pickled), seconds


def _fit_peer(cell, X, y, regression):
    extra = {}
    if cell.method == "hgb" and X.shape[1] > 500 and len(X) > _HGB_ROWS:
        rows = np.random.RandomState(cell.seed).permutation(len(X))[:_HGB_ROWS]
        X, y, extra = X[rows], y[rows], {"rows": _HGB_ROWS}
    return _peer(cell, regression, len(X)).fit(X, y), extra


def _peer(cell, regression, n_rows):
    """scikit-learn's estimators, with their defaults; the MLP stops early on many rows."""
    if cell.method == "linear":
        return Ridge() if regression else LogisticRegression()
    if cell.method == "hgb":
        make = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
        return make(random_state=cell.seed)
    make = MLPRegressor if regression else MLPClassifier
    mlp = make(
        hidden_layer_sizes=(64, 64),
        max_iter=300 if regression else 200,
        early_stopping=n_rows >= 5000,
        random_state=cell.seed,
    )
    return TransformedTargetRegressor(mlp, transformer=StandardScaler()) if regression else mlp

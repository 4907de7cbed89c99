"""Rules: what a fitted step of scikit-learn or skrub does to each of its columns, by class name.

A rule reads fitted attributes alone, and nothing here imports either library.  It names, for every
column that the step puts out, the one that it depends on.  Two more facts are needed: at which
values a column may jump up and down (elsewhere it only rises or only falls), and which values
make the step raise an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Effect", "effect_of", "is_gap", "known_class", "real_numbers"]


@dataclass(frozen=True)
class Effect:
    """What a step does to its columns.

    Attributes
    ----------
    inputs : list of int
        For each column put out, the one that it comes from.
    keeps : list of bool
        For each column put out, whether its values stay what they were, but for gaps.
    marks : dict from int to list
        Values of an input at which what comes from it may jump.
    accepts : dict from int to callable
        Takes a float64 array of values of an input; returns which of them raise no error.
    is_closed : bool
        Whether any value that is no mark raises an error.
    """

    inputs: list
    keeps: list
    marks: dict = field(default_factory=dict)
    accepts: dict = field(default_factory=dict)
    is_closed: bool = False


def effect_of(step, n_columns: int) -> Effect | None:
    """What a fitted step does to its columns; None where no rule is known for its class."""
    rule = _RULES.get(known_class(step))
    if rule is None and hasattr(step, "get_support"):
        rule = _selection
    return None if rule is None else rule(step, n_columns)


def known_class(step) -> str:
    """Name of the class of scikit-learn or skrub that defines what `step.transform` does."""
    for kind in type(step).__mro__:
        if kind.__module__.partition(".")[0] in ("sklearn", "skrub"):
            return kind.__name__
        if "transform" in vars(kind):
            break  # a class of the user's, which may do anything
    return ""


def is_gap(value) -> bool:
    """Whether a value stands for a missing one: None, NaN, pandas' NA and NaT."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except TypeError:  # of pandas' NA, which is neither equal nor unequal
        return True


def real_numbers(values) -> np.ndarray | None:
    """The values in float64 where all of them are real numbers, gaps left out; else None."""
    kept = [value for value in values if not is_gap(value)]
    kinds = (int, float, np.integer, np.floating)
    if any(isinstance(v, (bool, np.bool_)) or not isinstance(v, kinds) for v in kept):
        return None
    return np.array(kept, dtype=np.float64)


def _one_to_one(step, n_columns):
    return Effect(list(range(n_columns)), [False] * n_columns)


def _same(step, n_columns):
    return Effect(list(range(n_columns)), [True] * n_columns)


def _none(step, n_columns):
    return Effect([], [])


def _uninformative(step, n_columns):
    return (_none if step.drop_ else _same)(step, n_columns)


def _power(step, n_columns):
    positive = step.method == "box-cox"
    accepts = {i: _is_positive for i in range(n_columns)} if positive else {}
    marks = {i: [0.0] for i in accepts}
    return Effect(list(range(n_columns)), [False] * n_columns, marks, accepts)


def _is_positive(values: np.ndarray) -> np.ndarray:
    return values > 0


def _bins(step, n_columns):
    if step.encode == "ordinal":
        return _one_to_one(step, n_columns)
    inputs = np.repeat(np.arange(n_columns), step.n_bins_).tolist()
    edges = (
        map(_rounded_to_single, step.bin_edges_) if step.dtype == np.float32 else step.bin_edges_
    )
    return Effect(inputs, [False] * len(inputs), dict(enumerate(edges)))


def _rounded_to_single(edges: np.ndarray) -> np.ndarray:
    """Half-way below each edge: from there on float64 values are rounded up to it."""
    edges = edges.astype(np.float32)
    below = np.nextafter(edges, -np.inf, dtype=np.float32)
    return (edges.astype(np.float64) + below) / 2


def _function(step, n_columns):
    identity = step.func is None
    return Effect(list(range(n_columns)), [identity] * n_columns)


def _imputer(step, n_columns):
    dropped = [is_gap(value) and not step.keep_empty_features for value in step.statistics_]
    inputs = [i for i in range(n_columns) if not dropped[i]]
    keeps = [True] * len(inputs)
    if step.indicator_ is not None:
        features = step.indicator_.features_.tolist()
        inputs, keeps = inputs + features, keeps + [False] * len(features)
    return Effect(inputs, keeps, _missing_marks(step, n_columns))


def _indicator(step, n_columns):
    inputs, marks = step.features_.tolist(), _missing_marks(step, n_columns)
    refusing = step.error_on_new and step.features == "missing-only"
    new = set(marks) - set(inputs) if refusing else set()
    accepts = {i: _differs_from(step.missing_values) for i in new if _is_number(marks[i][0])}
    return Effect(inputs, [False] * len(inputs), marks, accepts)


def _is_number(value) -> bool:
    return real_numbers([value]) is not None


def _differs_from(value) -> Callable:
    return lambda x: ~np.isin(x, [value, np.float32(value)])


def _missing_marks(step, n_columns):
    return (
        {} if is_gap(step.missing_values) else {i: [step.missing_values] for i in range(n_columns)}
    )


def _one_hot(step, n_columns):
    dropped = step.drop_idx_ if step.drop_idx_ is not None else [None] * n_columns
    infrequent = getattr(step, "infrequent_categories_", [None] * n_columns)
    inputs = []
    for i, categories in enumerate(step.categories_):
        rare = 0 if infrequent[i] is None else len(infrequent[i]) - 1
        inputs += [i] * (len(categories) - rare - (dropped[i] is not None))
    return _categorical(step, inputs)


def _ordinal(step, n_columns):
    return _categorical(step, list(range(n_columns)))


def _target(step, n_columns):
    per_column = len(step.classes_) if step.target_type_ == "multiclass" else 1
    return _categorical(step, np.repeat(np.arange(n_columns), per_column).tolist())


def _categorical(step, inputs):
    marks = {i: list(categories) for i, categories in enumerate(step.categories_)}
    is_closed = getattr(step, "handle_unknown", None) == "error"
    return Effect(inputs, [False] * len(inputs), marks, is_closed=is_closed)


def _selection(step, n_columns):
    inputs = step.get_support(indices=True).tolist()
    return Effect(inputs, [True] * len(inputs))


_RULES: dict[str, Callable] = {
    "StandardScaler": _one_to_one,
    "MinMaxScaler": _one_to_one,
    "MaxAbsScaler": _one_to_one,
    "RobustScaler": _one_to_one,
    "QuantileTransformer": _one_to_one,
    "Binarizer": _one_to_one,
    "PowerTransformer": _power,
    "KBinsDiscretizer": _bins,
    "FunctionTransformer": _function,
    "SimpleImputer": _imputer,
    "MissingIndicator": _indicator,
    "OneHotEncoder": _one_hot,
    "OrdinalEncoder": _ordinal,
    "TargetEncoder": _target,
    "CleanNullStrings": _same,
    "CleanCategories": _same,
    "ToStr": _same,
    "PassThrough": _same,
    "Drop": _none,
    "DropUninformative": _uninformative,
    "ToFloat": _one_to_one,
}

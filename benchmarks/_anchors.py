"""Models of the benchmark of defaults: what each is made of, and the tables that it gets.

Every model has its defaults, one thread and a seed.  Boosted trees and RealMLP get numbers and
categories as they come; linear models, the MLP and qnnprune get the preprocessing of `_data`.
"""

from __future__ import annotations

import logging
from functools import lru_cache

import _data
import numpy as np
import pandas as pd
from _cells import make_float

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor

__all__ = ["ANCHORS", "CAPS", "LEFT_OUT", "OWN", "make", "tables"]

OWN = "qnnprune"
NATIVE = ["hgb", "lightgbm", "catboost", "realmlp"]
ANCHORS = ["linear", "mlp", *NATIVE]

# Training rows at most, where a fit to all of them takes more than 5 minutes of one core.
CAPS = {
    ("hgb", "mnist"): 6000,
    ("realmlp", "adult"): 20000,
    ("realmlp", "electricity"): 25000,
    ("realmlp", "mnist"): 4000,
    ("realmlp", "nsl_kdd"): 20000,
}
# Where most of the time goes into columns times classes, so that few rows would be left.
LEFT_OUT = [("catboost", "isolet_1560"), ("catboost", "mnist")]


def make(method: str, X, y, bits: int | None, seed: int):
    """An estimator, after the first fit that its packages need to import what they use.

    Parameters
    ----------
    method : str
        One of `ANCHORS`, or "qnnprune".
    X, y : arrays or DataFrame and array
        The training part of `tables`.  The type of y decides between classification and
        regression.
    bits : int or None
        Width of qnnprune's accumulator, in bits.
    seed : int
    """
    regression = _data.is_regression(y)
    _warm_up(method, regression)
    if method == OWN:
        return _own(regression)(n_accum_bits=bits, random_state=seed)
    if method == "lightgbm":
        return _lightgbm(regression, seed)
    if method == "catboost":
        return _catboost(regression, seed, list(X.columns[X.dtypes == "category"]))
    if method == "realmlp":
        return _realmlp(regression, seed)
    return make_float(method, "regression" if regression else "classification", len(y), seed)


def tables(method: str, X, X_test, y, y_test):
    """Training and test part as a method takes them."""
    if method not in NATIVE:
        return _data.numeric(X, X_test, y, y_test)
    return (*_native(X, X_test, fill=method == "realmlp"), y, y_test)


def _native(X, X_test, fill):
    """DataFrames of numbers and of categories, among them "missing"; `fill` closes other gaps.

    Categories of the test part that the training part lacks are missing too.
    """
    X, X_test = (part if hasattr(part, "columns") else pd.DataFrame(part) for part in (X, X_test))
    found, found_test = {}, {}
    for place, name in enumerate(X.columns):
        column, test = X[name], X_test[name]
        if column.dtype.kind in "biuf":
            middle = float(np.nanmedian(column)) if fill else np.nan
            parts = [part.astype(np.float32).fillna(middle) for part in (column, test)]
        else:
            known = ["missing", *sorted(column.dropna().unique())]
            parts = [part.where(part.isin(known), "missing") for part in (column, test)]
            parts = [part.astype(pd.CategoricalDtype(known)) for part in parts]
        found[f"x{place}"], found_test[f"x{place}"] = parts
    return pd.DataFrame(found), pd.DataFrame(found_test)


@lru_cache
def _warm_up(method, regression):
    """Fit to a few rows, so that times hold no imports."""
    X, y = np.random.RandomState(0).rand(60, 3).astype(np.float32), np.arange(60) % 2
    y = y.astype(np.float32) if regression else y
    if method == OWN:
        _own(regression)(max_epochs=1, random_state=0).fit(X, y)
    elif method == "realmlp":
        _realmlp(regression, 0, n_epochs=1).fit(X, y)


def _own(regression):
    return PrunedNeuralNetRegressor if regression else PrunedNeuralNetClassifier


def _lightgbm(regression, seed):
    from lightgbm import LGBMClassifier, LGBMRegressor

    model = LGBMRegressor if regression else LGBMClassifier
    return model(n_jobs=1, random_state=seed, verbose=-1)


def _catboost(regression, seed, categories):
    from catboost import CatBoostClassifier, CatBoostRegressor

    model = CatBoostRegressor if regression else CatBoostClassifier
    quiet = {"verbose": False, "allow_writing_files": False}
    return model(thread_count=1, random_seed=seed, cat_features=categories, **quiet)


def _realmlp(regression, seed, **parameters):
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    model = RealMLP_TD_Regressor if regression else RealMLP_TD_Classifier
    return model(device="cpu", n_threads=1, random_state=seed, verbosity=0, **parameters)

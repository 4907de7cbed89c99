"""Data sets for the benchmarks: a folder of real ones, or scikit-learn's own."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GroupShuffleSplit, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

OWN = ["digits", "breast_cancer", "wine", "iris", "diabetes"]


def names(folder: str | None) -> list[str]:
    """The sets of `folder`, which holds ``load.py``, or scikit-learn's own."""
    return OWN if folder is None else _loader(folder).names()


def quick_first(names: list[str], folder: str | None) -> list[str]:
    """The sets by the size of their files; scikit-learn's own as they are listed, reversed."""
    if folder is None:
        return sorted(names, key=OWN.index, reverse=True)
    return sorted(names, key=lambda name: (Path(folder) / f"{name}.npz").stat().st_size)


def load(name: str, folder: str | None = None, seed: int = 0):
    """X_train, X_test, y_train, y_test as they come: arrays, or tables with words and gaps.

    A folder fixes the test part of its sets; of scikit-learn's own sets `seed` draws it.
    """
    if name not in OWN:
        return _loader(folder).load(name)
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return train_test_split(X, y, random_state=seed, stratify=None if name == "diabetes" else y)


def load_validation(name: str, folder: str | None = None, seed: int = 0):
    """The same shapes, from the training part alone: `seed` draws 25 % of it to hold back.

    The test part is dropped unseen, and stays the same for every seed.  Rows of one unit (an
    engine, say) stay together where the set says which unit a row belongs to.
    """
    X, _, y, _ = load(name, folder)
    unit = _units(name, folder)
    if unit is not None:
        train, held = next(
            GroupShuffleSplit(1, test_size=0.25, random_state=seed).split(X, y, unit)
        )
    else:
        rows, stratify = np.arange(len(y)), None if is_regression(y) else y
        train, held = train_test_split(rows, random_state=seed, stratify=stratify)
    return take(X, train), take(X, held), y[train], y[held]


def take(X, rows):
    """Some rows of an array or a table."""
    return X.iloc[rows].reset_index(drop=True) if hasattr(X, "iloc") else X[rows]


def _units(name, folder):
    """The unit that each training row belongs to, or None."""
    if name in OWN:
        return None
    try:
        return _loader(folder).load(name, target="unit")[2]
    except KeyError:
        return None


def is_regression(y) -> bool:
    """Whether targets are real numbers: labels are integers or words."""
    return np.asarray(y).dtype.kind == "f"


def preprocessing(X):
    """Gaps filled, numbers standardised, words one-hot: fitted on training rows alone."""
    if not hasattr(X, "columns"):
        return make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    words = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="missing"),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    numbers = make_column_selector(dtype_include="number")
    others = make_column_selector(dtype_exclude="number")
    filled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return make_column_transformer((filled, numbers), (words, others))


def load_numeric(name: str, folder: str | None = None):
    """The same as float32 arrays, preprocessed; images as shares of white, not standardised."""
    return numeric(name, *load(name, folder))


def numeric(name: str, X_train, X_test, y_train, y_test):
    """Preprocess two parts as `load_numeric` does; targets stay as they are."""
    if getattr(X_train, "dtype", None) == np.uint8 or name == "mnist":
        parts = [np.asarray(X, np.float32) / 255 for X in (X_train, X_test)]
    else:
        prepare = preprocessing(pd.DataFrame(X_train) if hasattr(X_train, "columns") else X_train)
        parts = [prepare.fit_transform(X_train), prepare.transform(X_test)]
    return (*(np.ascontiguousarray(X, dtype=np.float32) for X in parts), y_train, y_test)


def machine() -> str:
    """Cores and instruction set."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    widest = next((name for name in ("avx512f", "avx2") if name in flags), "")
    return f"{os.cpu_count()} cores, {os.uname().machine} {widest}".strip()


def _loader(folder):
    spec = importlib.util.spec_from_file_location("load", Path(folder) / "load.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

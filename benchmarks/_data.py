"""Data sets of the benchmarks: a folder of files, or scikit-learn's own.

DATASETS.md says where the sets come from and what a file holds.  ``python benchmarks/_data.py
FOLDER`` prints one line per set, to compare a rebuilt folder with the table there.
"""

from __future__ import annotations

import argparse
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GroupShuffleSplit, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

OWN = ["diabetes", "iris", "wine", "breast_cancer", "digits"]


def names(folder: str | None, chosen: list[str] | None = None) -> list[str]:
    """Sets of the folder, small files first; without a folder scikit-learn's own."""
    known = OWN
    if folder is not None:
        files = sorted(Path(folder).glob("*.npz"), key=lambda path: path.stat().st_size)
        known = [path.stem for path in files]
    unknown = set(chosen or []) - set(known)
    if unknown or not known:
        sys.exit(f"Sets {sorted(unknown)} are not among {known} of --data {folder}.")
    return [name for name in known if name in (chosen or known)]


def load(name: str, folder: str | None = None, seed: int = 0):
    """Training and test part, as they come.

    Returns
    -------
    X_train, X_test : float32 or uint8 arrays, or DataFrames with strings and gaps
    y_train, y_test : float arrays for regression, else arrays of labels
        The test part of a file never changes; of scikit-learn's own sets `seed` draws it.
    """
    if folder is None or name in OWN:
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        return train_test_split(X, y, random_state=seed, stratify=None if is_regression(y) else y)
    X, arrays = _read(name, folder)
    train, test = _split(arrays)
    return take(X, train), take(X, test), arrays["y"][train], arrays["y"][test]


def load_validation(name: str, folder: str | None = None, seed: int = 0):
    """The same shapes from the training part alone: `seed` draws a quarter of it to hold back.

    The test part is dropped unseen.  Rows of one unit, such as an engine, stay together.
    """
    X, _, y, _ = load(name, folder)
    units = _units(name, folder)
    if units is not None:
        splitter = GroupShuffleSplit(1, test_size=0.25, random_state=seed)
        train, held = next(splitter.split(X, y, units))
    else:
        stratify = None if is_regression(y) else y
        train, held = train_test_split(np.arange(len(y)), random_state=seed, stratify=stratify)
    return take(X, train), take(X, held), y[train], y[held]


def load_numeric(name: str, folder: str | None = None):
    """`load`, with both parts preprocessed by `numeric`."""
    return numeric(*load(name, folder))


def numeric(X_train, X_test, y_train, y_test):
    """Both parts as float32 tables.

    Gaps are filled, numbers standardised, strings one-hot encoded, all fitted on the training
    part.  Images (uint8) become shares of white.  Targets stay as they are.
    """
    if getattr(X_train, "dtype", None) == np.uint8:
        parts = [X.astype(np.float32) / 255 for X in (X_train, X_test)]
    else:
        prepare = preprocessing(X_train)
        parts = [prepare.fit_transform(X_train), prepare.transform(X_test)]
    return (*(np.ascontiguousarray(X, dtype=np.float32) for X in parts), y_train, y_test)


def take(X, rows):
    """Some rows of an array or a DataFrame."""
    return X.iloc[rows].reset_index(drop=True) if hasattr(X, "iloc") else X[rows]


def is_regression(y) -> bool:
    """Whether targets are real numbers: labels are integers or strings."""
    return np.asarray(y).dtype.kind == "f"


def preprocessing(X):
    """Gaps filled, numbers standardised, strings one-hot encoded."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    if not hasattr(X, "columns"):
        return numbers
    strings = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="missing"),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    return make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (strings, make_column_selector(dtype_exclude="number")),
    )


@lru_cache(maxsize=1)
def _read(name: str, folder: str):
    """Features of a file, and all of its arrays."""
    with np.load(Path(folder) / f"{name}.npz", allow_pickle=False) as file:
        arrays = dict(file)
    if "X" in arrays:
        X = arrays["X"]
        return X if X.dtype == np.uint8 else X.astype(np.float32), arrays
    columns = {}
    for place, (column, kind) in enumerate(zip(arrays["columns"], arrays["kinds"], strict=True)):
        values = arrays[f"c{place}"]
        if kind == "cat":
            values = values.astype(object)
            values = pd.Series(np.where(values == "", np.nan, values), dtype=object)
        columns[str(column)] = values
    return pd.DataFrame(columns), arrays


def _split(arrays):
    """Row numbers of both parts: as the file says, or a quarter of each class drawn by seed 0."""
    if "part" in arrays:
        return np.flatnonzero(arrays["part"] == 0), np.flatnonzero(arrays["part"] == 1)
    y, random = arrays["y"], np.random.RandomState(0)
    groups = [np.arange(len(y))]
    if arrays["task"] == "classification":
        groups = [np.flatnonzero(y == label) for label in np.unique(y)]
    train, test = [], []
    for group in groups:
        drawn = random.permutation(group)
        n_test = max(1, round(len(drawn) / 4)) if len(drawn) > 1 else 0
        test.append(drawn[:n_test])
        train.append(drawn[n_test:])
    return random.permutation(np.concatenate(train)), random.permutation(np.concatenate(test))


def _units(name, folder):
    """The unit of each training row, or None."""
    if folder is None or name in OWN:
        return None
    _, arrays = _read(name, folder)
    return arrays["unit"][_split(arrays)[0]] if "unit" in arrays else None


def main() -> None:
    """Print what a folder holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    folder = parser.parse_args().folder
    for name in names(folder):
        X, X_test, y, y_test = load(name, folder)
        gaps = sum(int(pd.isna(pd.DataFrame(part)).to_numpy().sum()) for part in (X, X_test))
        task = "regression" if is_regression(y) else f"{len(np.unique(y))} classes"
        print(f"{name}: {len(y)} / {len(y_test)} rows, {X.shape[1]} columns, {gaps} gaps, {task}")


if __name__ == "__main__":
    main()

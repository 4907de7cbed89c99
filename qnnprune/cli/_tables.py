"""Rows for the main job: scikit-learn's digits, or a table of mixed types from a file."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["InputError", "Table", "digits", "read_table"]

MAX_CATEGORIES = 50  # columns that one column of text becomes, at most
FEWEST_ROWS = 20
FEW_INTEGERS = 20  # distinct integers up to which a target is taken for labels
_PARQUET = {".parquet", ".pq"}
_TABS = {".tsv", ".tab"}


class InputError(Exception):
    """A mistake in what the user gave; its text is the one line that is shown."""


@dataclass(frozen=True, eq=False)
class Table:
    """Features, target, and how to make the features numbers.

    Attributes
    ----------
    X : array or DataFrame of shape (n_samples, n_features)
    y : array of shape (n_samples,)
        int64 or str labels, or float64 values.
    task : {"classification", "regression"}
    description : list of str
        Lines for the reader.
    preprocessing : callable
        Returns a new, unfitted transformer for `X`.
    """

    X: Any
    y: np.ndarray
    task: str
    description: list[str]
    preprocessing: Callable[[], Any]

    @property
    def n_classes(self) -> int:
        """Number of labels; 0 for regression."""
        return len(np.unique(self.y)) if self.task == "classification" else 0

    def split(self, seed: int):
        """Hold back a quarter of the rows, with every class in both parts where it can be.

        Returns
        -------
        X_train, X_test, y_train, y_test
        """
        from sklearn.model_selection import train_test_split

        stratify = None
        if self.task == "classification":
            counts = np.unique(self.y, return_counts=True)[1]
            if counts.min() > 1 and len(counts) <= len(self.y) // 4:
                stratify = self.y
        return train_test_split(
            self.X, self.y, test_size=0.25, stratify=stratify, random_state=seed
        )


def digits() -> Table:
    """Scikit-learn's handwritten digits: 8 x 8 pixels, 10 classes."""
    from sklearn.datasets import load_digits
    from sklearn.preprocessing import StandardScaler

    X, y = load_digits(return_X_y=True)
    text = f"scikit-learn's digits: {len(y)} rows, {X.shape[1]} numeric columns, 10 classes"
    return Table(X, y.astype(np.int64), "classification", [text], StandardScaler)


def read_table(path: str, target: str, task: str | None = None) -> Table:
    """Read a CSV or Parquet file.

    Parameters
    ----------
    path : str
        ``.parquet`` or ``.pq``; anything else is read as text with commas, semicolons
        or (``.tsv``) tabs, compressed or not.
    target : str
        Column to predict; rows without a value there are left out.
    task : {"classification", "regression"}, optional
        Chosen by the target where None.

    Raises
    ------
    InputError
        If the file, the column or the rows cannot be used.
    """
    frame = _read_file(Path(path))
    if target not in frame.columns:
        raise InputError(_unknown_column(target, list(frame.columns), path))
    y = _cleaned(frame.pop(target))
    known = y.notna()
    frame, y = frame[known], y[known]
    if len(y) < FEWEST_ROWS:
        raise InputError(
            f"{path} has {len(y)} rows with a value of {target!r}: at least {FEWEST_ROWS} are "
            "needed, to train on and to hold back."
        )
    if frame.shape[1] == 0:
        raise InputError(f"{path} has no column besides {target!r} to predict it from.")
    labels, task, why = _target(y, target, task)
    features = frame.apply(_cleaned).reset_index(drop=True)
    numeric = [name for name in features if features[name].dtype.kind == "f"]
    text = [name for name in features if features[name].dtype.kind != "f"]
    description = [
        f"{path}: {len(features)} rows, {_count(numeric, 'numeric column')} and "
        f"{_count(text, 'column')} of categories",
        f"{task} of {target!r}: {why}",
    ]
    if not known.all():
        description.append(f"left out: {(~known).sum()} without a value of {target!r}")
    return Table(features, labels, task, description, lambda: _mixed_types(numeric, text))


def _count(columns: list, noun: str) -> str:
    return f"{len(columns)} {noun}{'' if len(columns) == 1 else 's'}"


def _read_file(path: Path):
    if not path.is_file():
        raise InputError(f"There is no file {path}.")
    try:
        import pandas as pd
    except ImportError as error:
        raise InputError("Reading a file needs pandas: pip install pandas") from error
    try:
        if path.suffix.lower() in _PARQUET:
            frame = pd.read_parquet(path)
        else:
            frame = pd.read_csv(path, sep=_separator(path), skipinitialspace=True)
    except ImportError as error:
        raise InputError(
            f"Parquet needs pyarrow: pip install pyarrow ({_reason(error)})"
        ) from error
    except Exception as error:  # readers raise errors of many kinds, also their own
        raise InputError(f"{path} cannot be read as a table: {_reason(error)}") from error
    frame.columns = [str(name) for name in frame.columns]
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise InputError(f"{path} has more than one column called {repeated[0]!r}.")
    return frame


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _separator(path: Path) -> str:
    import pandas as pd

    if path.suffix.lower() in _TABS:
        return "\t"
    # A header of semicolons is one column when it is read with commas.
    header = pd.read_csv(path, nrows=0).columns
    return ";" if len(header) == 1 and ";" in str(header[0]) else ","


def _unknown_column(target: str, names: list[str], path: str) -> str:
    close = difflib.get_close_matches(target, names, n=1)
    if close:
        return f"{path} has no column {target!r}: did you mean {close[0]!r}?"
    shown = ", ".join(map(repr, names[:10])) + (", ..." if len(names) > 10 else "")
    return f"{path} has no column {target!r}; its columns are {shown}."


def _cleaned(column):
    """A column as float64 with NaN, or as text with NaN."""
    import pandas as pd
    from pandas.api import types

    if column.dtype == object:  # what Parquet's dates and decimals are read as
        kind = types.infer_dtype(column, skipna=True)
        if kind == "date":
            column = pd.to_datetime(column)
        elif kind == "decimal":
            column = column.astype("float64")
    if types.is_datetime64_any_dtype(column):
        column = (column - column.min()).dt.total_seconds() / 86400  # days
    elif types.is_timedelta64_dtype(column):
        column = column.dt.total_seconds()
    if types.is_numeric_dtype(column) and not types.is_bool_dtype(column):
        column = column.astype("float64")
        return column.where(np.isfinite(column))
    column = column.astype(object)
    return column.where(column.notna(), np.nan).map(str, na_action="ignore").astype(object)


def _target(y, name: str, task: str | None):
    """Labels or values, the task, and why it is that task."""
    numbers = y.dtype.kind == "f"
    n_distinct = y.nunique()
    if n_distinct < 2:
        raise InputError(f"The target {name!r} has only one value, {y.iloc[0]}.")
    integers = numbers and bool((y % 1 == 0).all())
    few = n_distinct == 2 or n_distinct <= min(FEW_INTEGERS, len(y) // 10)
    if task is None:
        if not numbers:
            task, why = "classification", f"{n_distinct} labels"
        elif integers and few:
            task = "classification"
            why = f"{n_distinct} distinct integers (--task regression treats them as amounts)"
        else:
            task = "regression"
            why = f"{n_distinct} distinct numbers (--task classification treats them as labels)"
    else:
        why = f"{n_distinct} distinct values, as --task says"
    if task == "regression":
        if not numbers:
            raise InputError(
                f"The target {name!r} is not numeric: --task regression cannot use it."
            )
        return y.to_numpy(np.float64), task, why
    if n_distinct > len(y) // 2:
        raise InputError(
            f"The target {name!r} has {n_distinct} different labels in {len(y)} rows: too many to "
            "learn. Choose another column" + (", or --task regression." if numbers else ".")
        )
    # Fixed-width text, not objects: a saved network holds no pickles.
    return y.to_numpy(np.int64 if integers else np.str_), task, why


def _mixed_types(numeric: list[str], text: list[str]):
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
    )
    categories = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="missing", keep_empty_features=True),
        OneHotEncoder(handle_unknown="ignore", max_categories=MAX_CATEGORIES),
    )
    return ColumnTransformer([("numbers", numbers, numeric), ("categories", categories, text)])

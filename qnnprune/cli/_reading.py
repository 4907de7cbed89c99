"""Rows for the main job: scikit-learn's digits, or a table of mixed types from a file."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._columns import described, read_columns
from ._errors import InputError
from ._features import features
from ._files import read_file
from ._target import labels_or_values
from ._texts import Conventions, may_be_missing

__all__ = ["Table", "digits", "read_table"]

FEWEST_ROWS = 20


@dataclass(frozen=True, eq=False)
class Table:
    """Features and target.

    Attributes
    ----------
    X : array or DataFrame of shape (n_samples, n_features)
    y : array of shape (n_samples,)
        int64 or str labels, or float64 values.
    task : {"classification", "regression"}
    description : list of str
        Lines for the reader.
    """

    X: Any
    y: np.ndarray
    task: str
    description: list[str]

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
        from sklearn.utils import _safe_indexing

        from ..training.rows import hold_out

        labels = np.unique(self.y, return_inverse=True)[1] if self.n_classes else None
        n_held = -(-len(self.y) // 4)
        kept, held = hold_out(len(self.y), n_held, labels=labels, random_state=seed)
        return [_safe_indexing(a, rows) for a in (self.X, self.y) for rows in (kept, held)]


def digits() -> Table:
    """Scikit-learn's handwritten digits: 8 x 8 pixels, 10 classes."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    text = f"scikit-learn's digits: {len(y)} rows, {X.shape[1]} numeric columns, 10 classes"
    return Table(X, y.astype(np.int64), "classification", [text])


def read_table(
    path: str,
    target: str,
    task: str | None = None,
    *,
    sep: str | None = None,
    encoding: str | None = None,
    conventions: Conventions | None = None,
    drop: Sequence[str] = (),
    categories: Sequence[str] = (),
) -> Table:
    """Read a CSV or Parquet file.

    Parameters
    ----------
    path : str
        ``.parquet`` or ``.pq``; anything else is read as CSV, compressed or not.
    target : str
        Column to predict; rows without a value there are left out.
    task : {"classification", "regression"}, optional
        Chosen by the target where None.
    sep, encoding : str, optional
        Of a CSV file; found out where None.
    conventions : Conventions, optional
        What the texts mean; found out where None.
    drop, categories : sequence of str
        Columns to leave out, and columns that are no numbers even if they look like it.

    Raises
    ------
    InputError
        If the file, a column or the rows cannot be used.
    """
    conventions = conventions or Conventions()
    frame, notes = read_file(path, sep, encoding)
    _check_names(list(frame.columns), path, target, drop, categories)
    columns = read_columns(frame.drop(columns=list(drop)), conventions, categories)
    known = columns[target].values.notna()
    if known.sum() < FEWEST_ROWS:
        raise InputError(
            f"{path} has {known.sum()} rows with a value of {target!r}: at least {FEWEST_ROWS} are "
            "needed, to train on and to hold back."
        )
    y, task, why = labels_or_values(columns[target], known, target, task)
    X = features(columns, known, target, categories)
    numeric = [name for name in X if X[name].dtype.kind in "fM"]
    text = [name for name in X if X[name].dtype.kind not in "fM"]
    description = [
        f"{path}: {len(X)} rows, {_count(numeric, 'numeric column')} and "
        f"{_count(text, 'column')} of categories",
        f"{task} of {target!r}: {why}",
        *_about_missing(frame[target], known),
        *_about_labels(y, target, conventions),
        *notes,
        *described(columns),
    ]
    if drop:
        description.append(f"left out by --drop: {', '.join(map(repr, drop))}")
    return Table(X, y, task, description)


def _check_names(names: list[str], path: str, target: str, drop, categories):
    for name in (target, *drop, *categories):
        if name not in names:
            raise InputError(_unknown_column(name, names, path))
    if target in drop:
        raise InputError(f"--drop cannot leave out the target {target!r}.")


def _about_missing(texts, known) -> list[str]:
    """A line about the rows without a target."""
    if known.all():
        return []
    marks = {str(text).strip() for text in texts[~known].dropna()} - {""}
    shown = f" ({', '.join(map(repr, sorted(marks)))})" if marks else ""
    return [f"left out: {(~known).sum()} without a value of {texts.name!r}{shown}"]


def _about_labels(y, target: str, conventions: Conventions) -> list[str]:
    """Lines about labels that elsewhere stand for a missing value."""
    if y.dtype.kind != "U" or conventions.missing is not None:
        return []
    labels = filter(may_be_missing, np.unique(y).tolist())
    return [f"{label!r} counts as a label of {target!r}: --missing" for label in labels]


def _count(columns: list, noun: str) -> str:
    return f"{len(columns)} {noun}{'' if len(columns) == 1 else 's'}"


def _unknown_column(name: str, names: list[str], path: str) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"{path} has no column {name!r}: did you mean {close[0]!r}?"
    shown = ", ".join(map(repr, names[:10])) + (", ..." if len(names) > 10 else "")
    return f"{path} has no column {name!r}; its columns are {shown}."

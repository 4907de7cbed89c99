"""Blocks of rows, plain labels and numbers, and tables of text."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib import import_module

import numpy as np

__all__ = [
    "Tabular",
    "display",
    "is_plain",
    "plain_labels",
    "plain_number",
    "row_blocks",
    "state_without_caches",
    "text_table",
    "user_stacklevel",
]

_OURS = ("qnnprune.", "sklearn.", "contextlib")


def row_blocks(n_rows: int, n_columns: int, most_values: int = 2**22) -> Iterator[slice]:
    """Slices that cover `n_rows` rows, each of `most_values` values at most, or of one row.

    Examples
    --------
    >>> list(row_blocks(5, n_columns=10, most_values=20))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    rows = max(1, most_values // max(n_columns, 1))
    return (slice(i, min(i + rows, n_rows)) for i in range(0, n_rows, rows))


def is_plain(dtype: np.dtype) -> bool:
    """Whether a type is bool, integer or float of at most 8 bytes, or str."""
    return dtype.kind == "U" or (dtype.kind in "biuf" and dtype.itemsize <= 8)


def plain_labels(labels) -> np.ndarray | None:
    """The same labels in an array of bool, integers, floats or str, of any but object dtype.

    Parameters
    ----------
    labels : array-like of shape (n_labels,)

    Returns
    -------
    array of shape (n_labels,), or None
        None where no such array holds them all.

    Examples
    --------
    >>> plain_labels(np.array(["no", "yes"], dtype=object))
    array(['no', 'yes'], dtype='<U3')
    >>> plain_labels(np.array([1, "yes"], dtype=object)) is None
    True
    """
    labels = np.asarray(labels)
    array = np.array(labels.tolist()) if labels.dtype.kind in "OT" else labels
    return array if is_plain(array.dtype) and array.tolist() == labels.tolist() else None


def plain_number(value):
    """A numpy number as Python's, which neither wraps around nor rounds; all else as it is.

    Examples
    --------
    >>> 2 ** plain_number(np.int8(8)), plain_number("auto")
    (256, 'auto')
    """
    return value.item() if isinstance(value, np.generic) else value


def text_table(rows: Sequence[Sequence[str]], n_left: int = 0) -> str:
    """Rows of cells as lines, in columns of equal width.

    Parameters
    ----------
    rows : sequence of sequences of str
        All of the same length.
    n_left : int
        Columns that are aligned at their left; the others at their right.

    Examples
    --------
    >>> print(text_table([["net", "bits"], ["narrow", "8"]], n_left=1))
    net     bits
    narrow     8
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    pads = [str.ljust] * n_left + [str.rjust] * (len(widths) - n_left)
    lines = [[pad(*cell) for pad, *cell in zip(pads, row, widths, strict=True)] for row in rows]
    return "\n".join(map("  ".join, lines))


def user_stacklevel() -> int:
    """The ``stacklevel`` with which a warning names the line of user code that led to it.

    Frames of this package, and of scikit-learn around it, are passed over.
    """
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_OURS):
        frame, level = frame.f_back, level + 1
    return level


def state_without_caches(instance) -> dict:
    """Attributes of an object for its pickle, without what a `cached_property` computed.

    So neither the pickle nor a hash of it depends on what the object was asked before.
    """
    kind = type(instance)
    return {
        name: value
        for name, value in vars(instance).items()
        if not isinstance(getattr(kind, name, None), cached_property)
    }


class Tabular:
    """What has a `to_dict` of columns, and so a table of pandas, which only those need who ask."""

    def to_frame(self):
        """The columns of `to_dict` as a pandas DataFrame.

        Returns
        -------
        pandas.DataFrame
            One row per entry of the columns.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("to_frame() needs pandas: pip install pandas.") from error
        return pd.DataFrame(self.to_dict())


def display(name: str):
    """A Display of `qnnprune.inspection`, a room above all that has a ``plot()``, by its name."""
    return getattr(import_module("qnnprune.inspection"), name)

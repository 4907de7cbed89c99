"""Raw columns as C takes them: names, types, thresholds, and what stands for a gap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...encoding import InputEncoding
from ._names import Names
from ._source import Source
from ._tables import narrowest
from ._units import check_units

__all__ = ["TYPES", "Column", "columns_of", "needed_features"]

TYPES = {
    "float": np.float32,
    "double": np.float64,
    "int8": np.int8,
    "uint8": np.uint8,
    "int16": np.int16,
    "uint16": np.uint16,
    "int32": np.int32,
}


@dataclass(frozen=True)
class Column:
    """One raw column.

    Attributes
    ----------
    index : int
    name : str
        Of the field of the struct.
    label : str or None
        What it was called in training.
    dtype : numpy dtype
    is_read : bool
        Whether any code of it makes a difference.
    thresholds : float64 array
        Ascending; empty where it is not read or holds categories.
    missing : str or None
        C constant that stands for a gap: None where none does, "NAN" for floats.
    missing_value : int or None
        Its value, in an integer column.
    enumerators : dict of str to int
        Constants of the column's categories, others and gaps included.
    categories : array or None
    """

    index: int
    name: str
    label: str | None
    dtype: np.dtype
    is_read: bool
    thresholds: np.ndarray
    missing: str | None
    missing_value: int | None
    enumerators: dict[str, int]
    categories: np.ndarray | None


def needed_features(encoding: InputEncoding, inputs: np.ndarray) -> np.ndarray:
    """Which features are read, as bool array of shape (n_features,).

    Parameters
    ----------
    encoding : InputEncoding
    inputs : integer array
        The input codes that are read.
    """
    read = np.isin(np.arange(encoding.n_features), encoding.feature[inputs])
    constant = encoding.n_segments == 0
    for feature, table in enumerate(encoding.tables):
        constant[feature] &= table is None
    return read & ~constant


def columns_of(
    source: Source, encoding: InputEncoding, needed: np.ndarray, names, types: list[str]
) -> list[Column]:
    """All columns, each with what C calls it.

    Parameters
    ----------
    source : Source
    encoding : InputEncoding
    needed : bool array of shape (n_features,)
    names : array of str of shape (n_features,), or None
    types : list of str
        A key of `TYPES` for each feature; that of a categorical one is not used.

    Raises
    ------
    ValueError
        If a column's type cannot hold what it was fitted on.
    """
    fields, macros = Names(), Names(f"{source.macro}_{name}" for name in _RESERVED)
    found = []
    for index in range(encoding.n_features):
        label = None if names is None else str(names[index])
        name = fields.of(f"x{index}" if label is None else label)
        common = bool(needed[index]), (name, label), macros, f"{source.macro}_{name.upper()}_"
        if encoding.categories[index] is not None:
            found.append(_categorical(encoding, index, *common))
        else:
            found.append(_numeric(encoding, index, *common, np.dtype(TYPES[types[index]])))
    return found


# What begins the names of other macros of a header.
_RESERVED = ["H", "N_FEATURES", "N_CODES", "N_SUMS", "N_VALUES", "N_CLASSES", "FLASH", "READ"]
_RESERVED += ["UNROLL", "INTEGER_ONLY", "VERSION", "MODEL_ID", "FRACTION_BITS"]


def _categorical(encoding, index, needed, named: tuple, macros: Names, prefix: str) -> Column:
    categories = encoding.categories[index]
    others = [macros.of(text, prefix) for text in ("OTHER", "MISSING")]
    known = [macros.of(str(value).upper(), prefix) for value in categories.tolist()]
    enumerators = {name: i for i, name in enumerate([*known, *others])}
    constant = others[1], enumerators[others[1]]
    dtype = narrowest([len(enumerators)], signed=False)
    return Column(index, *named, dtype, needed, np.empty(0), *constant, enumerators, categories)


def _numeric(encoding, index, needed, named: tuple, macros: Names, prefix: str, dtype) -> Column:
    thresholds, is_ramp = _thresholds(encoding, index)
    thresholds = thresholds if needed else thresholds[:0]
    level = int(encoding.missing_level[index])
    constant: tuple[str | None, int | None] = "NAN" if level >= 0 else None, None
    if dtype.kind != "f":
        label = f"x[{index}]" if named[1] is None else f"x[{index}] ({named[1]!r})"
        check_units([thresholds], encoding.steps if is_ramp else None, dtype, [label])
        value = _stand_in(thresholds, level, dtype, label) if needed else None
        constant = None if value is None else macros.of("MISSING", prefix), value
    return Column(index, *named, dtype, needed, thresholds, *constant, {}, None)


def _thresholds(encoding: InputEncoding, index: int) -> tuple[np.ndarray, bool]:
    """Thresholds of a numeric column, and whether they are those of ramps."""
    thresholds, n_ramp = encoding.thresholds[index], encoding.n_segments[index] * encoding.steps
    if encoding.tables[index] is None:
        return thresholds[:n_ramp], True
    thresholds = thresholds[np.isfinite(thresholds)]
    return thresholds, len(thresholds) == n_ramp


def _stand_in(thresholds: np.ndarray, level: int, dtype, label: str) -> int | None:
    """The integer that stands for a gap; None where there is none.

    A gap with a level of its own needs a value that no number has: an end of the type.  Where
    training saw no gap, it has the level of the median, so a number of that level does.
    """
    if level < 0:
        return None
    info = np.iinfo(dtype)
    edges = [info.min, *np.ceil(thresholds).astype(np.int64).tolist(), info.max + 1]
    if level <= len(thresholds):
        low, high = edges[level], edges[level + 1] - 1
        return low if low <= high else None
    low, high = _training_range(thresholds, info)
    if dtype.kind == "i" and low > info.min:
        return int(info.min)
    if high < info.max:
        return int(info.max)
    raise ValueError(
        f"{label} has gaps, and no {dtype} may be left to stand for one, as training values can go "
        f"from {max(low, info.min):.0f} to {min(high, info.max):.0f}. Use a wider type."
    )


def _training_range(thresholds: np.ndarray, info) -> tuple[float, float]:
    """Bounds of the training values, which networks do not hold.

    They end as far beyond the last threshold as that is beyond an edge of its segment, which
    the threshold before bounds, or the end of the type; and 1 for a threshold that was moved.
    """
    if not len(thresholds):
        return 0.0, 0.0
    inner = np.unique(thresholds)
    second, last_but_one = (inner[1], inner[-2]) if len(inner) > 1 else (info.max, info.min)
    return 2 * inner[0] - second - 1, 2 * inner[-1] - last_but_one + 1

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
        Those for the column's type, ascending; empty where it is not read or holds categories.
    missing : str or None
        C constant that stands for a gap: "NAN" for floats, None where gaps are refused.
    missing_value : int or None
        Its value, in an integer column.
    enumerators : dict of str to int
        Constants of the column's categories, others and gaps included.
    categories : array or None
    is_single : bool
        Whether the thresholds are those for float32.
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
    is_single: bool = False


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
    is_single, found = _are_single(encoding, types), []
    for index in range(encoding.n_features):
        label = None if names is None else str(names[index])
        name = fields.of(f"x{index}" if label is None else label)
        common = bool(needed[index]), (name, label), macros, f"{source.macro}_{name.upper()}_"
        if encoding.categories[index] is not None:
            found.append(_categorical(encoding, index, *common))
        else:
            dtype = np.dtype(TYPES[types[index]])
            found.append(_numeric(encoding, index, *common, dtype, is_single[index]))
    return found


def _are_single(encoding: InputEncoding, types: list[str]) -> list[bool]:
    """Which columns are compared with the thresholds for float32."""
    if encoding.single_thresholds is None:
        return [False] * encoding.n_features
    pairs = zip(types, encoding.categories, strict=True)
    own = [np.dtype(TYPES[kind] if known is None else object) for kind, known in pairs]
    return [kind == np.float32 for kind in encoding.block_types(own)]


# What begins the names of other macros of a header.
_RESERVED = ["H", "N_FEATURES", "N_CODES", "N_SUMS", "N_VALUES", "N_CLASSES", "FLASH", "READ"]
_RESERVED += ["UNROLL", "INTEGER_ONLY", "VERSION", "MODEL_ID", "FRACTION_BITS"]


def _categorical(encoding, index, needed, named: tuple, macros: Names, prefix: str) -> Column:
    categories = encoding.categories[index]
    n, enumerators = len(categories), {}
    others = macros.of("OTHER", prefix) if encoding.takes_others[index] else None
    missing = macros.of("MISSING", prefix) if encoding.missing_level[index] >= 0 else None
    for place, value in enumerate(categories.tolist()):
        enumerators[macros.of(str(value).upper(), prefix)] = place
    enumerators |= {name: n + i for i, name in enumerate([others, missing]) if name is not None}
    constant = missing, None if missing is None else n + 1
    dtype = narrowest([n + 2], signed=False)
    return Column(index, *named, dtype, needed, np.empty(0), *constant, enumerators, categories)


def _numeric(
    encoding, index, needed, named: tuple, macros: Names, prefix: str, dtype, is_single: bool
) -> Column:
    thresholds, is_even = _thresholds(encoding, index, np.float32 if is_single else np.float64)
    thresholds = thresholds if needed else thresholds[:0]
    level = int(encoding.missing_level[index])
    constant: tuple[str | None, int | None] = "NAN" if level >= 0 else None, None
    if dtype.kind != "f":
        label = f"x[{index}]" if named[1] is None else f"x[{index}] ({named[1]!r})"
        check_units([thresholds], encoding.steps if is_even else None, dtype, [label])
        value = _stand_in(thresholds, level, dtype, label) if needed else None
        constant = None if value is None else macros.of("MISSING", prefix), value
    return Column(index, *named, dtype, needed, thresholds, *constant, {}, None, is_single)


def _thresholds(encoding: InputEncoding, index: int, dtype) -> tuple[np.ndarray, bool]:
    """Thresholds of a numeric column, and whether they rise evenly within each segment."""
    thresholds = encoding.thresholds_for(dtype)[index].astype(np.float64)
    n_ramp = encoding.n_segments[index] * encoding.steps
    is_even = encoding.single_thresholds is None  # as no step of a pipeline moved them
    if encoding.tables[index] is None:
        return thresholds[:n_ramp], is_even
    thresholds = thresholds[np.isfinite(thresholds)]
    return thresholds, is_even and len(thresholds) == n_ramp


def _stand_in(thresholds: np.ndarray, level: int, dtype, label: str) -> int | None:
    """The integer that stands for a gap; None where there is none.

    A gap with a level of its own needs a value that no number has: an end of the type.  Where
    it has the level of numbers, an integer of that level does, if there is one.
    """
    if level < 0:
        return None
    info = np.iinfo(dtype)
    edges = [info.min, *np.ceil(thresholds).astype(np.int64).tolist(), info.max + 1]
    if level <= len(thresholds):
        low, high = edges[level], edges[level + 1] - 1
        if low <= high:
            return low
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

"""What C functions take: thresholds in the columns' types, and what a header says of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...encoding import InputEncoding
from ...encoding._thresholds import rounded_up
from ._columns import Column
from ._source import Source, c_string, c_type
from ._tables import Comparison, compare

__all__ = ["array_lines", "code_lines", "input_thresholds", "row_definitions", "row_lines"]


def input_thresholds(thresholds: Sequence[np.ndarray], dtype: np.dtype) -> Comparison:
    """Thresholds of features of a type, exact for every value of that type.

    A value of that type reaches a threshold if it reaches the next value of the type.

    Parameters
    ----------
    thresholds : sequence of float64 arrays
        Those of each feature, ascending.
    dtype : numpy dtype
        float64, float32 or an integer type.

    Returns
    -------
    Comparison
        With thresholds of shape (n,), feature after feature.

    Raises
    ------
    ValueError
        If a threshold is beyond the largest float32.
    """
    joined = np.concatenate(thresholds)
    if dtype.kind == "f":
        return Comparison(">=", _finite(rounded_up(joined, dtype), joined))
    info = np.iinfo(dtype)
    return compare(np.ceil(joined), info.min, info.max, signed=dtype.kind == "i")


def _finite(rounded: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    if not np.isfinite(rounded).all():
        raise ValueError(
            f"The input encoding has the threshold {thresholds.max()}, beyond the largest "
            f"{rounded.dtype}: use input='double' or scale that feature."
        )
    return rounded


def array_lines(macro: str, encoding: InputEncoding, columns: Sequence[Column]) -> list[str]:
    """What a header says of columns that come as an array."""
    dtype = columns[0].dtype
    lines = [f"Input: {macro}_N_FEATURES features in {c_type(dtype)}, in the units of training."]
    if dtype.kind == "f" and (encoding.missing_level < 0).all():
        lines.append("A NaN counts as below every threshold.")
    elif dtype.kind == "f":
        lines.append("A NaN stands for a gap.")
    for column in columns:
        label = "" if column.label is None else f"{c_string(column.label)}, "
        gap = "" if column.missing_value is None else f"; {column.missing_value} stands for a gap"
        lines.append(f"  x[{column.index}]: {label}{_units(encoding, column)}{gap}")
    return lines


def _units(encoding: InputEncoding, column: Column) -> str:
    """The units of a column, by the range of its thresholds."""
    if not column.is_read:
        return "not read"
    if column.categories is not None:
        closed = "" if encoding.takes_others[column.index] else ", of which predict takes no others"
        return f"one of {len(column.enumerators)} constants{closed}"
    if not len(column.thresholds):
        return "read for gaps alone"
    first, last = column.thresholds[0], column.thresholds[-1]
    days = "days since 1970-01-01, " if encoding.is_date[column.index] else ""
    return f"{days}compared with {first:.6g} to {last:.6g}"


def row_lines(p: str) -> list[str]:
    """What a header says of columns that come as a struct."""
    return [
        f"Input: a row as a struct {p}_row, each column in the units of training.",
        "Its comments say what each column holds, and what stands for a gap.",
    ]


def row_definitions(source: Source, encoding: InputEncoding, columns: Sequence[Column]) -> str:
    """The struct of a row, and the constants of its categories and gaps."""
    parts = [_enum(column) for column in columns if column.categories is not None]
    gaps = [
        column for column in columns if not column.enumerators and column.missing_value is not None
    ]
    parts += ["\n".join(f"#define {c.missing} {_constant(c)}" for c in gaps)] if gaps else []
    lines = []
    for column in columns:
        label = "" if column.label is None else f"{c_string(column.label)}: "
        gap = "" if column.missing is None else f"; a gap is {column.missing}"
        text = f"/* {label}{_units(encoding, column)}{gap} */"
        lines.append(f"    {c_type(column.dtype)} {column.name}; {text}")
    fields = "\n".join(lines)
    parts.append(
        f"/* A row, in the units of training. */\ntypedef struct {{\n{fields}\n}} {source.p}_row;"
    )
    return "\n\n".join(parts) + "\n"


def _constant(column: Column) -> str:
    """The value of a gap, for the type of its column."""
    value = column.missing_value
    return "INT32_MIN" if value == -(2**31) else f"({value})"


def _enum(column: Column) -> str:
    """The constants of a categorical column, each with its category."""
    assert column.categories is not None
    said = [c_string(str(value)) for value in column.categories.tolist()]
    said += ["rare, or not seen in training", "a gap"]
    pairs = column.enumerators.items()
    items = "\n".join(f"    {name} = {value}, /* {said[value]} */" for name, value in pairs)
    label = column.name if column.label is None else c_string(column.label)
    return f"/* Categories of {label}. */\nenum {{\n{items}\n}};"


def code_lines(macro: str, encoding: InputEncoding) -> list[str]:
    """What a header says of codes that come from the caller."""
    low, high = encoding.input_range.T
    return [
        f"Input: {macro}_N_CODES codes, as quantize_input returns them, within "
        f"{low.min()}..{high.max()}:",
        "what is beyond is not checked, and voids the proof.",
    ]

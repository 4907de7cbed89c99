"""The C function that turns a raw row into codes, column by column or, if all are alike, in a loop.

A column's level is the number of thresholds that it reaches, or that of its category.  Its codes
follow from the level in one of four ways:

=========  =====================================================================================
codes      what C does
=========  =====================================================================================
ramp       shares the level out between the codes
indicator  a ramp, and one more code that is high at a gap, where the ramp is that of the median
one of     one code is high, or none: a list of places, one per level
rows       copies a row of a table, one per level
=========  =====================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...accumulators import code_range
from ...encoding import InputEncoding
from ._columns import Column
from ._functions import COUNTED
from ._inputs import input_thresholds
from ._source import Source, c_type
from ._tables import Comparison, narrowest

__all__ = ["write_encode"]


def write_encode(
    source: Source, encoding: InputEncoding, columns: Sequence[Column], *, fields: bool
) -> None:
    """The function ``encode``.

    Parameters
    ----------
    source : Source
    encoding : InputEncoding
    columns : sequence of Column
        With empty thresholds where no code of theirs is read.
    fields : bool
        Whether they come as the fields of a struct, not as an array.
    """
    plain = all(encoding.tables[column.index] is None for column in columns)
    write = _write_columns if fields or not plain else _write_loop
    write(source, encoding, columns, fields)


def _half(n_thresholds: int) -> int:
    """The largest power of 2 that is at most a number; 0 for 0."""
    return 2 ** int(n_thresholds).bit_length() // 2


def _write_loop(source: Source, encoding: InputEncoding, columns, fields: bool) -> None:
    p, steps, dtype = source.p, encoding.steps, columns[0].dtype
    counts = np.array([len(column.thresholds) // steps for column in columns])
    segments = counts.astype(narrowest(counts, signed=False))
    found = input_thresholds([column.thresholds for column in columns], dtype)
    source.add("/* Codes of each feature, and the thresholds of its values, ascending. */")
    source.table("segments", segments)
    source.table("input_threshold", found.thresholds)
    half = _half(counts.max(initial=0) * steps)
    reached = _reached(source, dtype, found, "x[feature]", f"n_codes * {steps}", half)
    gap = _gaps_of_loop(source, encoding, columns, counts)
    share = source.use("share")
    source.function(
        f"Codes from features.  Those of a feature share its level out, {steps} at most to each.",
        f"void {p}_encode({source.argument}, int8_t *code)",
        [
            f"const {c_type(found.thresholds.dtype)} *threshold = {p}_input_threshold;",
            f"for (int feature = 0; feature < {len(columns)}; feature++) {{",
            f"    const int n_codes = {source.read(segments.dtype, f'{p}_segments + feature')};",
            f"    const int level = {gap}{reached};",
            f"    code = {share}(level, n_codes, {steps}, code);",
            f"    threshold += n_codes * {steps};",
            "}",
        ],
    )


def _reached(source: Source, dtype, found: Comparison, value, n, half, threshold="threshold"):
    """C that gives the number of thresholds that a value reaches."""
    types = {"value": c_type(dtype), "threshold": c_type(found.thresholds.dtype)}
    return f"{source.use(COUNTED[found.operator], **types)}({value}, {threshold}, {n}, {half})"


def _gaps_of_loop(source: Source, encoding: InputEncoding, columns, counts) -> str:
    """C that puts a gap's level first, where that is not the one below all thresholds."""
    levels = np.maximum(encoding.missing_level, 0) * (counts > 0)
    if columns[0].dtype.kind != "f" or not levels.any():
        return ""
    levels = levels.astype(narrowest(levels, signed=False))
    source.table("missing_level", levels)
    is_gap = source.use("is_nan", value=c_type(columns[0].dtype))
    level = source.read(levels.dtype, f"{source.p}_missing_level + feature")
    return f"{is_gap}(x[feature]) ? {level} : "


def _write_columns(source: Source, encoding: InputEncoding, columns, fields: bool) -> None:
    lines = []
    for column in columns:
        value = f"row->{column.name}" if fields else f"x[{column.index}]"
        lines += _column_lines(source, encoding, column, value)
    signature = f"void {source.p}_encode({source.argument}, int8_t *code)"
    unused = [] if lines else [f"(void){source.row};", "(void)code;"]
    source.function("Codes from a row.", signature, unused + lines)


def _column_lines(source: Source, encoding: InputEncoding, column: Column, value: str) -> list[str]:
    """C that writes the codes of one column and moves on behind them."""
    index, table = column.index, encoding.tables[column.index]
    missing = int(encoding.missing_level[index])
    if not column.is_read:
        return []
    if column.categories is not None:
        n = len(column.categories)
        level = f"{source.use('category')}({value}, {n}, {n if missing < 0 else missing})"
        return [_table_line(source, column, table, level)]
    level, gap = _level(source, column, value), _gap(source, column, missing, value)
    median = None if table is None else _median_level(table, encoding)
    if median is not None and gap:
        low, high = code_range(encoding.n_bits)
        n_codes = table.shape[1] - 1
        ramp = _ramp_line(source, encoding, n_codes, f"{gap} ? {median} : {level}")
        return [ramp, f"*code++ = {gap} ? {high} : {low};"]
    level = f"{gap} ? {missing} : {level}" if gap else level
    if table is None:
        return [_ramp_line(source, encoding, encoding.n_segments[index], level)]
    return [_table_line(source, column, table, level)]


def _ramp_line(source: Source, encoding: InputEncoding, n_codes: int, level: str) -> str:
    """C that shares a level out between the codes of a column."""
    return f"code = {source.use('share')}({level}, {n_codes}, {encoding.steps}, code);"


def _level(source: Source, column: Column, value: str) -> str:
    """C that counts the thresholds of one column."""
    if not len(column.thresholds):
        return "0"
    found = input_thresholds([column.thresholds], column.dtype)
    name = f"threshold{column.index}"
    source.table(name, found.thresholds)
    n = len(found.thresholds)
    return _reached(source, column.dtype, found, value, n, _half(n), f"{source.p}_{name}")


def _gap(source: Source, column: Column, missing: int, value: str) -> str:
    """C that tells a gap; empty where a gap has the level of the value that stands for it."""
    if missing < 0 or column.missing is None:
        return ""
    if column.dtype.kind == "f":
        return f"{source.use('is_nan', value=c_type(column.dtype))}({value})"
    is_own = np.sum(column.thresholds <= column.missing_value) != missing
    return f"{value} == {column.missing_value}" if is_own else ""


def _median_level(table: np.ndarray, encoding: InputEncoding) -> int | None:
    """The level whose ramp a gap has, where a table is a ramp with an indicator; else None."""
    low, high = code_range(encoding.n_bits)
    *ramp, gap = table
    n_segments, steps = table.shape[1] - 1, encoding.steps
    if len(ramp) != n_segments * steps + 1:
        return None
    levels = np.arange(len(ramp))[:, None]
    expected = low + np.clip(levels - np.arange(n_segments) * steps, 0, steps)
    is_alike = (expected == gap[:-1]).all(axis=1)
    fits = (np.array(ramp)[:, :-1] == expected).all() and (np.array(ramp)[:, -1] == low).all()
    return int(is_alike.argmax()) if fits and gap[-1] == high and is_alike.any() else None


def _table_line(source: Source, column: Column, table: np.ndarray, level: str) -> str:
    """C that writes the codes of a level that has a row of a table."""
    n_codes, name = table.shape[1], f"codes{column.index}"
    low, high = table.min(initial=0), table.max(initial=0)
    is_high = table == high
    if low < high and (is_high.sum(axis=1) <= 1).all() and ((table == low) | is_high).all():
        place = np.where(is_high.any(axis=1), is_high.argmax(axis=1), n_codes)
        place = place.astype(narrowest(place, signed=False))
        source.table(name, place)
        at = source.read(place.dtype, f"{source.p}_{name} + ({level})")
        return f"code = {source.use('one_of')}({at}, {n_codes}, {low}, {high}, code);"
    source.table(name, table)
    row = f"{source.p}_{name} + {n_codes} * ({level})"
    return f"code = {source.use('copy')}({row}, {n_codes}, code);"

"""Codes of the first layer, out of raw values: two ways, one result.

- A code that only rises with its number is a count of reached thresholds.
- Any other code is looked up: in a table with a row for each level of its feature.

All are counted from 0.
"""

from __future__ import annotations

import numpy as np

from ...accumulators import code_range
from ...encoding import InputEncoding
from ._graph import Graph
from ._inputs import Block, Columns, Matrix, gap_mark
from ._operators import bisect, count_reached

__all__ = ["add_codes"]

_REFUSED = 2**30  # a level beyond every table: a lookup with it is an error


def add_codes(
    graph: Graph, encoding: InputEncoding, codes: np.ndarray, rows: Matrix | Columns
) -> tuple[str, np.ndarray]:
    """Add some of the codes of raw rows to a graph.

    Parameters
    ----------
    graph : Graph
    encoding : InputEncoding
    codes : int64 array of shape (n_codes,)
        Which ones.
    rows : Matrix or Columns

    Returns
    -------
    name : str
        Of the codes, uint8 of shape (n_samples, n_codes), counted from 0.
    order : int64 array of shape (n_codes,)
        The same as `codes`, in the order of the columns.
    """
    by_level, features = _by_level(encoding)[:, codes], encoding.feature[codes]
    is_number = np.array([known is None for known in encoding.categories])[features]
    rises = is_number & (by_level[1:] >= by_level[:-1]).all(axis=0)
    blocks = rows.blocks(graph, np.unique(features[is_number])) if is_number.any() else []
    parts, order = [], []
    for block in blocks:
        chosen = np.flatnonzero(rises & np.isin(features, block.features))
        if len(chosen):
            parts.append(_add_rising(graph, encoding, codes[chosen], by_level[:, chosen], block))
            order.append(codes[chosen])
    if not rises.all():
        parts.append(_add_looked_up(graph, encoding, codes[~rises], blocks, rows))
        order.append(codes[~rises])
    whole = graph.add("Concat", *parts, axis=0) if len(parts) > 1 else parts[0]
    return graph.add("Transpose", whole), np.concatenate(order)


def _by_level(encoding: InputEncoding) -> np.ndarray:
    """All codes at each level that thresholds lead to: int8 of shape (n_levels, n_in)."""
    last = np.isfinite(encoding.thresholds).sum(axis=1)
    levels = np.arange(encoding.thresholds.shape[1] + 1)[:, None]
    return encoding.codes(np.minimum(levels, last))


def _add_rising(graph: Graph, encoding, codes: np.ndarray, by_level, block: Block) -> str:
    """Codes that only rise, uint8 of shape (n_codes, n_samples)."""
    place = np.searchsorted(block.features, encoding.feature[codes])
    low, high = code_range(encoding.n_bits)
    steps = np.array([(by_level < code).sum(axis=0) for code in range(low + 1, high + 1)])
    begins = np.pad(block.thresholds, ((0, 0), (1, 1)), constant_values=(-np.inf, np.inf))
    thresholds, at_gap = begins[place, steps], _at_gap(encoding, codes)
    # Where a number has the codes of a gap, it costs less to put that number there.
    levels = np.maximum(encoding.missing_level, 0)[block.features]
    number = begins[np.arange(len(begins)), levels]
    stands_for_gap = ((number[place] >= thresholds).sum(axis=0) == at_gap).all()
    values = block.values
    if at_gap.any() and stands_for_gap:
        is_gap = graph.add("IsNaN", values)
        values = graph.add("Where", is_gap, number[:, None], values)
    values = graph.add("Gather", values, place, axis=0)
    count = count_reached(graph, values, thresholds[:, :, None])
    if not at_gap.any() or stands_for_gap:  # no threshold is what NaN reaches
        return count
    is_gap = graph.add("Gather", graph.add("IsNaN", block.values), place, axis=0)
    return graph.add("Where", is_gap, at_gap[:, None], count)


def _at_gap(encoding: InputEncoding, codes: np.ndarray) -> np.ndarray:
    """Codes at a gap, counted from 0, uint8; 0 where gaps are refused."""
    levels = np.maximum(encoding.missing_level, 0)[None]
    counted = encoding.codes(levels)[0, codes].astype(np.int64) - code_range(encoding.n_bits)[0]
    refused = encoding.missing_level[encoding.feature[codes]] < 0
    return np.where(refused, 0, counted).astype(np.uint8)


def _add_looked_up(graph: Graph, encoding, codes: np.ndarray, blocks, rows) -> str:
    """Codes out of tables, uint8 of shape (n_codes, n_samples)."""
    parts, order, needed = [], [], np.unique(encoding.feature[codes])
    categorical = [f for f in needed.tolist() if encoding.categories[f] is not None]
    numbers = np.setdiff1d(needed, categorical)
    for block in blocks:
        chosen = np.intersect1d(numbers, block.features)
        if len(chosen):
            parts.append(_add_levels(graph, encoding, chosen, block))
            order += chosen.tolist()
    for feature in categorical:
        level = _add_level(graph, encoding, feature, rows.column(graph, feature))
        parts.append(graph.add("Transpose", level))
        order.append(feature)
    levels = graph.add("Concat", *parts, axis=0) if len(parts) > 1 else parts[0]
    place = np.argsort(order)[np.searchsorted(needed, encoding.feature[codes])]
    columns = [_column(encoding, code) for code in codes]
    sizes = np.array([len(column) for column in columns])
    first = (np.cumsum(sizes) - sizes).astype(np.int32)
    index = graph.add("Add", graph.add("Gather", levels, place, axis=0), first[:, None])
    return graph.add("Gather", np.concatenate(columns), index)


def _column(encoding: InputEncoding, code: int) -> np.ndarray:
    """One code at every level of its feature, counted from 0, uint8."""
    feature = encoding.feature[code]
    table = encoding.tables[feature][:, code - np.searchsorted(encoding.feature, feature)]
    return (table.astype(np.int64) - code_range(encoding.n_bits)[0]).astype(np.uint8)


def _add_levels(graph: Graph, encoding, features: np.ndarray, block: Block) -> str:
    """Levels of numbers, int32 of shape (n_features, n_samples)."""
    place = np.searchsorted(block.features, features)
    values = graph.add("Gather", block.values, place, axis=0)
    thresholds = block.thresholds[place]
    n_thresholds = 2 ** thresholds.shape[1].bit_length() - 1
    room = ((0, 0), (0, n_thresholds - thresholds.shape[1]))
    thresholds = np.pad(thresholds, room, constant_values=np.inf)
    level = bisect(graph, values, thresholds.T[:, :, None])
    gap = np.array([_gap_level(encoding, feature) for feature in features], dtype=np.int32)
    return graph.add("Where", graph.add("IsNaN", values), gap[:, None], level)


def _add_level(graph: Graph, encoding, feature: int, values: str) -> str:
    """Levels of categories, int32 of shape (n_samples, 1)."""
    known = encoding.categories[feature]
    gap = _gap_level(encoding, feature)
    other = len(known) if encoding.takes_others[feature] else _REFUSED
    if known.dtype.kind == "U":
        keys, levels = [*known.tolist(), gap_mark(known)], [*range(len(known)), gap]
        table = {"keys_strings": keys, "values_int64s": levels, "default_int64": other}
        level = graph.add("LabelEncoder", values, domain="ai.onnx.ml", **table)
        return graph.add("Cast", level, to=np.dtype(np.int32))
    same = graph.add("Equal", values, known.astype(np.float64))
    # A number is equal to itself, so that the first equality is found there where no other is.
    every = graph.add("Concat", same, graph.add("Equal", values, values), axis=1)
    every = graph.add("Cast", every, to=np.dtype(np.int32))
    place = graph.add("ArgMax", every, axis=1, keepdims=1)
    level = graph.add("Gather", np.append(np.arange(len(known)), other).astype(np.int32), place)
    return graph.add("Where", graph.add("IsNaN", values), np.int32(gap), level)


def _gap_level(encoding: InputEncoding, feature: int) -> int:
    gap = int(encoding.missing_level[feature])
    return _REFUSED if gap < 0 else gap

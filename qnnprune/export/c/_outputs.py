"""The C functions of an output layer: what is predicted from its integer sums.

They compile as those of the layers do.  Only what `write_decision` and `write_regress` add
computes with floating-point numbers.
"""

from __future__ import annotations

import numpy as np

from ...integer._outcome import LOG_RANGE
from ._argmax import LinearScores, RankScores
from ._fixed import FixedPoint
from ._layers import COutputLayer
from ._source import Source, c_type
from ._tables import narrowest

__all__ = [
    "write_classify",
    "write_decision",
    "write_fixed",
    "write_label_bits",
    "write_regress",
]


def _totals(source: Source, output: COutputLayer) -> tuple[list[str], str]:
    """C that adds up the sums of each value, and the name of the result: totals, or sums."""
    if output.n_sums == 1:
        return [], "sum"
    n, add_up = output.n_values, source.use("add_up")
    lines = [f"{source.p}_total_t total[{n}];", f"{add_up}(sum, {output.n_sums}, {n}, total);"]
    return lines, "total"


def write_classify(source: Source, scores: LinearScores | RankScores, output: COutputLayer) -> None:
    """The index of the class with the highest score, and the tables that scores come from."""
    p, (added_up, total) = source.p, _totals(source, output)
    write = _write_linear if isinstance(scores, LinearScores) else _write_ranks
    best = write(source, scores, output.n_values, total)
    source.function(
        f"The predicted class: an index of {p}_label.",
        f"int {p}_predict({source.argument})",
        [
            f"{p}_sum_t sum[{output.shape[0]}];",
            f"{p}_raw({source.row}, sum);",
            *added_up,
            f"return {best};",
        ],
        public=True,
    )


def write_label_bits(source: Source, scores: LinearScores, output: COutputLayer) -> None:
    """Whether each label applies, and the tables that say so."""
    p, (added_up, total) = source.p, _totals(source, output)
    comment = f"Scores of the labels, checked for every {total}: positive where the logits are."
    score = _score_tables(source, scores, comment, total)
    source.function(
        f"1 for every label that is predicted, and 0 for others, {source.macro}_N_LABELS of them.",
        f"void {p}_predict({source.argument}, uint8_t *label)",
        [
            f"{p}_sum_t sum[{output.shape[0]}];",
            f"{p}_raw({source.row}, sum);",
            *added_up,
            f"for (int k = 0; k < {output.n_values}; k++)",
            f"    label[k] = {score}({total}[k], {p}_multiplier + k, {p}_offset + k) > 0;",
        ],
        public=True,
    )


def _score_tables(source: Source, scores: LinearScores, comment: str, total: str) -> str:
    """Tables of affine scores; the C function that reads them."""
    p, dtype = source.p, np.dtype({15: "int16", 31: "int32", 62: "int64"}[scores.n_bits])
    source.add(f"/* {comment} */")
    source.add(f"typedef {c_type(dtype)} {p}_score_t;")
    source.table("multiplier", scores.multiplier.astype(dtype))
    source.table("offset", scores.offset.astype(dtype))
    return source.use("score", total=f"{p}_{total}_t")


def _write_linear(source: Source, scores: LinearScores, n: int, total: str) -> str:
    """Tables of affine scores; C that gives the class of so many totals."""
    p = source.p
    score = _score_tables(
        source,
        scores,
        f"Scores of the classes, checked for every two classes at any two {total}s: they compare\n"
        f" * as the logits {total} * scale + bias do in float64.",
        total,
    )
    if n == 1:
        return f"{score}({total}[0], {p}_multiplier, {p}_offset) > 0"
    best = source.use("best", total=f"{p}_{total}_t")
    return f"{best}({total}, {n}, {p}_multiplier, {p}_offset)"


def _write_ranks(source: Source, scores: RankScores, n: int, total: str) -> str:
    """Tables of ranks; C that gives the class of so many totals."""
    p, dtype = source.p, narrowest(scores.rank, signed=False)
    start = scores.start.astype(narrowest(scores.start))
    source.add(
        f"/* Ranks of the classes' {total}s: the places of the logits {total} * scale + bias among\n"
        " * all that can occur. */"
    )
    source.add(f"typedef {c_type(dtype)} {p}_score_t;")
    source.table("start", start)
    source.table("rank", scores.rank.astype(dtype))
    best = source.use("best_rank", start=c_type(start.dtype), total=f"{p}_{total}_t")
    return f"{best}({total}, {n}, {p}_start, {p}_rank)"


def write_decision(
    source: Source, scale: np.ndarray, bias: np.ndarray, output: COutputLayer
) -> None:
    """The affine map of the sums, or of their totals, in float64."""
    p, (added_up, total) = source.p, _totals(source, output)
    affine = source.use("affine", total=f"{p}_{total}_t")
    source.table("scale", scale, counted=False)
    source.table("bias", bias, counted=False)
    several = f",\n * where total adds up the {output.n_sums} sums of a value"
    source.function(
        f"The output layer's values, {total} * scale + bias{several if added_up else ''}.",
        f"void {p}_decision(const {p}_sum_t *sum, double *value)",
        [*added_up, f"{affine}({total}, {len(scale)}, {p}_scale, {p}_bias, value);"],
        public=True,
    )


def write_fixed(source: Source, fixed: FixedPoint, output: COutputLayer, outcome: str) -> None:
    """The predicted values in fixed point, by integers alone."""
    p, (added_up, total) = source.p, _totals(source, output)
    value = c_type(fixed.multiplier.dtype)
    source.table("multiplier", fixed.multiplier)
    source.table("offset", fixed.offset)
    map_of = f"({total}, {output.n_values}, {p}_multiplier, {p}_offset, value);"
    lines = [f"{p}_sum_t sum[{output.shape[0]}];", f"{p}_raw({source.row}, sum);", *added_up]
    lines.append(source.use("fixed", total=f"{p}_{total}_t", score=value) + map_of)
    lines += _finished(source, outcome, output.n_values, value)
    comment = fixed.comment(source.macro) + _ORDER.get(outcome, "")
    _write_values(source, comment, f"{p}_predict_fixed", value, lines, output.n_values)


def write_regress(source: Source, output: COutputLayer, outcome: str) -> None:
    """The predicted value, returned, or several of them, written."""
    p, n = source.p, output.n_values
    if outcome == "log":
        source.add("#include <math.h>\n")
    lines = [f"{p}_sum_t sum[{output.shape[0]}];"]
    lines += [f"{p}_raw({source.row}, sum);", f"{p}_decision(sum, value);"]
    lines += _finished(source, outcome, n, "double")
    comment = "The predicted value of every target" + _OF.get(outcome, "") + "."
    _write_values(source, comment + _ORDER.get(outcome, ""), f"{p}_predict", "double", lines, n)


_OF = {"log": ", the exponential of that of the output layer", "quantiles": "'s quantile"}
_ORDER = {"quantiles": "\n * They are in ascending order."}


def _finished(source: Source, outcome: str, n: int, value: str) -> list[str]:
    """C that makes predictions of the values of the output layer."""
    if outcome == "quantiles":
        return [f"{source.use('ascending', value=value)}(value, {n});"]
    if outcome == "log":
        low, high = LOG_RANGE
        inside = f"value[k] < {low} ? {low} : value[k] > {high} ? {high} : value[k]"
        return [f"for (int k = 0; k < {n}; k++)", f"    value[k] = exp({inside});"]
    return []


def _write_values(source: Source, comment: str, name: str, kind: str, lines, n: int) -> None:
    """A function that returns one value, or writes several."""
    signature = f"void {name}({source.argument}, {kind} *value)"
    if n == 1:
        signature = f"{kind} {name}({source.argument})"
        lines = [lines[0], f"{kind} value[1];", *lines[1:], "return value[0];"]
    source.function(comment, signature, lines, public=True)

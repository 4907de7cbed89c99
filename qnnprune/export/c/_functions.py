"""The C functions of an integer network: each is a few calls of the runtime, and its tables.

They compile without warnings, of conversions included, as C99 and as C++11, and touch
neither floats (but for features and what `write_decision` adds) nor the heap.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ._argmax import LinearScores, RankScores
from ._fixed import FixedPoint
from ._layers import CHiddenLayer, CLayer, COutputLayer, buffer_sizes
from ._source import Source, c_type
from ._tables import narrowest

__all__ = [
    "COUNTED",
    "write_classify",
    "write_decision",
    "write_fixed",
    "write_layers",
    "write_raw",
    "write_regress",
]

COUNTED = {">=": "reached", ">": "exceeded"}  # thresholds, by how a value compares with them


def write_layers(source: Source, layers: Sequence[CLayer], *, unroll: bool) -> None:
    """All layers, in the runtime with or without loops that add four codes at a time."""
    if any(layer.weight.layout == "index" for layer in layers):
        comment = "/* whether to add four codes at a time: fewer steps, more code */"
        source.add(f"#define {source.macro}_UNROLL {int(unroll)} {comment}")
    for index, layer in enumerate(layers):
        _write_layer(source, index, layer)


def _write_layer(source: Source, index: int, layer: CLayer) -> None:
    """One layer: sums of codes, then thresholds unless it is the last."""
    (n_out, n_in), (low, high) = layer.shape, layer.sum_range
    is_hidden, name = isinstance(layer, CHiddenLayer), f"{source.p}_layer{index}"
    out_type = "int8_t" if is_hidden else c_type(layer.sum_type)
    total, finish = _sum(source, layer), _finish(source, layer)
    source.add(f"""
/* Layer {index}: {n_in} codes to {n_out} {"codes" if is_hidden else "sums"}, \
{layer.n_kept} of {n_in * n_out} weights.
 * Proven: every sum, and every part of one, lies within {low}..{high}. */""")
    pointers = []
    for table, values in layer.tables.items():
        source.table(f"layer{index}_{table}", values)
        pointers.append(f"const {c_type(values.dtype)} *{table} = {name}_{table};")
    loop = [f"for (int neuron = 0; neuron < {n_out}; neuron++) {{", total, *finish, "}"]
    signature = f"void {name}(const int8_t *code, {out_type} *out)"
    source.function("", signature, pointers + loop)


def _sum(source: Source, layer: CLayer) -> str:
    """C that adds up one neuron's weights."""
    tables = layer.tables
    types = {"acc": c_type(layer.sum_type), "count": c_type(layer.weight.count.dtype)}
    function, sizes = _adder(layer)
    lists = [
        f"&{name}" for name in tables if name in ("count", "index", "step", "weight", "packed")
    ]
    start = source.read(layer.sum_type, "start++") if "start" in tables else "0"
    arguments = ", ".join([start, "code", *map(str, sizes), *lists])
    return f"    const {types['acc']} sum = {source.use(function, **types)}({arguments});"


def _adder(layer: CLayer) -> tuple[str, list[int]]:
    """The runtime's function for a layout, and the sizes that it is told."""
    weight = layer.weight
    if weight.layout == "digit":
        return "digits", [layer.shape[1]]
    if weight.layout == "value":
        return "products", [weight.count.shape[1]]
    n_magnitudes, *n_pages = weight.count.shape[1:-1]
    if n_magnitudes == 1:
        return {"index": "signs", "step": "walk"}[weight.layout], n_pages
    function = {"index": "magnitudes", "step": "walks"}[weight.layout]
    return function, [*n_pages, n_magnitudes]


def _finish(source: Source, layer: CLayer) -> list[str]:
    """C that makes of a sum what the layer puts out."""
    if not isinstance(layer, CHiddenLayer):
        return ["    *out++ = sum;"]
    found = layer.thresholds
    types = {"acc": c_type(layer.sum_type), "threshold": c_type(found.thresholds.dtype)}
    n_thresholds = found.thresholds.shape[1]
    if n_thresholds == 1:  # a code of 1 bit is a comparison
        threshold = source.read(found.thresholds.dtype, "threshold++")
        return [f"    *out++ = (int8_t)((sum {found.operator} {threshold}) - 1);"]
    half, counted = (n_thresholds + 1) // 2, source.use(f"sum_{COUNTED[found.operator]}", **types)
    return [
        f"    *out++ = (int8_t)({counted}(sum, threshold, {half}) - {half});",
        f"    threshold += {n_thresholds};",
    ]


def write_raw(source: Source, layers: Sequence[CLayer], *, encodes: bool) -> None:
    """All layers, up to the sums of the last."""
    p, buffers, output = source.p, ["even", "odd"], layers[-1]
    lines = [f"{p}_encode({source.row}, even);"] if encodes else []
    code = "even" if encodes else "x"
    for index, layer in enumerate(layers):
        if layer.is_spaced:
            lines.append(f"{source.use('space')}({code}, {layer.shape[1]}, {buffers[index % 2]});")
            code = buffers[index % 2]
        out = "sum" if index == len(layers) - 1 else buffers[(index + 1) % 2]
        lines.append(f"{p}_layer{index}({code}, {out});")
        code = out
    source.function(
        f"The integer sums of the output layer, {source.macro}_N_SUMS of them{_order(source, output)}.",
        f"void {p}_raw({source.argument}, {p}_sum_t *sum)",
        _buffers(layers, encodes) + lines,
        public=True,
    )


def _buffers(layers: Sequence[CLayer], encodes: bool) -> list[str]:
    sizes = buffer_sizes(layers, encodes=encodes)
    lines = []
    for name, size, users in zip(("even", "odd"), sizes, (layers[::2], layers[1::2]), strict=True):
        # Compilers take a buffer that nothing fills, as nothing is read, for a mistake.
        initial = "" if all(layer.shape[1] for layer in users) else " = {0}"
        lines += [f"int8_t {name}[{size}]{initial};"] if size else []
    return lines


def _order(source: Source, output: COutputLayer) -> str:
    """What a comment says of the order of several sums of one value."""
    n = f"{source.macro}_N_VALUES"
    return f":\n * sum s of value k is number s * {n} + k" if output.n_sums > 1 else ""


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


def _write_linear(source: Source, scores: LinearScores, n: int, total: str) -> str:
    """Tables of affine scores; C that gives the class of so many totals."""
    p, dtype = source.p, np.dtype({15: "int16", 31: "int32", 62: "int64"}[scores.n_bits])
    source.add(
        f"/* Scores of the classes, checked for every two classes at any two {total}s: they compare\n"
        f" * as the logits {total} * scale + bias do in float64. */"
    )
    source.add(f"typedef {c_type(dtype)} {p}_score_t;")
    source.table("multiplier", scores.multiplier.astype(dtype))
    source.table("offset", scores.offset.astype(dtype))
    types = {"total": f"{p}_{total}_t"}
    if n == 1:
        score = source.use("score", **types)
        return f"{score}({total}[0], {p}_multiplier, {p}_offset) > 0"
    return f"{source.use('best', **types)}({total}, {n}, {p}_multiplier, {p}_offset)"


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


def write_fixed(source: Source, fixed: FixedPoint, output: COutputLayer) -> None:
    """The predicted values in fixed point, by integers alone."""
    p, (added_up, total) = source.p, _totals(source, output)
    value = c_type(fixed.multiplier.dtype)
    source.table("multiplier", fixed.multiplier)
    source.table("offset", fixed.offset)
    lines = [f"{p}_sum_t sum[{output.shape[0]}];", f"{p}_raw({source.row}, sum);", *added_up]
    map_of = f"({total}, {output.n_values}, {p}_multiplier, {p}_offset, value);"
    lines.append(source.use("fixed", total=f"{p}_{total}_t", score=value) + map_of)
    signature = f"void {p}_predict_fixed({source.argument}, {value} *value)"
    if output.n_values == 1:
        signature = f"{value} {p}_predict_fixed({source.argument})"
        lines = [lines[0], f"{value} value[1];", *lines[1:], "return value[0];"]
    source.function(fixed.comment(source.macro), signature, lines, public=True)


def write_regress(source: Source, output: COutputLayer) -> None:
    """The predicted value, returned, or several of them, written."""
    p = source.p
    signature = f"void {p}_predict({source.argument}, double *value)"
    lines = [f"{p}_sum_t sum[{output.shape[0]}];"]
    lines += [f"{p}_raw({source.row}, sum);", f"{p}_decision(sum, value);"]
    if output.n_values == 1:
        signature = f"double {p}_predict({source.argument})"
        lines = [lines[0], "double value[1];", *lines[1:], "return value[0];"]
    source.function("The predicted value of every target.", signature, lines, public=True)

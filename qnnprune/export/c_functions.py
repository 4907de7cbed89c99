"""The C functions of an integer network: each appends one, with its tables, to a `Source`.

They compile without warnings, of conversions included, as C99 and as C++11, and touch
neither floats (but for features and what `write_decision` adds) nor the heap.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import indent

import numpy as np

from .argmax import LinearScores, RankScores
from .c_source import Source, c_type
from .c_tables import PAGE, Comparison, SparseWeight

__all__ = [
    "Layer",
    "buffer_sizes",
    "write_classify",
    "write_decision",
    "write_encode",
    "write_layer",
    "write_raw",
    "write_regress",
    "write_scores",
]


@dataclass(frozen=True)
class Layer:
    """One layer as C runs it.

    Attributes
    ----------
    shape : tuple of int
        (neurons, inputs).
    weight : SparseWeight
    sum_range : tuple of int
        What every sum, and every part of one, lies within, inclusive: the proof.
    sum_type : numpy dtype
    thresholds : Comparison or None
        With shape (neurons, 2**n_bits - 1); None on the output layer.
    """

    shape: tuple[int, int]
    weight: SparseWeight
    sum_range: tuple[int, int]
    sum_type: np.dtype
    thresholds: Comparison | None

    @property
    def tables(self) -> dict[str, np.ndarray]:
        """The layer's tables, by the names that C gives them."""
        tables = {"count": self.weight.count, "index": self.weight.index}
        if self.weight.value is not None:
            tables["weight"] = self.weight.value
        if self.thresholds is not None:
            tables["threshold"] = self.thresholds.thresholds
        return tables


def write_encode(
    source: Source, n_segments: np.ndarray, n_bits: int, thresholds: Comparison
) -> None:
    """Features to codes."""
    p, steps = source.p, 2**n_bits - 1
    source.add("/* Codes of each feature, and the thresholds of its values, ascending. */")
    source.table("segments", n_segments)
    source.table("input_threshold", thresholds.thresholds)
    source.add(f"""
/* Codes from features.  A feature's level is the number of its thresholds that it reaches,
 * found by bisection.  Its codes share the level out, in order, {steps} at most to each. */
static inline void {p}_encode(const {p}_input_t *x, int8_t *code)
{{
    const {c_type(thresholds.thresholds.dtype)} *threshold = {p}_input_threshold;
    for (int feature = 0; feature < {len(n_segments)}; feature++) {{
        const int n_thresholds = {p}_segments[feature] * {steps};
        int level = 0;
        int open = n_thresholds;
        while (open > 0) {{
            const int half = open / 2;
            if (x[feature] {thresholds.operator} threshold[level + half]) {{
                level += half + 1;
                open -= half + 1;
            }} else {{
                open = half;
            }}
        }}
        for (int segment = 0; segment < {p}_segments[feature]; segment++) {{
            const int share = level < {steps} ? level : {steps};
            *code++ = (int8_t)(share - {2 ** (n_bits - 1)});
            level -= share;
        }}
        threshold += n_thresholds;
    }}
}}""")


def write_layer(source: Source, index: int, layer: Layer) -> None:
    """One layer: sums of codes, then thresholds unless it is the last."""
    p, (n_out, n_in), (low, high) = source.p, layer.shape, layer.sum_range
    is_hidden, sum_type = layer.thresholds is not None, c_type(layer.sum_type)
    source.add(f"""
/* Layer {index}: {n_in} codes to {n_out} {"codes" if is_hidden else "sums"}, \
{len(layer.weight.index)} of {n_in * n_out} weights.
 * Proven: every sum, and every part of one, lies within {low}..{high}. */""")
    pointers = []
    for name, values in layer.tables.items():
        source.table(f"layer{index}_{name}", values)
        pointers.append(f"    const {c_type(values.dtype)} *{name} = {p}_layer{index}_{name};")
    finish = _requantize(layer.thresholds) if is_hidden else "*out++ = sum;"
    source.add(f"""
static inline void {p}_layer{index}(const int8_t *code, {"int8_t" if is_hidden else sum_type} *out)
{{
{chr(10).join(pointers)}
    for (int neuron = 0; neuron < {n_out}; neuron++) {{
        {sum_type} sum = 0;
{indent(_accumulate(layer), " " * 8)}
{indent(finish, " " * 8)}
    }}
}}""")


def _accumulate(layer: Layer) -> str:
    """C that adds up one neuron's runs of weights, in the order of `SparseWeight`."""
    sum_type, count = c_type(layer.sum_type), layer.weight.count
    n_pages, largest = (count.shape[1], 1) if count.ndim == 2 else (count.shape[2], count.shape[1])
    code = "page" if n_pages > 1 else "code"
    total = "part" if largest > 1 else "sum"
    terms = [f"{total} + {code}[*index++]", f"{total} - {code}[*index++]"]
    if layer.weight.value is not None:
        terms = [f"sum + *weight++ * {code}[*index++]"]
    body = "\n".join(
        f"for (unsigned n = *count++; n > 0; n--) {total} = ({sum_type})({term});" for term in terms
    )
    if n_pages > 1:
        body = _loop(
            f"int first = 0; first < {layer.shape[1]}; first += {PAGE}",
            f"const int8_t *page = code + first;\n{body}",
        )
    if largest > 1:
        body = _loop(
            f"int magnitude = 1; magnitude <= {largest}; magnitude++",
            f"{sum_type} part = 0;\n{body}\nsum = ({sum_type})(sum + magnitude * part);",
        )
    return body


def _loop(header: str, body: str) -> str:
    return f"for ({header}) {{\n{indent(body, ' ' * 4)}\n}}"


def _requantize(thresholds: Comparison) -> str:
    """C that counts the thresholds that a sum reaches, by bisection: they are 2**n - 1."""
    n_thresholds = thresholds.thresholds.shape[1]
    lines, step = ["int level = 0;"], (n_thresholds + 1) // 2
    while step:
        place = f"level + {step - 1}" if step > 1 else "level"
        lines.append(f"if (sum {thresholds.operator} threshold[{place}]) level += {step};")
        step //= 2
    lines.append(f"threshold += {n_thresholds};")
    lines.append(f"*out++ = (int8_t)(level - {(n_thresholds + 1) // 2});")
    return "\n".join(lines)


def buffer_sizes(sizes: list[int], *, encodes: bool) -> list[int]:
    """Bytes of the two buffers of codes that the layers take turns with; 0 for one not needed.

    Parameters
    ----------
    sizes : list of int
        Codes that each layer takes.
    encodes : bool
        False where the first layer takes its codes from the caller.
    """
    own = [max(1, size) for size in sizes]  # C has no empty arrays
    own[0] *= encodes
    return [max(own[::2]), max(own[1::2], default=0)]


def write_raw(source: Source, sizes: list[int], *, encodes: bool) -> None:
    """All layers, up to the sums of the last."""
    p, buffers, lines = source.p, ["even", "odd"], []
    for start, size in enumerate(buffer_sizes(sizes, encodes=encodes)):
        # Compilers take a buffer that nothing fills, as nothing is read, for a mistake.
        initial = " = {0}" if 0 in sizes[start::2] else ""
        lines += [f"int8_t {buffers[start]}[{size}]{initial};"] if size else []
    lines += [f"{p}_encode(x, even);"] if encodes else []
    places = ["even" if encodes else "x", *(buffers[i % 2] for i in range(1, len(sizes))), "sum"]
    for index, (code, out) in enumerate(zip(places, places[1:], strict=False)):
        lines.append(f"{p}_layer{index}({code}, {out});")
    source.add(f"""
/* The integer sums of the output layer, {p.upper()}_N_SUMS of them. */
static inline void {p}_raw(const {p}_input_t *x, {p}_sum_t *sum)
{{
{indent(chr(10).join(lines), " " * 4)}
}}""")


def write_scores(source: Source, scores: LinearScores | RankScores) -> None:
    """What compares the classes, in integers."""
    p = source.p
    if isinstance(scores, LinearScores):
        dtype = np.dtype({15: "int16", 31: "int32", 62: "int64"}[scores.n_bits])
        comment = "they compare as the\n * logits sum * scale + bias do in float64"
        tables = {
            "multiplier": scores.multiplier.astype(dtype),
            "offset": scores.offset.astype(dtype),
        }
        value = f"({c_type(dtype)})sum * {p}_multiplier[output] + {p}_offset[output]"
    else:
        dtype = scores.rank.dtype
        comment = "the places of the\n * logits sum * scale + bias among all that can occur"
        tables = {"start": scores.start, "rank": scores.rank}
        value = f"{p}_rank[{p}_start[output] + sum]"
    source.add(
        f"/* Scores of the classes, checked for every two classes at any two sums: {comment}. */"
    )
    for name, values in tables.items():
        source.table(name, values)
    source.add(f"""
typedef {c_type(dtype)} {p}_score_t;

static inline {p}_score_t {p}_score(int output, {p}_sum_t sum)
{{
    return ({p}_score_t)({value});
}}""")


def write_classify(source: Source, n_sums: int) -> None:
    """The index of the class with the highest score."""
    p = source.p
    decide = f"    return {p}_score(0, sum[0]) > 0;"
    if n_sums > 1:
        decide = f"""\
    {p}_score_t highest = {p}_score(0, sum[0]);
    int best = 0;
    for (int output = 1; output < {n_sums}; output++) {{
        const {p}_score_t score = {p}_score(output, sum[output]);
        if (score > highest) {{
            highest = score;
            best = output;
        }}
    }}
    return best;"""
    source.add(f"""
/* The predicted class: an index of {p}_label. */
static inline int {p}_predict(const {p}_input_t *x)
{{
    {p}_sum_t sum[{n_sums}];
    {p}_raw(x, sum);
{decide}
}}""")


def write_decision(source: Source, scale: np.ndarray, bias: np.ndarray) -> None:
    """The affine map of the sums, in float64."""
    p = source.p
    source.table("scale", scale, counted=False)
    source.table("bias", bias, counted=False)
    source.add(f"""
/* The output layer's values, sum * scale + bias. */
static inline void {p}_decision(const {p}_sum_t *sum, double *value)
{{
    for (int output = 0; output < {len(scale)}; output++) {{
        const volatile double product = sum[output] * {p}_scale[output]; /* rounded by itself */
        value[output] = product + {p}_bias[output];
    }}
}}""")


def write_regress(source: Source, n_sums: int) -> None:
    """The predicted value, returned, or several of them, written."""
    p = source.p
    signature, begin, end = f"void {p}_predict(const {p}_input_t *x, double *value)", "", ""
    if n_sums == 1:
        signature = f"double {p}_predict(const {p}_input_t *x)"
        begin, end = "\n    double value[1];", "\n    return value[0];"
    source.add(f"""
/* The predicted value of every target. */
static inline {signature}
{{
    {p}_sum_t sum[{n_sums}];{begin}
    {p}_raw(x, sum);
    {p}_decision(sum, value);{end}
}}""")

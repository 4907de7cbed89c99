"""The C functions of an integer network: each appends one, with its tables, to a `Source`.

They compile without warnings, of conversions included, as C99 and as C++11, and touch
neither floats (but for features and what `write_decision` adds) nor the heap.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import indent

import numpy as np

from ._argmax import LinearScores, RankScores
from ._source import Source, c_type
from ._tables import PAGE, SPACING, Comparison, SparseWeight, narrowest, spaced_size

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


_EACH = "for (unsigned n = *count++; n > 0; n--)"


@dataclass(frozen=True)
class Layer:
    """One layer as C runs it.

    Attributes
    ----------
    shape : tuple of int
        (neurons, inputs).
    n_kept : int
        Weights that are not 0.
    weight : SparseWeight
    sum_range : tuple of int
        What every sum, and every part of one, lies within, inclusive: the proof.
    sum_type : numpy dtype
    unroll : bool
        Whether to add four at a time where lists are of indexes.
    thresholds : Comparison or None
        With shape (neurons, 2**n_bits - 1); None on the output layer.
    start : int64 array of shape (neurons,), or None
        What sums begin with, where that is not 0.
    """

    shape: tuple[int, int]
    n_kept: int
    weight: SparseWeight
    sum_range: tuple[int, int]
    sum_type: np.dtype
    unroll: bool
    thresholds: Comparison | None = None
    start: np.ndarray | None = None

    @property
    def n_cells(self) -> int:
        """Bytes of the codes that come in, as the layer reads them."""
        n_in = self.shape[1]
        return spaced_size(n_in) if self.weight.layout == "step" else n_in

    @property
    def tables(self) -> dict[str, np.ndarray]:
        """The layer's tables, by the names that C gives them."""
        place = "step" if self.weight.layout == "step" else "index"
        tables = {"count": self.weight.count, place: self.weight.place}
        if self.weight.value is not None:
            tables["weight"] = self.weight.value
        if self.thresholds is not None:
            tables["threshold"] = self.thresholds.thresholds
        if self.start is not None:
            tables["start"] = self.start.astype(self.sum_type)
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
{layer.n_kept} of {n_in * n_out} weights.
 * Proven: every sum, and every part of one, lies within {low}..{high}. */""")
    pointers = []
    for name, values in layer.tables.items():
        source.table(f"layer{index}_{name}", values)
        pointers.append(f"    const {c_type(values.dtype)} *{name} = {p}_layer{index}_{name};")
    if layer.weight.layout == "step":
        pointers.append("    const int8_t *at;")
    if layer.weight.layout == "index" and layer.unroll:
        pointers.append("    unsigned n;")
    finish = _requantize(layer.thresholds) if is_hidden else "*out++ = sum;"
    source.add(f"""
static inline void {p}_layer{index}(const int8_t *code, {"int8_t" if is_hidden else sum_type} *out)
{{
{chr(10).join(pointers)}
    for (int neuron = 0; neuron < {n_out}; neuron++) {{
        {sum_type} sum = {"0" if layer.start is None else "*start++"};
{indent(_accumulate(layer), " " * 8)}
{indent(finish, " " * 8)}
    }}
}}""")


def _accumulate(layer: Layer) -> str:
    """C that adds up one neuron's lists of weights, in the order of `SparseWeight`."""
    sum_type, layout, count = c_type(layer.sum_type), layer.weight.layout, layer.weight.count
    if layout == "value":
        term = f"{_EACH} sum = ({sum_type})(sum + *weight++ * {{code}}[*index++]);"
        return _over_pages(layer, count.shape[1], [term])
    n_magnitudes = count.shape[1]
    total = "part" if n_magnitudes > 1 else "sum"
    if layout == "step":
        body = "\n".join(_walk(total, sign, sum_type) for sign in "+-")
    else:
        add = _unrolled if layer.unroll else _rolled
        lists = [add(total, sign, sum_type) for sign in "+-"]
        body = _over_pages(layer, count.shape[2], lists)
    if n_magnitudes == 1:
        return body
    return _block(
        f"for (int magnitude = 1; magnitude <= {n_magnitudes}; magnitude++)",
        f"{sum_type} part = 0;\n{body}\nsum = ({sum_type})(sum + magnitude * part);",
    )


def _rolled(total: str, sign: str, sum_type: str) -> str:
    return f"{_EACH} {total} = ({sum_type})({total} {sign} {{code}}[*index++]);"


def _unrolled(total: str, sign: str, sum_type: str) -> str:
    four = " ".join(f"{sign} {{code}}[index[{i}]]" for i in range(4))
    return (
        "n = *count++;\n"
        f"for (; n >= 4; n -= 4, index += 4) {total} = ({sum_type})({total} {four});\n"
        f"for (; n > 0; n--) {total} = ({sum_type})({total} {sign} {{code}}[*index++]);"
    )


def _over_pages(layer: Layer, n_pages: int, lists: list[str]) -> str:
    body = "\n".join(lists).format(code="page" if n_pages > 1 else "code")
    if n_pages == 1:
        return body
    return _block(
        f"for (int first = 0; first < {layer.shape[1]}; first += {PAGE})",
        f"const int8_t *page = code + first;\n{body}",
    )


def _walk(total: str, sign: str, sum_type: str) -> str:
    steps = (
        "const int8_t *first = at + (*step & 15);\n"
        "at = first + (*step++ >> 4);\n"
        f"{total} = ({sum_type})({total} {sign} *first {sign} *at);"
    )
    return f"at = code;\n{_block(_EACH, steps)}"


def _block(header: str, body: str) -> str:
    return f"{header} {{\n{indent(body, ' ' * 4)}\n}}"


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


def buffer_sizes(layers: list[Layer], *, encodes: bool) -> list[int]:
    """Bytes of the two buffers of codes that the layers take turns with; 0 for one not needed.

    Parameters
    ----------
    layers : list of Layer
    encodes : bool
        False where the first layer's codes come from the caller.
    """
    sizes = [max(1, layer.n_cells) for layer in layers]  # C has no empty arrays
    sizes[0] *= encodes or layers[0].weight.layout == "step"
    return [max(sizes[::2]), max(sizes[1::2], default=0)]


def write_raw(source: Source, layers: list[Layer], *, encodes: bool) -> None:
    """All layers, up to the sums of the last."""
    p, buffers = source.p, ["even", "odd"]
    if any(layer.weight.layout == "step" for layer in layers):
        _write_space(source)
    lines = [f"{p}_encode(x, even);"] if encodes else []
    code = "even" if encodes else "x"
    for index, layer in enumerate(layers):
        if layer.weight.layout == "step":
            lines.append(f"{p}_space({code}, {layer.shape[1]}, {buffers[index % 2]});")
            code = buffers[index % 2]
        out = "sum" if index == len(layers) - 1 else buffers[(index + 1) % 2]
        lines.append(f"{p}_layer{index}({code}, {out});")
        code = out
    lines = _buffers(layers, encodes) + lines
    source.add(f"""
/* The integer sums of the output layer, {p.upper()}_N_SUMS of them. */
static inline void {p}_raw(const {p}_input_t *x, {p}_sum_t *sum)
{{
{indent(chr(10).join(lines), " " * 4)}
}}""")


def _buffers(layers: list[Layer], encodes: bool) -> list[str]:
    sizes = buffer_sizes(layers, encodes=encodes)
    lines = []
    for name, size, users in zip(("even", "odd"), sizes, (layers[::2], layers[1::2]), strict=True):
        # Compilers take a buffer that nothing fills, as nothing is read, for a mistake.
        initial = "" if all(layer.shape[1] for layer in users) else " = {0}"
        lines += [f"int8_t {name}[{size}]{initial};"] if size else []
    return lines


def _write_space(source: Source) -> None:
    source.add(f"""
/* Move codes apart, in place if need be: a 0 ahead of every {SPACING}, where steps can rest. */
static inline void {source.p}_space(const int8_t *code, int n, int8_t *spaced)
{{
    int at = n + (n + {SPACING - 1}) / {SPACING};
    while (at-- > 0) spaced[at] = (int8_t)(at % {SPACING + 1} ? code[--n] : 0);
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
        dtype = narrowest(scores.rank, signed=False)
        comment = "the places of the\n * logits sum * scale + bias among all that can occur"
        start = scores.start.astype(narrowest(scores.start))
        tables = {"start": start, "rank": scores.rank.astype(dtype)}
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

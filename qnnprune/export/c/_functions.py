"""The C functions of an integer network's layers: a few calls of the runtime, and their tables.

They compile without warnings, of conversions included, as C99 and as C++11, and touch
neither floats nor the heap.
"""

from __future__ import annotations

from collections.abc import Sequence

from ._layers import CHiddenLayer, CLayer, COutputLayer, buffer_sizes
from ._source import Source, c_type

__all__ = ["COUNTED", "write_layers", "write_raw"]

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

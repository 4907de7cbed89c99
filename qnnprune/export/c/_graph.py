"""An integer graph in C99: one function of loops per operation, and weights shared by all positions.

Every value has the narrowest type that its proven range allows.  Buffers are reused once
nothing reads them any more; they are on the stack, and nothing is allocated.
"""

from __future__ import annotations

from math import prod

import numpy as np

from ..._version import __version__
from ...integer import IntegerGraph
from ...integer._operations import Add, Concat, Flatten, MaxPool, Operation, Sums
from ._source import c_type, macro_prefix
from ._tables import narrowest

__all__ = ["GraphText", "graph_text"]

_LINE = 24  # numbers per line of a table


class GraphText:
    """The header of a graph as it grows.

    Attributes
    ----------
    flash_bytes, ram_bytes : int
        Bytes of tables, and of buffers on the stack.
    """

    def __init__(self, network: IntegerGraph, prefix: str):
        self.network, self.p = network, prefix
        self.parts: list[str] = []
        self.flash_bytes = self.ram_bytes = 0
        self.types = [self._type_of(place) for place in range(len(network.shapes))]

    def _type_of(self, place: int) -> np.dtype:
        """Of the values of a place; that of a sum holds all parts of it too."""
        ranges = self.network.ranges[place]
        if place and isinstance(operation := self.network.operations[place - 1], Sums):
            ranges = _with_parts(operation, self.network.ranges[operation.inputs[0]])
        dtype = narrowest(ranges, signed=True)
        if dtype.itemsize > 4:
            name = self.network.operations[place - 1].name
            raise ValueError(f"Sums of layer '{name}' can leave int32_t: use narrower codes.")
        return dtype

    def table(self, name: str, values: np.ndarray, dtype) -> str:
        """A constant array; return its name."""
        dtype, flat = np.dtype(dtype), np.asarray(values).ravel()
        self.flash_bytes += dtype.itemsize * flat.size
        texts = [_literal(value) for value in flat.astype(dtype).tolist()]
        suffix = "f" if dtype == np.float32 else ""
        texts = [t + suffix if t[-1].isdigit() else t for t in texts]
        lines = [", ".join(texts[i : i + _LINE]) for i in range(0, len(texts), _LINE)]
        body = ",\n    ".join(lines)
        name = f"{self.p}_{name}"
        self.parts.append(
            f"static const {c_type(dtype)} {name}[{flat.size}] = {{\n    {body}\n}};\n"
        )
        return name

    def function(self, name: str, takes: str, lines, comment: str, result: str = "void") -> None:
        """A function, with a comment above it."""
        head = [f"/* {comment} */", f"static inline {result} {self.p}_{name}({takes})", "{"]
        self.parts.append("\n".join([*head, *(f"    {line}" for line in lines), "}", ""]))


def graph_text(network: IntegerGraph, prefix: str) -> GraphText:
    """Tables and functions of a network.

    Parameters
    ----------
    network : IntegerGraph
    prefix : str
        Of all names.

    Returns
    -------
    GraphText
        Its `parts` are the whole header.

    Raises
    ------
    ValueError
        If a sum could leave int32.
    """
    text = GraphText(network, prefix)
    _write_head(text)
    _write_encode(text)
    for place, operation in enumerate(network.operations, start=1):
        _write_operation(text, place, operation)
    _write_raw(text)
    _write_ends(text)
    text.parts.append(f"#endif /* {macro_prefix(prefix)}_H */\n")
    return text


def _with_parts(operation: Sums, ranges: np.ndarray) -> np.ndarray:
    """Range of all partial sums, in any order."""
    parts = operation.matrix.reshape(operation.groups, -1, operation.matrix.shape[1])
    ends = parts[..., None].astype(np.int64) * operation.input_range(ranges)[:, None]
    low, high = np.minimum(ends.min(axis=3), 0).sum(2), np.maximum(ends.max(axis=3), 0).sum(2)
    return np.stack([low.ravel(), high.ravel()], axis=1)


def _literal(value) -> str:
    if isinstance(value, float):
        return "INFINITY" if value == np.inf else f"{value!r}"
    return str(value)


def _write_head(text: GraphText) -> None:
    network, macro = text.network, macro_prefix(text.p)
    sums = [
        f" *   {name}: {int(network.ranges[place][:, 0].min())}.."
        f"{int(network.ranges[place][:, 1].max())} in {c_type(text.types[place])}"
        for name, place in network.sums.items()
    ]
    needs_math = network.input.thresholds is not None and np.isinf(network.input.thresholds).any()
    text.parts += [
        f"/* An integer network, written by qnnprune {__version__}: C99, no malloc.\n *\n"
        " * Sums, proven for every input:\n" + "\n".join(sums) + "\n */",
        f"#ifndef {macro}_H\n#define {macro}_H\n\n#include <stdint.h>",
        "#include <math.h>" if needs_math else "",
        f"#define {macro}_N_INPUTS {prod(network.input.shape)}",
        f"#define {macro}_N_VALUES {prod(network.shapes[-1])}\n",
        f"typedef {c_type(_input_type(network))} {text.p}_input_t;",
        f"typedef {c_type(text.types[-1])} {text.p}_sum_t;\n",
    ]


def _input_type(network: IntegerGraph) -> np.dtype:
    if network.input.thresholds is None:
        return narrowest(network.input.range, signed=True)
    return np.dtype(np.float32)


def _size(shape) -> int:
    """Positions of a channel."""
    return prod(shape[1:])


def _write_steps(text, name, steps, thresholds, kinds, shape, comment) -> None:
    """Codes that count thresholds; channels with equal ones share them."""
    columns = [thresholds, steps.first[:, None], steps.slope[:, None]]
    each = "c"
    if all((column == column[:1]).all() for column in columns):
        columns, each = [column[:1] for column in columns], "0"
    source, target, table = kinds
    n = thresholds.shape[1]
    limits = text.table(f"{name}_t", columns[0], table)
    first = text.table(f"{name}_first", columns[1], np.int16)
    slope = text.table(f"{name}_slope", columns[2], np.int16)
    lines = [
        f"for (int c = 0; c < {shape[0]}; c++)",
        f"    for (int i = 0; i < {_size(shape)}; i++) {{",
        f"        const {c_type(source)} value = x[c * {_size(shape)} + i];",
        "        int n = 0;",
        f"        while (n < {n} && value >= {limits}[{each} * {n} + n]) n++;",
        f"        y[c * {_size(shape)} + i] = ({c_type(target)})({first}[{each}] + {slope}[{each}] * n);",
        "    }",
    ]
    text.function(name, f"const {c_type(source)} *x, {c_type(target)} *y", lines, comment)


def _write_encode(text: GraphText) -> None:
    source = text.network.input
    if source.thresholds is None:
        return
    kinds = (np.float32, text.types[0], np.float32)
    _write_steps(text, "encode", source, source.thresholds, kinds, source.shape, "Inputs to codes.")


def _write_operation(text: GraphText, place: int, operation: Operation) -> None:
    network, name = text.network, f"op{place}"
    if isinstance(operation, Flatten):
        return
    if isinstance(operation, Sums):
        return _write_sums(text, place, operation)
    shape, source = network.shapes[operation.inputs[0]], text.types[operation.inputs[0]]
    target = text.types[place]
    if isinstance(operation, MaxPool):
        return _write_pool(text, place, operation, shape, c_type(source))
    if isinstance(operation, (Add, Concat)):
        return _write_branches(text, place, operation)
    low, high = network.ranges[operation.inputs[0]].T[:, :, None]
    reachable = np.clip(operation.thresholds, low, high + 1)
    kinds = (source, target, narrowest(reachable, signed=True))
    _write_steps(text, name, operation, reachable, kinds, shape, operation.name)


def _axes(window, shape, positions) -> dict[str, tuple[int, int]]:
    """Numbers of two axes: that of rows has one position where there is none."""
    pad = 2 - len(shape[1:])
    names = ("k", "stride", "padding", "dilation")
    values = (window.size, window.stride, window.padding, window.dilation)
    fill = (1, 1, 0, 1)
    axes = {n: (f,) * pad + v for n, v, f in zip(names, values, fill, strict=True)}
    return {**axes, "in": (1,) * pad + shape[1:], "out": (1,) * pad + positions}


def _place_lines(axes) -> list[str]:
    lines = []
    for letter, step, place, axis in (("a", "i", "u", 0), ("b", "j", "v", 1)):
        stride, padding, dilation = (axes[n][axis] for n in ("stride", "padding", "dilation"))
        lines.append(f"const int {letter} = {step} * {stride} - {padding} + {place} * {dilation};")
    height, width = axes["in"]
    lines.append(f"const int inside = a >= 0 && a < {height} && b >= 0 && b < {width};")
    return lines


def _write_sums(text: GraphText, place: int, operation: Sums) -> None:
    network = text.network
    shape, out = network.shapes[operation.inputs[0]], network.shapes[place]
    source, target = c_type(text.types[operation.inputs[0]]), c_type(text.types[place])
    weight = text.table(f"w{place}", operation.weight, narrowest(operation.weight, signed=True))
    n_out, n_in = operation.weight.shape[:2]
    if operation.window is None:
        lines = [
            f"const {_pointer_type(operation)} *w = {weight};",
            f"for (int o = 0; o < {n_out}; o++) {{",
            f"    {target} acc = 0;",
            f"    for (int c = 0; c < {n_in}; c++) acc = ({target})(acc + ({target})*w++ * x[c]);",
            "    y[o] = acc;",
            "}",
        ]
    else:
        axes = _axes(operation.window, shape, out[1:])
        lines = _conv_lines(operation, weight, axes, target, source, n_out, n_in)
    low, high = (
        int(end) for end in (network.ranges[place][:, 0].min(), network.ranges[place][:, 1].max())
    )
    comment = f"{operation.name}: sums within {low}..{high}."
    text.function(f"op{place}", f"const {source} *x, {target} *y", lines, comment)


def _pointer_type(operation: Sums) -> str:
    return c_type(narrowest(operation.weight, signed=True))


def _conv_lines(operation, weight, axes, target, source, n_out, n_in) -> list[str]:
    (height, width), (rows, columns), (k, m) = axes["in"], axes["out"], axes["k"]
    per_group = n_out // operation.groups
    value = f"from[(c * {height} + a) * {width} + b]"
    return [
        f"for (int o = 0; o < {n_out}; o++)",
        f"for (int i = 0; i < {rows}; i++)",
        f"for (int j = 0; j < {columns}; j++) {{",
        f"    const {_pointer_type(operation)} *w = {weight} + o * {n_in * k * m};",
        f"    const {source} *from = x + o / {per_group} * {n_in * height * width};",
        f"    {target} acc = 0;",
        f"    for (int c = 0; c < {n_in}; c++)",
        f"    for (int u = 0; u < {k}; u++)",
        f"    for (int v = 0; v < {m}; v++, w++) {{",
        *(f"        {line}" for line in _place_lines(axes)),
        f"        if (inside) acc = ({target})(acc + ({target})*w * {value});",
        *_outside_lines(operation, target),
        "    }",
        f"    y[(o * {rows} + i) * {columns} + j] = acc;",
        "}",
    ]


def _outside_lines(operation: Sums, target: str) -> list[str]:
    """What positions beyond the border add: nothing where their code is 0."""
    if not (operation.outside and operation.window.is_padded):
        return []
    return [f"        else acc = ({target})(acc + ({target})*w * {operation.outside});"]


def _write_pool(text: GraphText, place: int, operation: MaxPool, shape, kind: str) -> None:
    axes = _axes(operation.window, shape, text.network.shapes[place][1:])
    (height, width), (rows, columns), (k, m) = axes["in"], axes["out"], axes["k"]
    lines = [
        f"for (int c = 0; c < {shape[0]}; c++)",
        f"for (int i = 0; i < {rows}; i++)",
        f"for (int j = 0; j < {columns}; j++) {{",
        "    int any = 0;",
        f"    {kind} most = 0;",
        f"    for (int u = 0; u < {k}; u++)",
        f"    for (int v = 0; v < {m}; v++) {{",
        *(f"        {line}" for line in _place_lines(axes)),
        "        if (!inside) continue;",
        f"        const {kind} value = x[(c * {height} + a) * {width} + b];",
        "        if (!any || value > most) most = value;",
        "        any = 1;",
        "    }",
        f"    y[(c * {rows} + i) * {columns} + j] = most;",
        "}",
    ]
    text.function(f"op{place}", f"const {kind} *x, {kind} *y", lines, operation.name)


def _write_branches(text: GraphText, place: int, operation: Add | Concat) -> None:
    network, target = text.network, c_type(text.types[place])
    kinds = [c_type(text.types[i]) for i in operation.inputs]
    takes = ", ".join(f"const {kind} *x{k}" for k, kind in enumerate(kinds))
    if isinstance(operation, Add):
        terms = " + ".join(f"{f} * x{k}[i]" for k, f in enumerate(operation.factors))
        size = prod(network.shapes[place])
        lines = [f"for (int i = 0; i < {size}; i++) y[i] = ({target})({terms});"]
    else:
        sizes = [prod(network.shapes[i]) for i in operation.inputs]
        lines = [f"for (int i = 0; i < {n}; i++) *y++ = x{k}[i];" for k, n in enumerate(sizes)]
    text.function(f"op{place}", f"{takes}, {target} *y", lines, operation.name)


class _Buffers:
    """Memory of results; what nothing reads any more is used again."""

    def __init__(self, text: GraphText):
        self.text, self.last = text, _last_readers(text.network)
        self.free: list[int] = []
        self.sizes: list[dict[str, int]] = []  # of each buffer, values by type
        self.of: dict[int, int] = {}

    def take(self, place: int) -> str:
        """A pointer for the result of a place."""
        slot = self.free.pop() if self.free else len(self.sizes)
        if slot == len(self.sizes):
            self.sizes.append({})
        kind, size = c_type(self.text.types[place]), prod(self.text.network.shapes[place])
        self.sizes[slot][kind] = max(size, self.sizes[slot].get(kind, 0))
        self.of[place] = slot
        return f"b{slot}.of_{kind}"

    def leave(self, place: int, sources) -> None:
        """Free what the operation of a place was the last to read."""
        done = {self.of[i] for i in sources if self.last[i] == place and i in self.of}
        self.free += sorted(done)

    def declared(self) -> list[str]:
        """One union per buffer."""
        members = (
            " ".join(f"{kind} of_{kind}[{n}];" for kind, n in sorted(sizes.items()))
            for sizes in self.sizes
        )
        return [f"union {{ {text} }} b{slot};" for slot, text in enumerate(members)]

    @property
    def n_bytes(self) -> int:
        """Of all buffers."""
        width = {"int8_t": 1, "int16_t": 2, "int32_t": 4}
        return sum(max(width[kind] * n for kind, n in sizes.items()) for sizes in self.sizes)


def _write_raw(text: GraphText) -> None:
    """All operations, one after the other."""
    network, buffers, p = text.network, _Buffers(text), text.p
    names, lines, final = {0: "x"}, [], len(network.operations)
    while isinstance(network.operations[final - 1], Flatten):
        final = network.operations[final - 1].inputs[0]
    if network.input.thresholds is not None:
        names[0] = buffers.take(0)
        lines.append(f"{p}_encode(x, {names[0]});")
    for place, operation in enumerate(network.operations, start=1):
        sources = operation.inputs
        if isinstance(operation, Flatten):  # nothing moves
            names[place] = names[sources[0]]
            if sources[0] in buffers.of:
                buffers.of[place] = buffers.of[sources[0]]
        else:
            names[place] = "sum" if place == final else buffers.take(place)
            arguments = ", ".join([*(names[i] for i in sources), names[place]])
            lines.append(f"{p}_op{place}({arguments});")
        buffers.leave(place, sources)
    text.ram_bytes = buffers.n_bytes
    takes = f"const {p}_input_t *x, {p}_sum_t *sum"
    text.function("raw", takes, [*buffers.declared(), *lines], "All sums of the last layer.")


def _last_readers(network: IntegerGraph) -> dict[int, int]:
    """The place that reads each place last; what is read through a flattening counts."""
    last = dict.fromkeys(range(len(network.shapes)), 0)
    for place in range(len(network.operations), 0, -1):
        operation = network.operations[place - 1]
        until = last[place] if isinstance(operation, Flatten) else place
        for source in operation.inputs:
            last[source] = max(last[source], until)
    return last


def _write_ends(text: GraphText) -> None:
    network, macro = text.network, macro_prefix(text.p)
    size = _size(network.shapes[-1])
    scale = text.table("scale", network.scale, np.float64)
    bias = text.table("bias", network.bias, np.float64)
    lines = [
        f"for (int k = 0; k < {macro}_N_VALUES; k++)",
        f"    value[k] = (double)sum[k] * {scale}[k / {size}] + {bias}[k / {size}];",
    ]
    text.function("decision", f"const {text.p}_sum_t *sum, double *value", lines, "Values.")
    values = [f"{text.p}_raw(x, sum);", f"{text.p}_decision(sum, value);"]
    sums, takes = f"{text.p}_sum_t sum[{macro}_N_VALUES];", f"const {text.p}_input_t *x"
    if network.classes is None:
        text.function("predict", f"{takes}, double *value", [sums, *values], "Values of a row.")
        return
    if len(network.classes) > network.shapes[-1][0]:
        choice = ["return value[0] > 0;"]
    else:
        choice = [
            "int best = 0;",
            f"for (int k = 1; k < {macro}_N_VALUES; k++) if (value[k] > value[best]) best = k;",
            "return best;",
        ]
    lines = [sums, f"double value[{macro}_N_VALUES];", *values, *choice]
    text.function("predict", takes, lines, "Index of the class.", result="int")

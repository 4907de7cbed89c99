"""Operations of an integer graph in C: one function of loops each."""

from __future__ import annotations

from math import prod

import numpy as np

from ...integer._operations import Add, Concat, Flatten, MaxPool, Operation, Sums
from ._graph_text import GraphText
from ._source import c_type
from ._tables import narrowest

__all__ = ["write_operation", "write_steps"]


def _size(shape) -> int:
    """Positions of a channel."""
    return prod(shape[1:])


def write_steps(text, name, steps, thresholds, kinds, shape, comment) -> None:
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


def write_operation(text: GraphText, place: int, operation: Operation) -> None:
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
    write_steps(text, name, operation, reachable, kinds, shape, operation.name)


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

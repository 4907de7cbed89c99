"""An integer graph in C99: one function of loops per operation, and weights shared by all positions.

Every value has the narrowest type that its proven range allows.  Buffers are reused once
nothing reads them any more; they are on the stack, and nothing is allocated.
"""

from __future__ import annotations

from math import prod

import numpy as np

from ..._version import __version__
from ...integer import IntegerGraph
from ...integer._operations import Flatten
from ._graph_buffers import Buffers
from ._graph_operations import write_operation, write_steps
from ._graph_text import GraphText
from ._source import c_type, macro_prefix
from ._tables import narrowest

__all__ = ["graph_text"]


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
        write_operation(text, place, operation)
    _write_raw(text)
    _write_ends(text)
    text.parts.append(f"#endif /* {macro_prefix(prefix)}_H */\n")
    return text


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


def _write_encode(text: GraphText) -> None:
    source = text.network.input
    if source.thresholds is None:
        return
    kinds = (np.float32, text.types[0], np.float32)
    write_steps(text, "encode", source, source.thresholds, kinds, source.shape, "Inputs to codes.")


def _write_raw(text: GraphText) -> None:
    """All operations, one after the other."""
    network, buffers, p = text.network, Buffers(text), text.p
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


def _write_ends(text: GraphText) -> None:
    network, macro = text.network, macro_prefix(text.p)
    size = prod(network.shapes[-1][1:])
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

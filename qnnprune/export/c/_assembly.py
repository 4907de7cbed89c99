"""From an integer network to all parts of its C: what goes in, the layers, what comes out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..._version import __version__
from ...integer import IntegerNetwork, OutputLayer
from ...integer._arrays import arrays_of
from ...integer._simplify import Simplified, simplify
from ._argmax import integer_scores, label_scores
from ._columns import Column, columns_of, needed_features
from ._encode import write_encode
from ._files import Head
from ._fixed import FixedPoint, fixed_point
from ._functions import write_layers, write_raw
from ._inputs import array_lines, code_lines, row_definitions, row_lines
from ._labels import write_labels
from ._layers import COutputLayer, buffer_sizes, c_layers
from ._outputs import (
    write_classify,
    write_decision,
    write_fixed,
    write_label_bits,
    write_regress,
)
from ._rows import Rows
from ._source import Source, c_string

__all__ = ["Assembly", "Inputs", "assembled"]

_ID_DIGITS = 16


@dataclass(frozen=True)
class Inputs:
    """What a header says of the rows that it takes."""

    lines: list[str]
    columns: list[Column]
    row: str = ""
    types: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Assembly:
    """A network in C, not yet in files.

    Attributes
    ----------
    source : Source
    head : Head
    columns : list of Column
        Empty where codes come in.
    fixed : FixedPoint or None
        Of a regressor, unless its values are exponentials.
    """

    source: Source
    head: Head
    columns: list[Column]
    fixed: FixedPoint | None


def assembled(network: IntegerNetwork, labels, prefix: str, rows: Rows, optimize: str) -> Assembly:
    """All functions, tables and types of a network.

    Parameters
    ----------
    network : IntegerNetwork
    labels : array of shape (n_classes,), or None
        Of a classifier, as `checked_labels` returns them.
    prefix : str
    rows : Rows
    optimize : {"speed", "size"}
    """
    source, simplified = Source(prefix), simplify(network.layers)
    source.memory()
    inputs, layers = _write_inputs(source, network, simplified, rows)
    lowered = c_layers(layers, simplified.constant, packed=optimize == "size")
    write_layers(source, lowered, unroll=optimize == "speed")
    write_raw(source, lowered, encodes=rows.form != "codes")
    fixed = _write_output(source, layers[-1], lowered[-1], labels, network.outcome)
    head = _head(source, network, lowered, inputs, fixed)
    return Assembly(source, head, inputs.columns, fixed)


def _write_inputs(source: Source, network: IntegerNetwork, simplified: Simplified, rows: Rows):
    """Rows to codes; what the header says of them, and the layers that take these codes."""
    encoding, p = network.encoding, source.p
    source.argument = f"const {p}_input_t *x"
    if rows.form == "codes":
        lines = code_lines(source.macro, encoding)
        return Inputs(lines, [], types={"input_t": np.int8}), simplified.layers
    needed = needed_features(encoding, simplified.inputs)
    columns = columns_of(source, encoding, needed, network.feature_names, rows.types)
    if rows.form == "struct":
        source.argument, source.row = f"const {p}_row *row", "row"
        inputs = Inputs(row_lines(p), columns, row_definitions(source, encoding, columns))
    else:
        types = {"input_t": columns[0].dtype}
        inputs = Inputs(array_lines(source.macro, encoding, columns), columns, types=types)
    write_encode(source, encoding, columns, fields=rows.form == "struct")
    return inputs, simplified.layers_of_inputs(needed[encoding.feature])


def _write_output(
    source: Source,
    layer: OutputLayer,
    output: COutputLayer,
    labels: np.ndarray | None,
    outcome: str,
) -> FixedPoint | None:
    """What is computed from the sums; of a regressor, also its fixed point."""
    ranges, fixed = layer.total_range + layer.added_up(output.start[None]).T, None
    if outcome == "class":
        scores = integer_scores(ranges, layer.scale, layer.bias, layer.n_sums)
        write_classify(source, scores, output)
        write_labels(source, labels)
    elif outcome == "labels":
        scores = label_scores(ranges, layer.scale, layer.bias, layer.n_sums)
        write_label_bits(source, scores, output)
    elif outcome != "log":
        fixed = fixed_point(ranges, layer.scale, layer.bias, in_one_unit=outcome == "quantiles")
    if fixed is not None:
        write_fixed(source, fixed, output, outcome)
    source.everywhere(f"#ifndef {source.macro}_INTEGER_ONLY")
    write_decision(source, layer.scale, layer.bias, output)
    if labels is None:
        write_regress(source, output, outcome)
    source.everywhere("#endif")
    return fixed


def _head(source: Source, network: IntegerNetwork, layers, inputs: Inputs, fixed) -> Head:
    output, encodes = layers[-1], bool(inputs.columns)
    n_sums = output.shape[0]
    constants: dict[str, int | str] = {"VERSION": c_string(__version__)}
    constants["MODEL_ID"] = c_string(str(arrays_of(network)["model_id"])[:_ID_DIGITS])
    constants |= (
        {"N_FEATURES": network.n_features_in} if encodes else {"N_CODES": layers[0].shape[1]}
    )
    constants |= {"N_SUMS": n_sums, "N_VALUES": output.n_values}
    if network.classes is not None:
        name = "N_LABELS" if network.outcome == "labels" else "N_CLASSES"
        constants[name] = len(network.classes)
    constants |= {} if fixed is None else fixed.macros()
    counts = {
        "flash_bytes": source.flash_bytes,
        "ram_bytes": sum(buffer_sizes(layers, encodes=encodes))
        + n_sums * output.sum_type.itemsize
        + (output.n_values * output.total_type.itemsize if output.n_sums > 1 else 0),
        "nonzeros": sum(layer.n_kept for layer in layers),
        "macs": sum(layer.weight.size for layer in network.layers),
    }
    types = {**inputs.types, "sum_t": output.sum_type}
    if output.n_sums > 1:
        types["total_t"] = output.total_type
    return Head(layers, inputs.lines, constants, types, counts, inputs.row)

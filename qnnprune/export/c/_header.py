"""An integer network as one C99 header, for microcontrollers and other small places.

The header needs ``stdint.h`` and nothing else.  Pruned weights take neither bytes nor time,
sums have the narrowest type that their proof allows, and no float is inside: features are
compared with thresholds, and classes by integers that order as the float64 logits do.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace

import numpy as np

from ..._utils import plain_labels, write_whole
from ..._version import __version__
from ...integer import HiddenLayer, IntegerLayer, IntegerNetwork, OutputLayer
from ...integer._simplify import simplify
from ...integer._verification import check_network
from .._common import integer_network_of
from ._argmax import integer_scores
from ._functions import (
    Layer,
    buffer_sizes,
    write_classify,
    write_decision,
    write_encode,
    write_layer,
    write_raw,
    write_regress,
    write_scores,
)
from ._source import Source, c_string, c_type
from ._tables import compare, input_thresholds, narrowest, needed_segments, sparse_weight

__all__ = ["CHeader", "to_c"]

_INPUT_TYPES = {
    "float": np.float32,
    "double": np.float64,
    "int8": np.int8,
    "uint8": np.uint8,
    "int16": np.int16,
    "uint16": np.uint16,
    "int32": np.int32,
    "codes": np.int8,
}
_MOST_SUM_BITS = 31  # and a sign: what 32-bit machines add in one step
_LONGEST_STRING = 4095  # characters that every C99 compiler takes
_LONGEST_PREFIX = 40  # C99 promises to tell names apart by 63 characters


@dataclass(frozen=True)
class CHeader:
    """A network in C, and what it takes.

    Attributes
    ----------
    text : str
        The header, in ASCII.
    path : str or None
        Where it was written.
    flash_bytes : int
        Bytes of the constant tables.  Machine code is not counted, nor are labels and the
        float64 scale and bias, which a program holds only if it uses them.
    ram_bytes : int
        Bytes of the buffers that ``prefix_predict`` has on the stack; nothing is static.
    nonzeros : int
        Weights kept: additions, or multiply-adds where weights are not ternary, a prediction.
    macs : int
        Multiply-adds of the same layers without pruning.
    """

    text: str
    path: str | None
    flash_bytes: int
    ram_bytes: int
    nonzeros: int
    macs: int

    def __repr__(self):
        return (
            f"CHeader(path={self.path!r}, flash_bytes={self.flash_bytes}, "
            f"ram_bytes={self.ram_bytes}, nonzeros={self.nonzeros}, macs={self.macs})"
        )


def to_c(
    model, path=None, *, prefix: str = "qnn", input: str = "float", optimize: str = "speed"
) -> CHeader:
    """Write a network as one C99 header that predicts as ``predict`` does, on every row.

    With the prefix ``qnn`` the header offers, for a classifier,

    - ``int qnn_predict(const qnn_input_t *x)``: index of the class,
    - ``qnn_label[QNN_N_CLASSES]``: the labels, strings or numbers,

    for a regressor

    - ``double qnn_predict(const qnn_input_t *x)``, or with several targets
      ``void qnn_predict(const qnn_input_t *x, double *value)``,

    and for both

    - ``void qnn_raw(const qnn_input_t *x, qnn_sum_t *sum)``: the integer sums of the
      output layer,
    - ``void qnn_decision(const qnn_sum_t *sum, double *value)``: ``sum * scale + bias``, the
      logits or target values.

    ``#define QNN_INTEGER_ONLY`` ahead of the include leaves out whatever computes with
    doubles.  All functions are ``static inline``: a header may be included anywhere, and headers of
    different prefixes get along.

    Parameters
    ----------
    model : PrunedNeuralNetClassifier, PrunedNeuralNetRegressor or IntegerNetwork
        Fitted.  Sums are exact, as those of ``IntegerNetwork.predict``.
    path : str or path-like, optional
        Where to write the header, which is replaced only once the new one is whole.
    prefix : str, default="qnn"
        Begins every name: a letter, then letters, digits and underscores, 40 at most.
    input : str, default="float"
        What the C functions take.

        - "float", "double": the features.  Equal to ``predict`` on every float32, or float64,
          row: thresholds are rounded up to that type, so no value changes sides.
        - "int8", "uint8", "int16", "uint16", "int32": features that are integers of that type, as from
          a converter or a camera.  No floats at all.
        - "codes": the int8 codes that ``quantize_input`` returns.  Codes beyond ``input_range``
          are not checked, and void the proof.
    optimize : {"speed", "size"}, default="speed"
        "speed" spends a byte on each weight and adds four at a time; "size" packs the lists of
        a layer's inputs into half of the bytes where they are dense enough, and takes up to twice
        the instructions.

    Returns
    -------
    CHeader
        With ``text``, ``flash_bytes`` and ``ram_bytes``.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    ValueError
        If an option is unknown, a label has no form in C, an accumulator needs more than 32
        bits, or a threshold is beyond the input's type.
    OSError
        If the file cannot be written.  No part of one is left.

    Notes
    -----
    Infinite features lie above or below all thresholds.  A NaN, which ``predict`` refuses,
    reaches none of them, like a very small value.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from qnnprune import PrunedNeuralNetClassifier
    >>> from qnnprune.export import to_c
    >>> net = PrunedNeuralNetClassifier((16,), max_epochs=20, random_state=0)
    >>> header = to_c(net.fit(*load_iris(return_X_y=True)), prefix="iris")
    >>> print(header.text[header.text.index("static inline int iris_predict") :][:54])
    static inline int iris_predict(const iris_input_t *x)
    """
    _check_options(prefix, input, optimize)
    network = integer_network_of(model)
    labels = _plain_labels(network.classes)
    check_network(network)
    source = Source(prefix)
    simplified = simplify(network.layers)
    layers = simplified.layers
    if input != "codes":
        n_segments = needed_segments(network.encoding, simplified.inputs)
        _add_encoding(source, network, n_segments, np.dtype(_INPUT_TYPES[input]))
        layers = simplified.layers_of_inputs(n_segments[network.encoding.feature] > 0)
    lowered = [_lower(index, layer, optimize) for index, layer in enumerate(layers[:-1])]
    lowered.append(_lower_output(len(lowered), layers[-1], simplified.constant, optimize))
    for index, layer in enumerate(lowered):
        write_layer(source, index, layer)
    write_raw(source, lowered, encodes=input != "codes")
    _add_output(source, layers[-1], simplified.constant, labels)
    header = _finish(source, network, lowered, input, path)
    if path is not None:
        write_whole(path, header.text.encode("ascii"))
    return header


def _check_options(prefix, input, optimize) -> None:
    allowed = {"input": (input, list(_INPUT_TYPES)), "optimize": (optimize, ["size", "speed"])}
    for name, (value, choices) in allowed.items():
        if value not in choices:
            raise ValueError(f"{name}={value!r} must be one of {choices}.")
    if not isinstance(prefix, str) or not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", prefix):
        raise ValueError(
            f"prefix={prefix!r} must begin a C name: a letter, then letters, digits and '_'."
        )
    if len(prefix) > _LONGEST_PREFIX:
        raise ValueError(f"prefix={prefix!r} is longer than {_LONGEST_PREFIX} characters.")


def _add_encoding(source, network: IntegerNetwork, n_segments, dtype) -> None:
    thresholds = input_thresholds(network.encoding, n_segments, dtype)
    segments = n_segments.astype(narrowest(n_segments, signed=False))
    write_encode(source, segments, network.encoding.n_bits, thresholds)


def _lower(index: int, layer: HiddenLayer, optimize: str) -> Layer:
    ranges = layer.accumulator_range
    thresholds = compare(layer.thresholds, ranges[:, :1], ranges[:, 1:])
    return replace(_sums(index, layer, ranges, optimize), thresholds=thresholds)


def _lower_output(index: int, layer: OutputLayer, constant: np.ndarray, optimize: str) -> Layer:
    lowered = _sums(index, layer, layer.accumulator_range + constant[:, None], optimize)
    return replace(lowered, start=constant) if constant.any() else lowered


def _sums(index: int, layer: IntegerLayer, ranges: np.ndarray, optimize: str) -> Layer:
    low, high = int(ranges[:, 0].min(initial=0)), int(ranges[:, 1].max(initial=0))
    if max(-low - 1, high).bit_length() > _MOST_SUM_BITS:
        raise ValueError(
            f"Layer {index} has sums of {low} to {high}, but the C code adds in at most 32 bits: "
            "n_accum_bits=32 with accumulator_guarantee=True fits."
        )
    return Layer(
        shape=layer.weight.shape,
        n_kept=np.count_nonzero(layer.weight),
        weight=sparse_weight(layer.weight, steps=optimize == "size"),
        sum_range=(low, high),
        sum_type=narrowest([low, high]),
        unroll=optimize == "speed",
    )


def _add_output(source: Source, layer: OutputLayer, constant, labels: np.ndarray | None) -> None:
    n_sums = len(layer.weight)
    if labels is not None:
        ranges = layer.accumulator_range + constant[:, None]
        write_scores(source, integer_scores(ranges, layer.scale, layer.bias))
        write_classify(source, n_sums)
        _add_labels(source, labels)
    source.add(f"#ifndef {source.p.upper()}_INTEGER_ONLY")
    write_decision(source, layer.scale, layer.bias)
    if labels is None:
        write_regress(source, n_sums)
    source.add("#endif")


def _add_labels(source: Source, labels: np.ndarray) -> None:
    macro = f"{source.p.upper()}_INTEGER_ONLY"
    source.add(f"/* Labels by index; {macro} leaves out those in floats. */")
    if labels.dtype.kind == "U":
        source.strings("label", labels.tolist())
    elif labels.dtype.kind == "f":
        source.add(f"#ifndef {macro}")
        source.table("label", labels, counted=False)
        source.add("#endif")
    else:
        labels = labels.astype(np.int64) if labels.dtype.kind == "b" else labels
        source.table("label", labels.astype(narrowest(labels)), counted=False)


def _plain_labels(classes) -> np.ndarray | None:
    """Labels as an array of str, float64 or integers; None of a regressor."""
    if classes is None:
        return None
    labels = plain_labels(classes)
    if labels is not None and labels.dtype.kind == "U":
        return np.array([_checked_label(label) for label in labels.tolist()])
    if labels is not None and np.isfinite(labels).all():
        return labels.astype(np.float64) if labels.dtype.kind == "f" else labels
    raise ValueError(
        f"The labels {classes!r} have no form in C, as not all are str or all finite numbers: "
        "turn them into str first."
    )


def _checked_label(label: str) -> str:
    try:
        size = len(label.encode())
    except UnicodeEncodeError:
        size = None
    if size is None or size > _LONGEST_STRING or "\0" in label:
        raise ValueError(
            f"The label {label[:80]!r} is no C string: it has a NUL character, a lone surrogate "
            f"or more than {_LONGEST_STRING} bytes."
        )
    return label


def _finish(source: Source, network: IntegerNetwork, layers, input: str, path) -> CHeader:
    """Put the comment, the guard, constants and types ahead of the functions."""
    n_sums, sum_type = layers[-1].shape[0], layers[-1].sum_type
    buffers = buffer_sizes(layers, encodes=input != "codes")
    counts = {
        "flash_bytes": source.flash_bytes,
        "ram_bytes": sum(buffers) + n_sums * sum_type.itemsize,
        "nonzeros": sum(layer.n_kept for layer in layers),
        "macs": sum(layer.weight.size for layer in network.layers),
    }
    head = _head(source.p, network, layers, input, counts)
    text = "\n".join([head, *source.parts, f"#endif /* {source.p.upper()}_H */\n"])
    return CHeader(text, None if path is None else os.fspath(path), **counts)


def _head(p: str, network: IntegerNetwork, layers, input: str, counts: dict) -> str:

    macro = p.upper()
    constants = {"N_FEATURES": network.n_features_in, "N_SUMS": layers[-1].shape[0]}
    if input == "codes":
        constants = {"N_CODES": layers[0].shape[1], "N_SUMS": layers[-1].shape[0]}
    if network.classes is not None:
        constants["N_CLASSES"] = len(network.classes)
    defines = "\n".join(f"#define {macro}_{name} {value}" for name, value in constants.items())
    return f"""\
/* An integer network, written by qnnprune {__version__}: C99, stdint.h alone, no malloc.
 *
{_layer_lines(layers)}
 *
 * {counts["nonzeros"]} weights are left of {counts["macs"]}; only these are stored and added.
 * Flash: {counts["flash_bytes"]} bytes of tables, besides code, labels, and scale and bias where used.
 * RAM: {counts["ram_bytes"]} bytes of buffers on the stack of {p}_predict; nothing is static.
 *
{_input_lines(p, network, input)}
 */
#ifndef {macro}_H
#define {macro}_H

#include <stdint.h>

{defines}

typedef {c_type(_INPUT_TYPES[input])} {p}_input_t;
typedef {c_type(layers[-1].sum_type)} {p}_sum_t;
"""


def _layer_lines(layers) -> str:
    lines = [f" * {'layer':>5} {'inputs':>7} {'outputs':>7} {'weights':>8}  sums, proven"]
    for index, layer in enumerate(layers):
        (n_out, n_in), (low, high) = layer.shape, layer.sum_range
        sums = f"{low}..{high} in {c_type(layer.sum_type)}"
        lines.append(f" * {index:>5} {n_in:>7} {n_out:>7} {layer.n_kept:>8}  {sums}")
    return "\n".join(lines)


def _input_lines(p: str, network: IntegerNetwork, input: str) -> str:
    macro, kind = p.upper(), c_type(_INPUT_TYPES[input])
    if input == "codes":
        low, high = network.layers[0].input_range.T
        return (
            f" * Input: {macro}_N_CODES codes, as quantize_input returns them, within "
            f"{low.min()}..{high.max()}:\n * what is beyond is not checked, and voids the proof."
        )
    lines = [f" * Input: {macro}_N_FEATURES features in {kind}."]
    if kind in ("float", "double"):
        lines[0] += "  A NaN counts as below every threshold."
    names = [] if network.feature_names is None else map(str, network.feature_names)
    return "\n".join(lines + [f" *   x[{i}]: {c_string(name)}" for i, name in enumerate(names)])

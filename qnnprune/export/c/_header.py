"""An integer network in C99, for microcontrollers and other small places.

The code needs ``stdint.h`` and nothing else.  Pruned weights take neither bytes nor time,
sums have the narrowest type that their proof allows, and no float is inside: features are
compared with thresholds, and classes by integers that order as the float64 logits do.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..._files import write_whole
from ...integer import IntegerNetwork, OutputLayer
from ...integer._consistency import check_network
from ...integer._simplify import Simplified, simplify
from .._common import integer_network_of
from ._argmax import integer_scores
from ._files import Head, header_and_source, one_header
from ._functions import (
    write_classify,
    write_decision,
    write_encode,
    write_layers,
    write_raw,
    write_regress,
)
from ._inputs import code_lines, feature_lines, input_thresholds, needed_segments
from ._labels import checked_labels, write_labels
from ._layers import COutputLayer, buffer_sizes, c_layers
from ._source import Source
from ._tables import narrowest

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
    source : str or None
        The source file that defines what the header declares, in ASCII; None where the header
        defines it.
    """

    text: str
    path: str | None
    flash_bytes: int
    ram_bytes: int
    nonzeros: int
    macs: int
    source: str | None = None

    def __repr__(self):
        return (
            f"CHeader(path={self.path!r}, flash_bytes={self.flash_bytes}, "
            f"ram_bytes={self.ram_bytes}, nonzeros={self.nonzeros}, macs={self.macs})"
        )


def to_c(
    model, path=None, *, prefix: str = "qnn", input: str = "float", optimize: str = "speed"
) -> CHeader:
    """Write a network in C99 that predicts as ``predict`` does, on every row.

    With the prefix ``qnn`` its header offers, for a classifier,

    - ``int qnn_predict(const qnn_input_t *x)``: index of the class,
    - ``qnn_label[QNN_N_CLASSES]``: the labels, strings or numbers,

    for a regressor

    - ``double qnn_predict(const qnn_input_t *x)``, or with several targets
      ``void qnn_predict(const qnn_input_t *x, double *value)``,

    and for both

    - ``void qnn_raw(const qnn_input_t *x, qnn_sum_t *sum)``: the ``QNN_N_SUMS`` integer sums
      of the output layer, as they are proven,
    - ``void qnn_decision(const qnn_sum_t *sum, double *value)``: ``sum * scale + bias``, the
      ``QNN_N_VALUES`` logits or target values.

    Where a logit has several sums (`n_output_sums`), ``qnn_predict`` and ``qnn_decision`` add
    them up in ``qnn_total_t``, the narrowest type that holds the total.

    ``#define QNN_INTEGER_ONLY`` ahead of the include leaves out whatever computes with
    doubles.  Headers of different prefixes get along.

    Parameters
    ----------
    model : PrunedNeuralNetClassifier, PrunedNeuralNetRegressor or IntegerNetwork
        Fitted.  Sums are exact, as those of ``IntegerNetwork.predict``.
    path : str or path-like, optional
        Where to write it; a file is replaced only once the new one is whole.

        - ``net.h``, or any other name: one header that defines everything, as ``static inline``
          functions and ``static const`` tables.  It may be included anywhere, but every
          translation unit that predicts has tables and code of its own.
        - ``net.c``: this source file, and beside it a header ``net.h`` that declares what it
          defines.  All of a program shares one copy.

    prefix : str, default="qnn"
        Begins every name: a letter, then letters, digits and underscores, 40 at most, with a
        lower-case letter among them.  Macros begin with it in upper case, or as it is where
        it has upper-case letters, so that those of no two prefixes are the same.
    input : str, default="float"
        What the C functions take.

        - "float", "double": the features.  Equal to ``predict`` on every float32, or float64,
          row: thresholds are rounded up to that type, so no value changes sides.
        - "int8", "uint8", "int16", "uint16", "int32": features that are integers of that type, as from
          a converter or a camera.  No floats at all.  Fit on such integers as they come, without a
          scaler: they are compared with the thresholds of training, whose range the header
          gives for each feature.
        - "codes": the int8 codes that ``quantize_input`` returns.  Codes beyond ``input_range``
          are not checked, and void the proof.
    optimize : {"speed", "size"}, default="speed"
        "speed" spends a byte on each weight and adds four at a time; "size" packs the lists of
        a layer's inputs into half of the bytes where they are dense enough, and takes up to twice
        the instructions.

    Returns
    -------
    CHeader
        With ``text``, ``flash_bytes`` and ``ram_bytes``; of two files, ``source`` as well.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    ValueError
        If an option is unknown, a label has no form in C, an accumulator needs more than 32
        bits, a threshold is beyond the input's type, or training values lie between thresholds
        that no integer input tells apart, as where features were scaled in training.
    OSError
        If a file cannot be written.  No part of one is left.

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
    labels = checked_labels(network.classes)
    check_network(network)
    source, simplified = Source(prefix), simplify(network.layers)
    source.memory()
    inputs, layers = _write_inputs(source, network, simplified, input)
    lowered = c_layers(layers, simplified.constant, packed=optimize == "size")
    write_layers(source, lowered, unroll=optimize == "speed")
    write_raw(source, lowered, encodes=input != "codes")
    _write_output(source, layers[-1], lowered[-1], labels)
    head = _head(source, network, lowered, input, inputs)
    return _written(source, head, path)


def _check_options(prefix, input, optimize) -> None:
    allowed = {"input": (input, list(_INPUT_TYPES)), "optimize": (optimize, ["size", "speed"])}
    for name, (value, choices) in allowed.items():
        if value not in choices:
            raise ValueError(f"{name}={value!r} must be one of {choices}.")
    if not isinstance(prefix, str) or not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", prefix):
        raise ValueError(
            f"prefix={prefix!r} must begin a C name: a letter, then letters, digits and '_'."
        )
    if prefix == prefix.upper():
        raise ValueError(
            f"prefix={prefix!r} must have a lower-case letter: macros of {prefix.lower()!r} begin "
            f"with {prefix!r}."
        )
    if len(prefix) > _LONGEST_PREFIX:
        raise ValueError(f"prefix={prefix!r} is longer than {_LONGEST_PREFIX} characters.")


def _write_inputs(source: Source, network: IntegerNetwork, simplified: Simplified, input: str):
    """Features to codes; lines that describe them, and the layers that take these codes."""
    encoding = network.encoding
    if input == "codes":
        return code_lines(source.macro, encoding), simplified.layers
    dtype, n_segments = np.dtype(_INPUT_TYPES[input]), needed_segments(encoding, simplified.inputs)
    thresholds = input_thresholds(encoding, n_segments, dtype, network.feature_names)
    segments = n_segments.astype(narrowest(n_segments, signed=False))
    write_encode(source, dtype, segments, encoding.n_bits, thresholds)
    lines = feature_lines(source.macro, dtype, encoding, n_segments, network.feature_names)
    return lines, simplified.layers_of_inputs(n_segments[encoding.feature] > 0)


def _write_output(
    source: Source, layer: OutputLayer, output: COutputLayer, labels: np.ndarray | None
) -> None:
    if labels is not None:
        ranges = layer.total_range + layer.added_up(output.start[None]).T
        scores = integer_scores(ranges, layer.scale, layer.bias, layer.n_sums)
        write_classify(source, scores, output)
        write_labels(source, labels)
    source.everywhere(f"#ifndef {source.macro}_INTEGER_ONLY")
    write_decision(source, layer.scale, layer.bias, output)
    if labels is None:
        write_regress(source, output)
    source.everywhere("#endif")


def _head(source: Source, network: IntegerNetwork, layers, input: str, input_lines) -> Head:
    output = layers[-1]
    n_sums = output.shape[0]
    constants = {"N_FEATURES": network.n_features_in}
    if input == "codes":
        constants = {"N_CODES": layers[0].shape[1]}
    constants |= {"N_SUMS": n_sums, "N_VALUES": output.n_values}
    if network.classes is not None:
        constants["N_CLASSES"] = len(network.classes)
    counts = {
        "flash_bytes": source.flash_bytes,
        "ram_bytes": sum(buffer_sizes(layers, encodes=input != "codes"))
        + n_sums * output.sum_type.itemsize
        + (output.n_values * output.total_type.itemsize if output.n_sums > 1 else 0),
        "nonzeros": sum(layer.n_kept for layer in layers),
        "macs": sum(layer.weight.size for layer in network.layers),
    }
    types = {"input_t": _INPUT_TYPES[input], "sum_t": output.sum_type}
    if output.n_sums > 1:
        types["total_t"] = output.total_type
    return Head(layers, input_lines, constants, types, counts)


def _written(source: Source, head: Head, path) -> CHeader:
    """The text of one header, or of two files, which are written if there is a path."""
    if path is None or Path(path).suffix != ".c":
        header, text, defined = path, one_header(source, head), None
    else:
        header = Path(path).with_suffix(".h")
        text, defined = header_and_source(source, head, header.name)
    if defined is not None:
        write_whole(path, defined.encode())
    if header is not None:
        write_whole(header, text.encode())
        header = os.fspath(header)
    return CHeader(text, header, **head.counts, source=defined)

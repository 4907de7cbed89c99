"""An integer network in C99, for microcontrollers and other small places.

The code needs ``stdint.h`` and nothing else.  Pruned weights take neither bytes nor time,
sums have the narrowest type that their proof allows, and no float is inside: features are
compared with thresholds, and classes by integers that order as the float64 logits do.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..._files import write_whole
from ..._version import __version__
from ...integer import IntegerNetwork, OutputLayer
from ...integer._arrays import arrays_of
from ...integer._consistency import check_network
from ...integer._simplify import Simplified, simplify
from .._common import integer_network_of
from ._argmax import integer_scores
from ._columns import Column, columns_of, needed_features
from ._encode import write_encode
from ._files import Head, header_and_source, one_header
from ._fixed import FixedPoint, fixed_point
from ._functions import (
    write_classify,
    write_decision,
    write_fixed,
    write_layers,
    write_raw,
    write_regress,
)
from ._inputs import array_lines, code_lines, row_definitions, row_lines
from ._labels import checked_labels, write_labels
from ._layers import COutputLayer, buffer_sizes, c_layers
from ._rows import Rows, chosen_rows
from ._selftest import self_test
from ._source import Source, c_string

__all__ = ["CHeader", "to_c"]

_ID_DIGITS = 16
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
    self_test : str or None
        The program that compares `test_vectors` with Python.
    """

    text: str
    path: str | None
    flash_bytes: int
    ram_bytes: int
    nonzeros: int
    macs: int
    source: str | None = None
    self_test: str | None = None

    def __repr__(self):
        return (
            f"CHeader(path={self.path!r}, flash_bytes={self.flash_bytes}, "
            f"ram_bytes={self.ram_bytes}, nonzeros={self.nonzeros}, macs={self.macs})"
        )


def to_c(
    model,
    path=None,
    *,
    prefix: str = "qnn",
    input="float",
    row: str = "auto",
    optimize: str = "speed",
    test_vectors=None,
) -> CHeader:
    """Write a network in C99 that predicts as ``predict`` does, on every row.

    With the prefix ``qnn`` its header offers, for a classifier,

    - ``int qnn_predict(ROW)``: index of the class,
    - ``qnn_label[QNN_N_CLASSES]``: the labels, strings or numbers,

    for a regressor

    - ``double qnn_predict(ROW)``, or with several targets ``void qnn_predict(ROW, double *value)``,
    - ``int32_t qnn_predict_fixed(ROW)``, or ``void qnn_predict_fixed(ROW, int32_t *value)``: the
      same in units of ``2**-QNN_FRACTION_BITS``, without floating-point numbers.  The header
      says how far off it can be.  Sums of more than 24 bits take ``int64_t``.

    and for both

    - ``void qnn_raw(ROW, qnn_sum_t *sum)``: the ``QNN_N_SUMS`` integer sums
      of the output layer, as they are proven,
    - ``QNN_VERSION`` and ``QNN_MODEL_ID``: strings, the version of qnnprune and a hash of the
      network, that of its file,
    - ``void qnn_decision(const qnn_sum_t *sum, double *value)``: ``sum * scale + bias``, the
      ``QNN_N_VALUES`` logits or target values.

    ROW is ``const qnn_input_t *x``, an array, or ``const qnn_row *row``, a struct with a field
    for each column; parameter `row` says which.  It holds raw values, in the units of
    training.  What stands for a gap is NAN in a floating-point column, ``QNN_COLUMN_MISSING`` in
    others; the header says it for each column.

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
    input : str or dict, default="float"
        Type of the columns that the C functions take; a dict gives the types of some columns, by
        name or, where there are none, by index, and the others are "float".  Categorical columns
        take the constants of an enum: ``QNN_COLUMN_CATEGORY``, ``QNN_COLUMN_OTHER`` for rare and
        unknown ones.

        - "float", "double": the features.  Equal to ``predict`` on every float32, or float64,
          row: thresholds are rounded up to that type, so no value changes sides.
        - "int8", "uint8", "int16", "uint16", "int32": features that are integers of that type, as from
          a converter or a camera.  No floats at all.  Fit on such integers as they come, without a
          scaler: they are compared with the thresholds of training, whose range the header
          gives for each feature.
        - "codes": the int8 codes that ``quantize_input`` returns.  Codes beyond ``input_range``
          are not checked, and void the proof.
    row : {"auto", "array", "struct"}, default="auto"
        Form of a row.  "auto" is a struct where columns have names, or are not all of one type,
        and an array else.
    optimize : {"speed", "size"}, default="speed"
        "speed" spends a byte on each weight and adds four at a time.  "size" spends half a byte,
        or packs five ternary weights into one byte, whichever is smaller; it takes up to three
        times the instructions.
    test_vectors : array-like or DataFrame of shape (n_samples, n_features), optional
        Raw rows for a self-test: a C program whose ``main`` returns 0 if the compiled network
        gives the sums and the predictions of Python on all of them.  It is written beside the
        header, as ``net_test.c`` beside ``net.h``.

    Returns
    -------
    CHeader
        With ``text``, ``flash_bytes`` and ``ram_bytes``; of two files, ``source`` as well; with
        `test_vectors`, ``self_test``.

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
    Infinite features lie above or below all thresholds.  Where ``predict`` refuses a NaN, in
    networks of versions before there were gaps, it reaches none of them, like a very small value.

    On AVR, tables stay in flash (``PROGMEM``).  Its ``double`` has 32 bits, so ``qnn_decision`` and
    a regressor's ``qnn_predict`` round there; ``qnn_predict_fixed`` does not.

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
    _check_options(prefix, optimize)
    network = integer_network_of(model)
    rows = chosen_rows(network, input, row)
    labels = checked_labels(network.classes)
    check_network(network)
    source, simplified = Source(prefix), simplify(network.layers)
    source.memory()
    inputs, layers = _write_inputs(source, network, simplified, rows)
    lowered = c_layers(layers, simplified.constant, packed=optimize == "size")
    write_layers(source, lowered, unroll=optimize == "speed")
    write_raw(source, lowered, encodes=rows.form != "codes")
    fixed = _write_output(source, layers[-1], lowered[-1], labels)
    head = _head(source, network, lowered, inputs, fixed)
    files = _Files(path)
    test = None
    if test_vectors is not None:
        test = self_test(
            source, files.header_name, network, inputs.columns, rows, fixed, test_vectors
        )
    return files.written(source, head, test)


def _check_options(prefix, optimize) -> None:
    if optimize not in ("size", "speed"):
        raise ValueError(f"optimize={optimize!r} must be one of ['size', 'speed'].")
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


@dataclass(frozen=True)
class _Inputs:
    """What a header says of the rows that it takes."""

    lines: list[str]
    columns: list[Column]
    row: str = ""
    types: dict = field(default_factory=dict)


def _write_inputs(source: Source, network: IntegerNetwork, simplified: Simplified, rows: Rows):
    """Rows to codes; what the header says of them, and the layers that take these codes."""
    encoding, p = network.encoding, source.p
    source.argument = f"const {p}_input_t *x"
    if rows.form == "codes":
        lines = code_lines(source.macro, encoding)
        return _Inputs(lines, [], types={"input_t": np.int8}), simplified.layers
    needed = needed_features(encoding, simplified.inputs)
    columns = columns_of(source, encoding, needed, network.feature_names, rows.types)
    if rows.form == "struct":
        source.argument, source.row = f"const {p}_row *row", "row"
        inputs = _Inputs(row_lines(p), columns, row_definitions(source, encoding, columns))
    else:
        types = {"input_t": columns[0].dtype}
        inputs = _Inputs(array_lines(source.macro, encoding, columns), columns, types=types)
    write_encode(source, encoding, columns, fields=rows.form == "struct")
    return inputs, simplified.layers_of_inputs(needed[encoding.feature])


def _write_output(
    source: Source, layer: OutputLayer, output: COutputLayer, labels: np.ndarray | None
) -> FixedPoint | None:
    """What is computed from the sums; of a regressor, also its fixed point."""
    ranges, fixed = layer.total_range + layer.added_up(output.start[None]).T, None
    if labels is None:
        fixed = fixed_point(ranges, layer.scale, layer.bias)
    else:
        scores = integer_scores(ranges, layer.scale, layer.bias, layer.n_sums)
        write_classify(source, scores, output)
        write_labels(source, labels)
    if fixed is not None:
        write_fixed(source, fixed, output)
    source.everywhere(f"#ifndef {source.macro}_INTEGER_ONLY")
    write_decision(source, layer.scale, layer.bias, output)
    if labels is None:
        write_regress(source, output)
    source.everywhere("#endif")
    return fixed


def _head(source: Source, network: IntegerNetwork, layers, inputs: _Inputs, fixed) -> Head:
    output, encodes = layers[-1], bool(inputs.columns)
    n_sums = output.shape[0]
    constants: dict[str, int | str] = {"VERSION": c_string(__version__)}
    constants["MODEL_ID"] = c_string(str(arrays_of(network)["model_id"])[:_ID_DIGITS])
    constants |= (
        {"N_FEATURES": network.n_features_in} if encodes else {"N_CODES": layers[0].shape[1]}
    )
    constants |= {"N_SUMS": n_sums, "N_VALUES": output.n_values}
    if network.classes is not None:
        constants["N_CLASSES"] = len(network.classes)
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


class _Files:
    """Where a header goes, and a source file and a self-test beside it."""

    def __init__(self, path):
        self.source = path if path is not None and Path(path).suffix == ".c" else None
        self.header = path if self.source is None else Path(path).with_suffix(".h")
        self.header_name = "net.h" if path is None else Path(self.header).name

    def written(self, source: Source, head: Head, test: str | None) -> CHeader:
        """The texts, which are written if there is a path."""
        text, defined = one_header(source, head), None
        if self.source is not None:
            text, defined = header_and_source(source, head, self.header_name)
        if self.header is not None:
            beside = Path(self.header)
            files = {self.source: defined, self.header: text}
            files[beside.with_name(f"{beside.stem}_test.c")] = test
            for path, content in files.items():
                if content is not None:
                    write_whole(path, content.encode())
        header = None if self.header is None else os.fspath(self.header)
        return CHeader(text, header, **head.counts, source=defined, self_test=test)

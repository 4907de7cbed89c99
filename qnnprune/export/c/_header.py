"""An integer network in C99, for microcontrollers and other small places.

The code needs ``stdint.h`` and nothing else.  Pruned weights take neither bytes nor time,
sums have the narrowest type that their proof allows, and no float is inside: features are
compared with thresholds, and classes by integers that order as the float64 logits do.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from math import prod

from ..._files import write_whole
from ...integer import IntegerGraph
from ...integer._consistency import check_network
from .._common import integer_network_of
from ._assembly import assembled
from ._files import Files
from ._graph import graph_text
from ._labels import checked_labels
from ._rows import chosen_rows
from ._selftest import self_test

__all__ = ["CHeader", "to_c"]

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

    for one of several labels a row

    - ``void qnn_predict(ROW, uint8_t *label)``: 1 for each of the ``QNN_N_LABELS`` labels that is
      predicted, and 0 for others, by integers alone,

    for a regressor

    - ``double qnn_predict(ROW)``, or with several targets ``void qnn_predict(ROW, double *value)``,
    - ``int32_t qnn_predict_fixed(ROW)``, or ``void qnn_predict_fixed(ROW, int32_t *value)``: the
      same in units of ``2**-QNN_FRACTION_BITS``, without floating-point numbers.  The header
      says how far off it can be.  Sums of more than 24 bits take ``int64_t``.  Several quantiles
      are in ascending order, in both.  With the losses "poisson" and "gamma" there is no fixed
      point, and ``qnn_predict`` calls ``exp`` of ``math.h``, which may differ from numpy's in the
      last bit: link with ``-lm``.

    and for all

    - ``void qnn_raw(ROW, qnn_sum_t *sum)``: the ``QNN_N_SUMS`` integer sums
      of the output layer, as they are proven,
    - ``QNN_VERSION`` and ``QNN_MODEL_ID``: strings, the version of qnnprune and a hash of the
      network, that of its file,
    - ``void qnn_decision(const qnn_sum_t *sum, double *value)``: ``sum * scale + bias``, the
      ``QNN_N_VALUES`` logits or target values, or their logarithms, in the order of training.

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
    model : PrunedNeuralNetClassifier, PrunedNeuralNetRegressor, IntegerNetwork or IntegerGraph
        Fitted.  Sums are exact, as those of ``IntegerNetwork.predict``.  Of an `IntegerGraph`, one
        header of loops over weights that all positions share, with ``raw``, ``decision`` and
        ``predict``; `input`, `row`, `optimize` and `test_vectors` do not apply.
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
        or packs five ternary weights into one byte, whichever is smaller; it takes up to five
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
    if isinstance(model, IntegerGraph):
        return _graph_header(model, path, prefix, input, row, test_vectors)
    network = integer_network_of(model)
    rows = chosen_rows(network, input, row)
    labels = checked_labels(network.classes)
    check_network(network)
    found = assembled(network, labels, prefix, rows, optimize)
    files, test = Files(path), None
    if test_vectors is not None:
        test = self_test(found, files.header_name, network, rows, test_vectors)
    text, source = files.texts(found.source, found.head)
    header = files.write(text, source, test)
    return CHeader(text, header, **found.head.counts, source=source, self_test=test)


def _graph_header(network: IntegerGraph, path, prefix, input, row, test_vectors) -> CHeader:
    if row != "auto" or test_vectors is not None:
        raise ValueError("An IntegerGraph has no row= and no test_vectors=: leave them out.")
    if input != "float":
        raise ValueError(
            f"input={input!r}: an IntegerGraph takes the inputs of its module, floats or, without a "
            "quantizer at its beginning, integers. Leave input as it is."
        )
    if path is not None and os.fspath(path).endswith(".c"):
        raise ValueError(
            f"path={path!r}: an IntegerGraph becomes one header; name it as one, net.h."
        )
    text = graph_text(network, prefix)
    whole = "\n".join(text.parts)
    if path is not None:
        write_whole(path, whole.encode("ascii"))
    sums = [
        (o, place) for place, o in enumerate(network.operations, start=1) if hasattr(o, "matrix")
    ]
    macs = sum(o.matrix.size * prod(network.shapes[place][1:]) for o, place in sums)
    where = None if path is None else os.fspath(path)
    return CHeader(whole, where, text.flash_bytes, text.ram_bytes, network.nonzeros, macs)


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

"""QONNX: an integer network with a data type on every tensor, for FINN and hls4ml.

A sum's type is the one that the proof gives.
"""

from __future__ import annotations

import numpy as np

from ..._files import write_whole
from ...integer import IntegerGraph
from ...integer._consistency import check_network
from .._common import integer_network_of, require
from ._forms import FORMS
from ._graphs import add_graph
from ._networks import add_network

__all__ = ["to_qonnx"]


def to_qonnx(model, path=None, *, thresholds_as: str = "MultiThreshold", batch_size: int = 1):
    """Convert a fitted estimator to a QONNX model of its integer network.

    Parameters
    ----------
    model : PrunedNeuralNetClassifier, PrunedNeuralNetRegressor, IntegerNetwork, Pipeline or \
            IntegerGraph
        Fitted.  Other steps of a pipeline are folded into the network.
    path : str or path-like, optional
        Where to write the model as well; replaced only once the new file is whole.
    thresholds_as : {"MultiThreshold", "Quant"}, default="MultiThreshold"
        Operator of the hidden neurons: the first for FINN, the second for hls4ml, with
        2**n_a_bits - 1 of them a layer, so for narrow activations.  With "Quant", weights
        and codes pass through a ``Quant`` as well, which tells hls4ml their types.
    batch_size : int, default=1
        Rows at a time: QONNX has fixed shapes, and FINN asks for 1.

    Returns
    -------
    onnx.ModelProto
        Input ``codes``: float32 of shape (batch_size, n_in), holding the integers of
        `IntegerNetwork.quantize_input`.  Output ``decision``: float32 of shape
        (batch_size, n_logits).  Weights are ``weight_L``, thresholds ``thresholds_L``, sums
        ``accumulator_L`` and codes ``codes_L``, L counting the layers from 0.  Where a logit
        has several sums, they are added up in ``total``: the product of the last accumulators
        and of ``ones``, a matrix of 0 and 1.

        Of an `IntegerGraph`, ``codes`` and ``decision`` have the shape of its input and output, and
        names end in those of its layers, such as ``accumulator_conv1`` and ``codes_act1``, with
        other characters than letters and digits replaced by underscores, and with a number at
        the end where a layer is used again.  Convolutions are ``Conv`` of integers.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    ImportError
        If onnx is missing; the message says how to install it.
    ValueError
        If an option has no such value, the network contradicts itself, or a sum is too wide
        for QONNX's float32.
    OSError
        If `path` cannot be written to.  No part of a file is left.

    Notes
    -----
    QONNX's tensors are float32, so raw rows with texts, dates and float64 stay outside: whoever
    feeds the model encodes them, by `IntegerNetwork.quantize_input`, which needs numpy alone.

    Neurons that no input can switch, and those that nobody reads, are left out: thresholds and
    bias take in what constant ones add.  All other integers are equal to those of
    `IntegerNetwork.run`, less these constants.  The affine map at the end is float32 here, as
    QONNX has no float64: ``decision`` is the float32 rounding of a product and a sum, and where
    two logits lie closer than that, another label could win.  What follows the affine map is for
    the host: labels, exponentials and sorted quantiles, as ``IntegerNetwork.decode`` makes them.

    One type holds all sums of a layer: the proven range of the whole layer decides, which is
    one bit more than that of each neuron if unsigned neurons as wide as the widest signed
    ones are among them.  ``total`` is wider than the sums that it adds up: leave it and the
    affine map to the host, or give that one addition the wider register of its type.

    Where codes of a graph fall as sums rise, as after a negative factor of a batch normalisation,
    a product and an addition per channel follow the ``MultiThreshold``.

    FINN clips thresholds to the range of the sums where it fuses them with the
    ``MatMul``, and one that no sum reaches would then be reached by the largest: let it build
    with ``standalone_thresholds=True``.

    hls4ml 1.3 reads the other form after ``qonnx.util.cleanup.cleanup_model``.  Its emulation
    gave the same integers, with each ``accum`` precision set to the proven width too; how
    close ``decision`` is depends on the precision that it is given for the last two layers.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from qnnprune import PrunedNeuralNetClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> net = PrunedNeuralNetClassifier((16,), n_output_sums=4, max_epochs=2, random_state=0)
    >>> [node.op_type for node in to_qonnx(net.fit(X, y)).graph.node]
    ['MatMul', 'MultiThreshold', 'MatMul', 'MatMul', 'Mul', 'Add']
    """
    if thresholds_as not in FORMS:
        raise ValueError(f"thresholds_as={thresholds_as!r} must be one of {tuple(FORMS)}.")
    _check_batch_size(batch_size)
    form = FORMS[thresholds_as](int(batch_size))
    if isinstance(model, IntegerGraph):
        add_graph(form, model)
    else:
        network = integer_network_of(model)
        check_network(network)
        add_network(form, network)
    require("onnx", "qonnx")
    proto = form.proto()
    if path is not None:
        write_whole(path, proto.SerializeToString())
    return proto


def _check_batch_size(batch_size) -> None:
    right = isinstance(batch_size, (int, np.integer)) and not isinstance(batch_size, bool)
    if not right or batch_size < 1:
        raise ValueError(f"batch_size={batch_size!r} must be an integer of at least 1.")

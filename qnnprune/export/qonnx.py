"""QONNX: the integer network with a data type on every tensor, for FINN's intake.

A layer is a ``MatMul`` and a ``MultiThreshold``, which counts the thresholds that a sum
reaches: `IntegerLayer` in FINN's own words.  Tensors are float32, as QONNX has it, and
annotated with the integers that they hold; a sum's type is the one that the proof gives.
"""

from __future__ import annotations

import numpy as np

from ..accumulators import accumulator_bits
from ..consistency import check_network
from ..files import write_whole
from ..integer import IntegerLayer, IntegerNetwork
from .common import integer_network_of, require
from .graph import Graph, Tensor, model_proto

__all__ = ["to_qonnx"]

_DOMAIN = "qonnx.custom_op.general"
_LARGEST_SUM = 2**24  # up to here float32 holds every integer


def to_qonnx(model, path=None, *, batch_size: int = 1):
    """Convert a fitted estimator to a QONNX model of its integer network.

    Parameters
    ----------
    model : PrunedNeuralNetClassifier, PrunedNeuralNetRegressor or IntegerNetwork
        Fitted.  Of a pipeline, its last step.
    path : str or path-like, optional
        Where to write the model as well; replaced only once the new file is whole.
    batch_size : int, default=1
        Rows at a time: QONNX has fixed shapes, and FINN asks for 1.

    Returns
    -------
    onnx.ModelProto
        Input ``codes``: float32 of shape (batch_size, n_in), holding the integers of
        `IntegerNetwork.quantize_input`.  Output ``decision``: float32 of shape
        (batch_size, n_logits).  Weights are ``weight_L``, thresholds ``thresholds_L``, sums
        ``accumulator_L`` and codes ``codes_L``, L counting the layers from 0.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    ImportError
        If onnx is missing; ``pip install 'qnnprune[qonnx]'`` installs it.
    ValueError
        If `batch_size` is not a positive integer, the network contradicts itself, or a sum
        is too wide for QONNX's float32.
    OSError
        If `path` cannot be written to.  No part of a file is left.

    Notes
    -----
    All integers are equal to those of `IntegerNetwork.run`.  The affine map at the end is
    float32 here, as QONNX has no float64: ``decision`` is the float32 rounding of a product
    and a sum, and where two logits lie closer than that, another label could win.

    One type holds all sums of a layer: the proven range of the whole layer decides, which is
    one bit more than that of each neuron if unsigned neurons as wide as the widest signed
    ones are among them.  Weights on a constant feature, whose code is always 0, are 0.

    FINN clips thresholds to the range of the sums where it fuses them with the
    ``MatMul``, and one that no sum reaches would then be reached by the largest: let it build
    with ``standalone_thresholds=True``.  hls4ml's frontend does not know ``MultiThreshold``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from qnnprune import PrunedNeuralNetClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> net = PrunedNeuralNetClassifier((16,), n_accum_bits=6, max_epochs=2, random_state=0)
    >>> [node.op_type for node in to_qonnx(net.fit(X, y)).graph.node]
    ['MatMul', 'MultiThreshold', 'MatMul', 'Mul', 'Add']
    """
    _check_batch_size(batch_size)
    network = integer_network_of(model)
    check_network(network)
    require("onnx", "qonnx")
    proto = _Qonnx(int(batch_size)).build(network)
    if path is not None:
        write_whole(path, proto.SerializeToString())
    return proto


def _check_batch_size(batch_size) -> None:
    right = isinstance(batch_size, (int, np.integer)) and not isinstance(batch_size, bool)
    if not right or batch_size < 1:
        raise ValueError(f"batch_size={batch_size!r} must be an integer of at least 1.")


class _Qonnx:
    """A QONNX model under construction: a graph, and shape and integer type of its values."""

    def __init__(self, batch_size: int):
        self.graph, self.batch_size = Graph(), batch_size
        self.values: dict[str, Tensor] = {}
        self.types: dict[str, str] = {}

    def build(self, network: IntegerNetwork):
        """Add the whole network and turn it into a model."""
        codes = self._value("codes", len(network.encoding.feature), f"INT{network.encoding.n_bits}")
        for index, layer in enumerate(network.layers):
            acc = self._add_sums(index, layer, codes, network.n_w_bits)
            if layer.thresholds is not None:
                codes = self._add_thresholds(index, layer, acc)
        product = self.graph.add("Mul", acc, layer.scale.astype(np.float32), output="scaled")
        self._value(product, len(layer.weight))
        self.graph.add("Add", product, layer.bias.astype(np.float32), output="decision")
        self._value("decision", len(layer.weight))
        return self._proto()

    def _value(self, name: str, width: int, integer_type: str | None = None) -> str:
        self.values[name] = Tensor(np.dtype(np.float32), [self.batch_size, width])
        if integer_type is not None:
            self.types[name] = integer_type
        return name

    def _constant(self, name: str, integers: np.ndarray, integer_type: str) -> str:
        self.types[name] = integer_type
        return self.graph.constant(integers.astype(np.float32), name)

    def _add_sums(self, index: int, layer: IntegerLayer, codes: str, n_w_bits: int) -> str:
        low, high = layer.accumulator_range[:, 0].min(), layer.accumulator_range[:, 1].max()
        if max(-low, high) > _LARGEST_SUM:
            raise ValueError(
                f"Layer {index} has sums from {low} to {high}, and QONNX's float32 holds all "
                f"integers only up to {_LARGEST_SUM}: n_accum_bits=25 or less would fit."
            )
        constant = (layer.input_range == 0).all(axis=1)
        weight = np.where(constant, 0, layer.weight).T
        weight = self._constant(f"weight_{index}", weight, f"INT{n_w_bits}")
        acc = self.graph.add("MatMul", codes, weight, output=f"accumulator_{index}")
        return self._value(acc, len(layer.weight), _integer_type(low, high))

    def _add_thresholds(self, index: int, layer: IntegerLayer, acc: str) -> str:
        low, high = layer.accumulator_range.T[:, :, None]
        thresholds = np.clip(layer.thresholds, low, high + 1)
        holds = _integer_type(thresholds.min(), thresholds.max())
        out_type = f"INT{thresholds.shape[1].bit_length()}"
        codes = self.graph.add(
            "MultiThreshold",
            acc,
            self._constant(f"thresholds_{index}", thresholds, holds),
            output=f"codes_{index}",
            domain=_DOMAIN,
            out_dtype=out_type,
            out_bias=float(layer.output_low),
        )
        return self._value(codes, len(thresholds), out_type)

    def _proto(self):
        from onnx import StringStringEntryProto, TensorAnnotation

        inner = dict(self.values)
        inputs, outputs = ({name: inner.pop(name)} for name in ("codes", "decision"))
        proto = model_proto(self.graph, inputs, outputs, inner=inner, domains=[_DOMAIN])
        for name, integer_type in self.types.items():
            # The key that QONNX kept from FINN.
            entry = StringStringEntryProto(key="finn_datatype", value=integer_type)
            annotation = TensorAnnotation(tensor_name=name, quant_parameter_tensor_names=[entry])
            proto.graph.quantization_annotation.append(annotation)
        return proto


def _integer_type(low: int, high: int) -> str:
    """QONNX's name of the narrowest integers that hold a range."""
    bits = accumulator_bits(np.array([[low, high]]))[0]
    return f"INT{bits}" if low < 0 else f"UINT{bits}"

"""QONNX: the integer network with a data type on every tensor, for FINN and hls4ml.

For FINN, a layer is a ``MatMul`` and a ``MultiThreshold``, which counts the thresholds that a
sum reaches: `HiddenLayer` in FINN's own words.  hls4ml knows no such operator.  For it, a
threshold t is a step of integers, sum - t + 1 clipped to 0 .. 1 by a ``Quant`` of one unsigned
bit, and the steps of a neuron are added up: more operators, the same integers.

Tensors are float32, as QONNX has it, and annotated with the integers that they hold; a
sum's type is the one that the proof gives.  The sums of one logit are added up by a product
with a matrix of 0 and 1, as both compilers know a ``MatMul``.
"""

from __future__ import annotations

import numpy as np

from .._files import write_whole
from ..accumulators import accumulator_bits
from ..integer import HiddenLayer, IntegerLayer, IntegerNetwork, OutputLayer
from ..integer._consistency import check_network
from ..integer._simplify import simplify
from ._common import integer_network_of, require
from .onnx._graph import Graph, Tensor, model_proto

__all__ = ["to_qonnx"]

_DOMAIN = "qonnx.custom_op.general"
_LARGEST_SUM = 2**24  # up to here float32 holds every integer


def to_qonnx(model, path=None, *, thresholds_as: str = "MultiThreshold", batch_size: int = 1):
    """Convert a fitted estimator to a QONNX model of its integer network.

    Parameters
    ----------
    model : PrunedNeuralNetClassifier, PrunedNeuralNetRegressor or IntegerNetwork
        Fitted; or a pipeline that ends in one, whose other steps are folded into the network.
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
    >>> net = PrunedNeuralNetClassifier((16,), n_accum_bits=6, max_epochs=2, random_state=0)
    >>> [node.op_type for node in to_qonnx(net.fit(X, y)).graph.node]
    ['MatMul', 'MultiThreshold', 'MatMul', 'MatMul', 'Mul', 'Add']
    """
    if thresholds_as not in _FORMS:
        raise ValueError(f"thresholds_as={thresholds_as!r} must be one of {tuple(_FORMS)}.")
    _check_batch_size(batch_size)
    network = integer_network_of(model)
    check_network(network)
    require("onnx", "qonnx")
    proto = _FORMS[thresholds_as](int(batch_size)).build(network)
    if path is not None:
        write_whole(path, proto.SerializeToString())
    return proto


def _check_batch_size(batch_size) -> None:
    right = isinstance(batch_size, (int, np.integer)) and not isinstance(batch_size, bool)
    if not right or batch_size < 1:
        raise ValueError(f"batch_size={batch_size!r} must be an integer of at least 1.")


class _MultiThresholdForm:
    """A QONNX model under construction: a graph, and shape and integer type of its values."""

    def __init__(self, batch_size: int):
        self.graph, self.batch_size = Graph(), batch_size
        self.values: dict[str, Tensor] = {}
        self.types: dict[str, str] = {}

    def build(self, network: IntegerNetwork):
        """Add the whole network and turn it into a model."""
        codes = self._add_input(len(network.encoding.feature), network.encoding.n_bits)
        for index, layer in enumerate(simplify(network.layers).layers_of_bias()):
            acc = self._add_sums(index, layer, codes, network.n_w_bits)
            if isinstance(layer, HiddenLayer):
                low, high = layer.accumulator_range.T[:, :, None]
                thresholds = np.clip(layer.thresholds, low, high + 1)
                codes = self._add_thresholds(index, thresholds, layer.output_low, acc)
        total = self._add_totals(layer, acc)
        scaled = self._add("Mul", total, layer.scale.astype(np.float32), layer.n_logits, "scaled")
        self._add("Add", scaled, layer.bias.astype(np.float32), layer.n_logits, "decision")
        return self._proto()

    def _add_input(self, n_in: int, n_bits: int) -> str:
        return self._value("codes", n_in, f"INT{n_bits}")

    def _add_sums(self, index: int, layer: IntegerLayer, codes: str, n_w_bits: int) -> str:
        integers = _sum_type(f"Layer {index} has sums", layer.accumulator_range, 25)
        weight = self._add_weight(f"weight_{index}", layer.weight.T, n_w_bits)
        n_out = len(layer.weight)
        return self._add("MatMul", codes, weight, n_out, f"accumulator_{index}", integers)

    def _add_weight(self, name: str, weight: np.ndarray, n_w_bits: int) -> str:
        return self._constant(name, weight, f"INT{n_w_bits}")

    def _add_totals(self, layer: OutputLayer, acc: str) -> str:
        """The sums of each logit added up, as a product that hardware compilers know."""
        if layer.n_sums == 1:
            return acc
        fitting = 25 - (layer.n_sums - 1).bit_length()
        integers = _sum_type("The output layer has totals", layer.total_range, fitting)
        # Two bits of either sign are the narrowest weights with a 1.
        ones = self._add_weight("ones", np.tile(np.eye(layer.n_logits), (layer.n_sums, 1)), 2)
        return self._add("MatMul", acc, ones, layer.n_logits, "total", integers)

    def _add_thresholds(self, index: int, thresholds, output_low: int, acc: str) -> str:
        """Codes of a hidden layer; `thresholds` is of shape (n_out, n_thresholds)."""
        integers = _integer_type(thresholds.min(), thresholds.max())
        constant = self._constant(f"thresholds_{index}", thresholds, integers)
        (n_out, n_thresholds), name = thresholds.shape, f"codes_{index}"
        out_type = f"INT{n_thresholds.bit_length()}"
        attributes = {"domain": _DOMAIN, "out_dtype": out_type, "out_bias": float(output_low)}
        return self._add("MultiThreshold", acc, constant, n_out, name, out_type, **attributes)

    def _add(self, op, value, operand, width, name, integer_type=None, **attributes) -> str:
        self.graph.add(op, value, operand, output=name, **attributes)
        return self._value(name, width, integer_type)

    def _value(self, name: str, width: int, integer_type: str | None = None) -> str:
        self.values[name] = Tensor(np.dtype(np.float32), [self.batch_size, width])
        if integer_type is not None:
            self.types[name] = integer_type
        return name

    def _constant(self, name: str, integers, integer_type: str) -> str:
        self.types[name] = integer_type
        return self.graph.constant(np.asarray(integers, dtype=np.float32), name)

    def _proto(self):
        from onnx import StringStringEntryProto, TensorAnnotation

        inner = dict(self.values)
        inputs, outputs = ({name: inner.pop(name)} for name in ("codes", "decision"))
        proto = model_proto(self.graph, inputs, outputs, inner=inner)
        for name, integer_type in self.types.items():
            # The key that QONNX kept from FINN.
            entry = StringStringEntryProto(key="finn_datatype", value=integer_type)
            annotation = TensorAnnotation(tensor_name=name, quant_parameter_tensor_names=[entry])
            proto.graph.quantization_annotation.append(annotation)
        return proto


class _QuantForm(_MultiThresholdForm):
    """The same in operators that hls4ml knows."""

    def _add_input(self, n_in: int, n_bits: int) -> str:
        codes = super()._add_input(n_in, n_bits)
        return self._add_quant(codes, n_in, "quantized_codes", n_bits)

    def _add_weight(self, name: str, weight: np.ndarray, n_w_bits: int) -> str:
        source, inputs = (
            super()._add_weight(name, weight, n_w_bits),
            self._scale_and_width(n_w_bits),
        )
        output = f"quantized_{name}"
        self.values[output] = Tensor(np.dtype(np.float32), list(weight.shape))
        return self.graph.add("Quant", source, *inputs, output=output, **_QUANT, signed=1, narrow=1)

    def _add_thresholds(self, index: int, thresholds, output_low: int, acc: str) -> str:
        n_out, n_thresholds = thresholds.shape
        steps = [self._add_step(f"{index}_{k}", t, acc) for k, t in enumerate(thresholds.T)]
        total = steps[0]
        for k, step in enumerate(steps[1:]):
            total = self._add("Add", total, step, n_out, f"count_{index}_{k}")
        low = np.full(n_out, output_low, dtype=np.float32)
        total = self._add("Add", total, low, n_out, f"shifted_{index}")
        return self._add_quant(total, n_out, f"codes_{index}", n_thresholds.bit_length())

    def _add_step(self, name: str, threshold: np.ndarray, acc: str) -> str:
        """1 where the sum reaches the threshold, 0 elsewhere."""
        integers = _integer_type(*(1 - threshold[[threshold.argmax(), threshold.argmin()]]))
        shift = self._constant(f"shift_{name}", 1 - threshold, integers)
        beyond = self._add("Add", acc, shift, len(threshold), f"beyond_{name}")
        return self._add_quant(beyond, len(threshold), f"step_{name}", 1, signed=0)

    def _add_quant(self, value: str, width: int, name: str, n_bits: int, signed: int = 1) -> str:
        # One signed bit means -1 and 1 to a Quant, not -1 and 0: two hold these.
        n_bits = max(2, n_bits) if signed else n_bits
        inputs = [value, *self._scale_and_width(n_bits)]
        self.graph.add("Quant", *inputs, output=name, **_QUANT, signed=signed, narrow=0)
        return self._value(name, width, f"{'INT' if signed else 'UINT'}{n_bits}")

    def _scale_and_width(self, n_bits: int) -> list[str]:
        """Scale, zero point and bit width of a Quant that leaves integers as they are."""
        names = {"one": 1, "zero": 0, f"width_{n_bits}": n_bits}
        return [self.graph.constant(np.float32(value), name) for name, value in names.items()]


_QUANT = {"domain": _DOMAIN, "rounding_mode": "FLOOR"}
_FORMS = {"MultiThreshold": _MultiThresholdForm, "Quant": _QuantForm}


def _sum_type(what: str, ranges: np.ndarray, fitting: int) -> str:
    """QONNX's name of the integers that hold all sums of a layer, if float32 does."""
    low, high = ranges[:, 0].min(), ranges[:, 1].max()
    if max(-low, high) > _LARGEST_SUM:
        raise ValueError(
            f"{what} from {low} to {high}, and QONNX's float32 holds all integers only up to "
            f"{_LARGEST_SUM}: n_accum_bits={fitting} or less would fit."
        )
    return _integer_type(low, high)


def _integer_type(low: int, high: int) -> str:
    """QONNX's name of the narrowest integers that hold a range."""
    bits = accumulator_bits(np.array([[low, high]]))[0]
    return f"INT{bits}" if low < 0 else f"UINT{bits}"

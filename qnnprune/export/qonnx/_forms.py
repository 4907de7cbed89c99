"""QONNX's operators for sums and thresholds, in two forms: for FINN and for hls4ml.

For FINN, thresholds are a ``MultiThreshold``, which counts those that a sum reaches.  hls4ml knows
no such operator.  For it, a threshold t is a step of integers, sum - t + 1 clipped to 0 .. 1 by a
``Quant`` of one unsigned bit, and the steps of a neuron are added up: more operators, the same
integers.

Tensors are float32, as QONNX has it, and annotated with the integers that they hold.
"""

from __future__ import annotations

import numpy as np

from ...accumulators import accumulator_bits
from ...integer._windows import Window
from ..onnx._graph import Graph, Tensor, model_proto
from ..onnx._graph_operators import per_channel, window_attributes

__all__ = ["FORMS", "Form", "integer_type"]

_DOMAIN = "qonnx.custom_op.general"
# QONNX takes three axes for (rows, positions, channels) where nothing is said.
_LAYOUTS = {2: "NC", 3: "NCW", 4: "NCHW"}

Shape = tuple[int, ...]


def integer_type(low: int, high: int) -> str:
    """QONNX's name of the narrowest integers that hold a range."""
    bits = accumulator_bits(np.array([[low, high]]))[0]
    return f"INT{bits}" if low < 0 else f"UINT{bits}"


class Form:
    """A QONNX model under construction: a graph, and shape and integer type of its values.

    Shapes are those of one row, channels first.

    Parameters
    ----------
    batch_size : int
    """

    def __init__(self, batch_size: int):
        self.graph, self.batch_size = Graph(), batch_size
        self.values: dict[str, Tensor] = {}
        self.types: dict[str, str] = {}

    def add_input(self, shape: Shape, low: int, high: int) -> str:
        """The codes that come in, within a range."""
        return self._value("codes", shape, integer_type(low, high))

    def add_product(self, codes: str, weight, n_w_bits: int, names, kind: str) -> str:
        """Sums of a linear layer.

        Parameters
        ----------
        codes : str
        weight : integer array of shape (n_out, n_in)
        n_w_bits : int
            Width of the weights, in bits.
        names : tuple of str
            Of the weights and of the sums.
        kind : str
            Type of the sums.
        """
        matrix = self._add_weight(names[0], weight.T, n_w_bits)
        return self.add("MatMul", codes, matrix, (len(weight),), names[1], kind)

    def add_convolution(
        self, codes: str, weight, window: Window, groups: int, n_w_bits: int, names, shape, kind
    ) -> str:
        """Sums of a convolution, as `add_product`; `shape` is that of the sums."""
        kernel = self._add_weight(names[0], weight, n_w_bits)
        attributes = window_attributes(window) | {"group": groups}
        return self.add("Conv", codes, kernel, shape, names[1], kind, **attributes)

    def _add_weight(self, name: str, weight: np.ndarray, n_w_bits: int) -> str:
        return self.constant(name, weight, f"INT{n_w_bits}")

    def add_codes(self, value: str, thresholds, low: int, shape: Shape, names) -> str:
        """Codes that count the thresholds that a sum reaches, from `low` on.

        Parameters
        ----------
        value : str
        thresholds : integer array of shape (n_channels, n_thresholds)
            Ascending in each row.
        low : int
            The code below all thresholds.
        shape : tuple of int
        names : tuple of str
            What the names of the constants end in, and the name of the codes.
        """
        kind = integer_type(thresholds.min(), thresholds.max())
        constant = self.constant(f"thresholds_{names[0]}", thresholds, kind)
        out_type = integer_type(low, low + thresholds.shape[1])
        attributes = {"domain": _DOMAIN, "out_dtype": out_type, "out_bias": float(low)}
        if len(shape) > 1:
            attributes["data_layout"] = _LAYOUTS[len(shape) + 1]
        return self.add("MultiThreshold", value, constant, shape, names[1], out_type, **attributes)

    def add_affine(self, value: str, scale, bias, shape: Shape) -> str:
        """The values that are put out, in float32; `scale` and `bias` have one number per channel."""
        n_axes = len(shape) - 1
        scale, bias = (per_channel(v.astype(np.float32), n_axes) for v in (scale, bias))
        scaled = self.add("Mul", value, scale, shape, "scaled")
        return self.add("Add", scaled, bias, shape, "decision")

    def add(self, op, value, operand, shape: Shape, name, kind=None, **attributes) -> str:
        """An operator of two operands; `kind` is the type of its integers."""
        return self.add_arranged(op, (value, operand), shape, name, kind, **attributes)

    def add_arranged(self, op: str, operands, shape: Shape, name: str, kind, **attributes) -> str:
        """An operator of any number of operands."""
        name = self._free(name)
        self.graph.add(op, *operands, output=name, **attributes)
        return self._value(name, shape, kind)

    def _free(self, name: str) -> str:
        """The name, or where another value has it, the name with a number."""
        free, count = name, 1
        while free in self.values or free in self.graph.constants:
            count += 1
            free = f"{name}_{count}"
        return free

    def _value(self, name: str, shape: Shape, kind: str | None = None) -> str:
        self.values[name] = Tensor(np.dtype(np.float32), [self.batch_size, *shape])
        if kind is not None:
            self.types[name] = kind
        return name

    def constant(self, name: str, integers, kind: str) -> str:
        """Integers of a type, in float32."""
        name = self._free(name)
        self.types[name] = kind
        return self.graph.constant(np.asarray(integers, dtype=np.float32), name)

    def proto(self):
        """The whole model, an ``onnx.ModelProto``."""
        from onnx import StringStringEntryProto, TensorAnnotation

        inner = dict(self.values)
        inputs, outputs = ({name: inner.pop(name)} for name in ("codes", "decision"))
        proto = model_proto(self.graph, inputs, outputs, inner=inner)
        for name, kind in self.types.items():
            # The key that QONNX kept from FINN.
            entry = StringStringEntryProto(key="finn_datatype", value=kind)
            annotation = TensorAnnotation(tensor_name=name, quant_parameter_tensor_names=[entry])
            proto.graph.quantization_annotation.append(annotation)
        return proto


class _QuantForm(Form):
    """The same in operators that hls4ml knows."""

    def add_input(self, shape, low, high):
        codes = super().add_input(shape, low, high)
        return self._add_quant(codes, shape, "quantized_codes", low, high)

    def _add_weight(self, name, weight, n_w_bits):
        source = super()._add_weight(name, weight, n_w_bits)
        inputs, output = self._scale_and_width(n_w_bits), f"quantized_{source}"
        self.values[output] = Tensor(np.dtype(np.float32), list(weight.shape))
        return self.graph.add("Quant", source, *inputs, output=output, **_QUANT, signed=1, narrow=1)

    def add_codes(self, value, thresholds, low, shape, names):
        steps = [
            self._add_step(value, t, shape, f"{names[0]}_{k}") for k, t in enumerate(thresholds.T)
        ]
        total = steps[0]
        for k, step in enumerate(steps[1:]):
            total = self.add("Add", total, step, shape, f"count_{names[0]}_{k}")
        lowest = per_channel(np.full(shape[0], low, dtype=np.float32), len(shape) - 1)
        total = self.add("Add", total, lowest, shape, f"shifted_{names[0]}")
        return self._add_quant(total, shape, names[1], low, low + thresholds.shape[1])

    def _add_step(self, value: str, threshold: np.ndarray, shape: Shape, name: str) -> str:
        """1 where the sum reaches the threshold, 0 elsewhere."""
        shift = per_channel(1 - threshold, len(shape) - 1)
        constant = self.constant(f"shift_{name}", shift, integer_type(shift.min(), shift.max()))
        beyond = self.add("Add", value, constant, shape, f"beyond_{name}")
        return self._add_quant(beyond, shape, f"step_{name}", 0, 1)

    def _add_quant(self, value: str, shape: Shape, name: str, low: int, high: int) -> str:
        signed, n_bits = int(low < 0), int(accumulator_bits(np.array([[low, high]]))[0])
        # One signed bit means -1 and 1 to a Quant, not -1 and 0: two hold these.
        n_bits = max(2, n_bits) if signed else n_bits
        inputs, kind = (
            [value, *self._scale_and_width(n_bits)],
            f"{'INT' if signed else 'UINT'}{n_bits}",
        )
        attributes = _QUANT | {"signed": signed, "narrow": 0}
        return self.add_arranged("Quant", inputs, shape, name, kind, **attributes)

    def _scale_and_width(self, n_bits: int) -> list[str]:
        """Scale, zero point and bit width of a Quant that leaves integers as they are."""
        names = {"one": 1, "zero": 0, f"width_{n_bits}": n_bits}
        return [self.graph.constant(np.float32(value), name) for name, value in names.items()]


_QUANT = {"domain": _DOMAIN, "rounding_mode": "FLOOR"}
FORMS = {"MultiThreshold": Form, "Quant": _QuantForm}

"""ONNX models as graphs of plain nodes, with constants folded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..export._common import require
from ._values import Grid, Value, integer_limits, point, top

__all__ = ["Graph", "Node", "graph_of", "input_value"]

_DATATYPE = "finn_datatype"


@dataclass(eq=False)
class Node:
    """One operator: names of its tensors, attributes, and what it computes."""

    op: str
    domain: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    proto: Any
    opsets: list
    _evaluator: Any = None

    def evaluate(self, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        """Outputs of a standard operator, by ONNX's reference implementation.

        Parameters
        ----------
        arrays : sequence of array or None
            None where an optional input is missing.
        """
        if self._evaluator is None:
            self._evaluator = self._make_evaluator()
        named = zip(self.inputs, arrays, strict=True)
        feed = {name: array for name, array in named if array is not None}
        with np.errstate(all="ignore"):
            return [np.asarray(output) for output in self._evaluator.run(None, feed)]

    def _make_evaluator(self):
        from onnx import TensorProto, helper
        from onnx.reference import ReferenceEvaluator

        names = list(dict.fromkeys(name for name in self.inputs if name))
        infos = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in names]
        outputs = [name for name in self.outputs if name]
        results = [
            helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in outputs
        ]
        graph = helper.make_graph([self.proto], "node", infos, results)
        return ReferenceEvaluator(helper.make_model(graph, opset_imports=self.opsets))


@dataclass(eq=False)
class Graph:
    """Nodes in the order of evaluation.

    Attributes
    ----------
    nodes : list of Node
    constants : dict of str to Value
    inputs : dict of str to (list of int or None, dtype)
        Shape, None where a size is open, and type of the model's inputs.
    outputs : list of str
    integers : dict of str to (int, int)
        Ranges of tensors that QONNX annotates with an integer type.
    shapes : dict of str to (tuple of int, dtype)
        Of tensors whose shape the model states.
    """

    nodes: list[Node]
    constants: dict[str, Value]
    inputs: dict[str, tuple[list[int | None], np.dtype]]
    outputs: list[str]
    integers: dict[str, tuple[int, int]] = field(default_factory=dict)
    shapes: dict[str, tuple[tuple[int, ...], np.dtype]] = field(default_factory=dict)


def graph_of(model) -> Graph:
    """Read a model.

    Parameters
    ----------
    model : onnx.ModelProto, or str or path-like of a file

    Raises
    ------
    ImportError
        If onnx is missing.
    OSError
        If the file cannot be opened.
    ValueError
        If it holds no ONNX model.
    """
    onnx = require("onnx", "onnx")
    if not isinstance(model, onnx.ModelProto):
        model = _loaded(onnx, os.fspath(model))
    from onnx import numpy_helper

    graph = model.graph
    constants = {t.name: point(numpy_helper.to_array(t)) for t in graph.initializer}
    nodes = [_node(proto, model.opset_import) for proto in graph.node]
    inputs = {i.name: _shape_and_type(i) for i in graph.input if i.name not in constants}
    shapes = {}
    for info in (*graph.value_info, *graph.output):
        shape, dtype = _shape_and_type(info)
        if shape is not None and None not in shape:
            shapes[info.name] = tuple(shape), dtype
    outputs = [output.name for output in graph.output]
    return Graph(nodes, constants, inputs, outputs, _annotations(graph), shapes)


def _loaded(onnx, path: str):
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path)
    except DecodeError as error:
        raise ValueError(f"{path!r} holds no ONNX model: {error}") from error
    if not model.graph.node:
        raise ValueError(f"{path!r} holds no ONNX model with a node.")
    return model


def _node(proto, opsets) -> Node:
    from onnx import helper

    attributes = {a.name: helper.get_attribute_value(a) for a in proto.attribute}
    attributes = {k: v.decode() if isinstance(v, bytes) else v for k, v in attributes.items()}
    name = proto.name or next(iter(proto.output), "")
    inputs, outputs = list(proto.input), list(proto.output)
    return Node(proto.op_type, proto.domain, name, inputs, outputs, attributes, proto, list(opsets))


def _shape_and_type(info):
    from onnx import helper

    kind = info.type.tensor_type
    if not kind.elem_type:
        return None, np.dtype(np.float32)
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type))
    if not kind.HasField("shape"):
        return None, dtype
    return [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim], dtype


def _annotations(graph) -> dict[str, tuple[int, int]]:
    found = {}
    for annotation in graph.quantization_annotation:
        for entry in annotation.quant_parameter_tensor_names:
            limits = type_range(entry.value) if entry.key == _DATATYPE else None
            if limits is not None:
                found[annotation.tensor_name] = limits
    return found


def type_range(name: str) -> tuple[int, int] | None:
    """Range of an integer type by QONNX's or numpy's name; None if the name is another.

    Examples
    --------
    >>> type_range("INT4"), type_range("uint8"), type_range("BIPOLAR"), type_range("FLOAT32")
    ((-8, 7), (0, 255), (-1, 1), None)
    """
    name = name.upper()
    known = {"BIPOLAR": (-1, 1), "TERNARY": (-1, 1), "BINARY": (0, 1)}
    if name in known:
        return known[name]
    for prefix, signed in (("UINT", False), ("INT", True)):
        if name.startswith(prefix) and name[len(prefix) :].isdecimal():
            bits = int(name[len(prefix) :])
            return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return None


def input_value(name: str, shape, dtype, wanted, annotated) -> Value:
    """Range of one input of the model.

    Parameters
    ----------
    name : str
    shape : sequence of int
    dtype : numpy dtype
    wanted : None, pair of numbers or arrays, or name of an integer type
        What the user says about the range.
    annotated : (int, int) or None
        What QONNX's annotation says.
    """
    limits, integers = wanted, integer_limits(dtype) is not None
    if isinstance(wanted, str):
        limits, integers = type_range(wanted), True
        if limits is None:
            raise ValueError(f"input_range={wanted!r} of {name!r} names no integer type.")
    elif wanted is None and annotated is not None:
        limits, integers = annotated, True
    if limits is None:
        return top(shape, dtype)
    try:
        low, high = (np.broadcast_to(np.asarray(end), shape).astype(dtype) for end in limits)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"input_range={wanted!r} of {name!r} must be a pair of numbers, or of arrays that fit "
            f"its shape {tuple(shape)}, or the name of an integer type."
        ) from error
    if not (low <= high).all():
        raise ValueError(f"input_range={wanted!r} of {name!r} must have its smaller end first.")
    value = Value(low, high)
    if integers and dtype.kind == "f":
        ends = np.ceil(low.astype(np.float64)), np.floor(high.astype(np.float64))
        value = Value(low, high, Grid(*ends, np.asarray(1.0)))
    return value

"""Graphs of ONNX operators: put together with numpy alone, and turned into a model at the end."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..._version import __version__

__all__ = ["Graph", "Node", "Tensor", "attributes_of", "element_type", "model_proto"]

_OPSET = 17
# Of the operators that are not of the standard's main domain.
_VERSIONS = {"ai.onnx.ml": 2, "qonnx.custom_op.general": 1}
_IR_VERSION = 8  # the one of that opset: onnx itself writes newer ones than runtimes read


class Node(NamedTuple):
    """One operator; attributes are as in ONNX, but types as numpy has them."""

    op: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]


class Tensor(NamedTuple):
    """Type and shape of a value; None is any number of rows, dtype object is str."""

    dtype: np.dtype
    shape: list[int | None]


@dataclass
class Graph:
    """Nodes in the order of evaluation, and the constants that they use.

    Names in `taken` are those of inputs, and no other value gets one of them.
    """

    taken: Collection[str] = ()
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)

    def add(
        self, op: str, *inputs: str | np.ndarray, output: str | None = None, n_unread: int = 0,
        **attributes,
    ) -> str:  # fmt: skip
        """Append an operator; return the name of its output, the first of several.

        Parameters
        ----------
        op : str
        *inputs : str or array
            Names of values, or constants.
        output : str, optional
            A name of its own by default.
        n_unread : int
            Outputs that it has after the first, for nobody.
        **attributes
            Of the operator; ``domain`` where it is not a standard one.
        """
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        output = self.free(output or f"{op}_{len(self.nodes)}")
        outputs = [output, *(self.free(f"{output}_{k + 1}") for k in range(n_unread))]
        self.nodes.append(Node(op, names, outputs, attributes))
        return output

    def constant(self, value, name: str | None = None) -> str:
        """Keep a constant; return its name."""
        name = self.free(name or f"constant_{len(self.constants)}")
        self.constants[name] = np.asarray(value)
        return name

    def free(self, name: str) -> str:
        """The name, with underscores at its end as long as an input has it."""
        while name in self.taken:
            name += "_"
        return name


def model_proto(graph: Graph, inputs: dict, outputs: dict, *, inner=None):
    """Turn a graph into a checked ``onnx.ModelProto`` of opset 17 and IR version 8.

    Parameters
    ----------
    graph : Graph
    inputs, outputs, inner : dict of str to Tensor
        Type and shape by name; of inner values where they are wanted.
    """
    import onnx
    from onnx import helper, numpy_helper

    domains = {n.attributes["domain"] for n in graph.nodes if "domain" in n.attributes}
    nodes = [
        helper.make_node(n.op, n.inputs, n.outputs, name=n.outputs[0], **attributes_of(n))
        for n in graph.nodes
    ]
    constants = [numpy_helper.from_array(value, name) for name, value in graph.constants.items()]
    proto = helper.make_model(
        helper.make_graph(
            nodes,
            "qnnprune",
            _value_infos(inputs),
            _value_infos(outputs),
            constants,
            value_info=_value_infos(inner or {}),
        ),
        opset_imports=[
            helper.make_opsetid("", _OPSET),
            *(helper.make_opsetid(domain, _VERSIONS[domain]) for domain in sorted(domains)),
        ],
        ir_version=_IR_VERSION,
        producer_name="qnnprune",
        producer_version=__version__,
    )
    onnx.checker.check_model(proto)
    return proto


def _value_infos(tensors: dict) -> list:
    from onnx import helper

    return [
        helper.make_tensor_value_info(name, element_type(tensor.dtype), tensor.shape)
        for name, tensor in tensors.items()
    ]


def element_type(dtype: np.dtype) -> int:
    """ONNX's number of a numpy type."""
    from onnx import TensorProto, helper

    return TensorProto.STRING if dtype.kind == "O" else helper.np_dtype_to_tensor_dtype(dtype)


def attributes_of(node: Node) -> dict:
    """Attributes of a node with types as ONNX has them."""
    return {
        name: element_type(value) if isinstance(value, np.dtype) else value
        for name, value in node.attributes.items()
    }

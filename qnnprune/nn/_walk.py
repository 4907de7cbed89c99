"""Nodes of a traced forward method to steps: layers, functions, and what is neither."""

from __future__ import annotations

from typing import Any

from brevitas.nn import QuantCat, QuantConv1d, QuantConv2d, QuantEltwiseAdd, QuantLinear
from brevitas.nn.quant_layer import QuantNonLinearActLayer
from torch import Tensor, fx, nn

from ..exceptions import UnsupportedModuleError
from ._evaluation import constant_part, evaluator
from ._refusals import unsupported_function, unsupported_layer
from ._steps import (
    Add,
    Concat,
    Flatten,
    Input,
    MaxPool,
    MeanPool,
    Pointwise,
    Quantize,
    Step,
    Sum,
    Trace,
    Window,
)

__all__ = ["Walk"]

_NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)
_POINTWISE = (
    (nn.BatchNorm1d, nn.BatchNorm2d, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU)
    + (nn.CELU, nn.Hardtanh, nn.Hardsigmoid, nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Softplus)
    + (nn.Softsign, nn.Threshold, nn.GELU, nn.SiLU, nn.Hardswish, nn.Mish, nn.Tanhshrink)
)
_POINTWISE_NAMES = {
    "add", "celu", "clamp", "clip", "div", "elu", "exp", "float", "hardsigmoid", "hardtanh",
    "iadd", "imul", "isub", "itruediv", "leaky_relu", "log1p", "mul", "neg", "pow", "relu",
    "relu6", "relu_", "selu", "sigmoid", "softplus", "sub", "tanh", "truediv",
}  # fmt: skip
_NOTHING_NAMES = {
    "alpha_dropout", "clone", "contiguous", "detach", "dropout", "dropout1d", "dropout2d",
}  # fmt: skip
_SIZES = {"shape", "device", "dtype", "ndim"}
_POOL_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "max": ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "avg": ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"),
}


def _pair(value, n_axes: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (int(value),) * n_axes


class Walk:
    """Steps of the nodes of a graph.

    Parameters
    ----------
    root : torch.nn.Module
        Whose forward method was traced.
    graph : torch.fx.Graph
    shapes : dict of str to tuple of int
        Shapes of values by the name of the node, as far as they are known.
    constants : dict of str to tensor
        Tensors that the forward method made, by name.
    """

    def __init__(
        self, root: nn.Module, graph: fx.Graph, shapes: dict, constants: dict[str, Tensor]
    ):
        self.root, self.graph, self.shapes, self.constants = root, graph, shapes, constants
        self.steps: list[Step] = []
        self.places: dict[fx.Node, int] = {}  # of nodes with a value for each row

    def trace(self) -> Trace:
        """Steps up to the one that is returned."""
        for node in self.graph.nodes:
            if node.op == "output":
                return self._ending(node.args[0])
            if node.op == "placeholder":
                if self.steps:
                    raise UnsupportedModuleError(
                        f"The module takes several inputs, {node.target!r} among them; an integer "
                        "network takes one. Concatenate them before the module."
                    )
                self.places[node] = self._add(Input(str(node.target), ()))
            elif not constant_part(node, self.places, _SIZES):
                self.places[node] = self._place(node)
        raise UnsupportedModuleError("The module returns nothing.")

    def _ending(self, value) -> Trace:
        if not isinstance(value, fx.Node) or value not in self.places:
            raise UnsupportedModuleError(
                "The module must return one tensor that is computed from its input."
            )
        return Trace(tuple(self.steps), self.places[value])

    def _add(self, step: Step) -> int:
        self.steps.append(step)
        return len(self.steps) - 1

    def _place(self, node: fx.Node) -> int:
        """Place of the step that a node becomes; that of its input where nothing happens."""
        sources = self._sources(node)
        if node.op == "call_module":
            return self._module(
                node, str(node.target), self.root.get_submodule(node.target), sources
            )
        name = node.target if isinstance(node.target, str) else node.target.__name__
        return self._function(node, name, sources)

    def _sources(self, node: fx.Node) -> tuple[int, ...]:
        found: list[int] = []
        fx.node.map_arg((node.args, node.kwargs), lambda n: found.append(self.places.get(n, -1)))
        return tuple(place for place in found if place >= 0)

    # --------------------------------------------------------------- modules

    def _module(self, node, name: str, module: nn.Module, sources) -> int:
        if isinstance(module, _NOTHING):
            return sources[0]
        if isinstance(module, (QuantLinear, QuantConv1d, QuantConv2d)):
            return self._layer(name, module, sources[0])
        if isinstance(module, QuantNonLinearActLayer):
            return self._activation(name, module, sources[0])
        if isinstance(module, QuantEltwiseAdd):
            return self._branches(Add, name, module, sources, signs=(1,) * len(sources))
        if isinstance(module, QuantCat):
            return self._branches(Concat, name, module, sources)
        if isinstance(module, _POINTWISE):
            return self._add(Pointwise(name, sources, module))
        return self._other_module(node, name, module, sources)

    def _other_module(self, node, name, module, sources) -> int:
        kind = type(module).__name__
        if isinstance(module, nn.Flatten):
            self._require(
                module.start_dim == 1 and module.end_dim == -1, name, "flattens other axes"
            )
            return self._add(Flatten(name, sources))
        if kind in ("MaxPool1d", "MaxPool2d", "AvgPool1d", "AvgPool2d"):
            n_axes = int(kind[-2])
            return self._pool(name, sources, kind[:3] == "Max", n_axes, vars(module))
        if kind.startswith("AdaptiveAvgPool"):
            self._require(set(_pair(module.output_size, 1)) == {1}, name, "keeps several positions")
            return self._mean(node, name, sources, keep=True)
        raise unsupported_layer(name, kind)

    def _layer(self, name, layer, source: int) -> int:
        source = self._quantized(f"{name}.input_quant", layer.input_quant, source)
        self._require(layer.weight_quant.is_quant_enabled, name, "has weights in floating point")
        window = None
        if not isinstance(layer, QuantLinear):
            self._require(
                layer.padding_mode == "zeros", name, "pads with something else than zeros"
            )
            window = Window(layer.kernel_size, layer.stride, _padding(layer), layer.dilation)
        place = self._add(Sum(name, (source,), layer, window))
        return self._quantized(f"{name}.output_quant", layer.output_quant, place)

    def _quantized(self, name, proxy, source: int) -> int:
        if not proxy.is_quant_enabled:
            return source
        return self._add(Quantize(name, (source,), proxy, proxy))

    def _activation(self, name, module, source: int) -> int:
        source = self._quantized(f"{name}.input_quant", module.input_quant, source)
        if module.act_quant.is_quant_enabled:
            return self._add(Quantize(name, (source,), module.act_quant, module.act_quant))
        return self._add(Pointwise(name, (source,), module))

    def _branches(self, kind, name, module, sources, **more) -> int:
        inputs = tuple(
            self._quantized(f"{name}.input_quant", module.input_quant, s) for s in sources
        )
        place = self._add(kind(name, inputs, **more))
        return self._quantized(f"{name}.output_quant", module.output_quant, place)

    # ------------------------------------------------------------- functions

    def _function(self, node: fx.Node, name: str, sources) -> int:
        label = node.name
        if name in _NOTHING_NAMES or (name == "getattr" and node.args[1] == "value"):
            return sources[0]
        if name in ("add", "iadd", "sub", "isub") and len(sources) == 2:
            return self._add(Add(label, sources, signs=(1, -1 if "sub" in name else 1)))
        if name in _POINTWISE_NAMES and len(sources) == 1:
            source = next(n for n in node.all_input_nodes if n in self.places)
            return self._add(
                Pointwise(label, sources, evaluator(self.root, node, source, self.constants))
            )
        if name in ("flatten", "view", "reshape"):
            self._require(
                self._flattens(node, name), label, "reshapes in another way than flattening"
            )
            return self._add(Flatten(label, sources))
        if name in ("cat", "concat", "concatenate"):
            axis = _argument(node, 1, "dim", _argument(node, 1, "axis", 0))
            self._require(axis == 1, label, f"concatenates along axis {axis}, not 1")
            return self._add(Concat(label, sources))
        return self._pooling(node, name, label, sources)

    def _flattens(self, node, name) -> bool:
        if name == "flatten":
            return (
                _argument(node, 1, "start_dim", 0) == 1 and _argument(node, 2, "end_dim", -1) == -1
            )
        shape = node.args[1] if isinstance(node.args[1], (tuple, list)) else node.args[1:]
        return len(shape) == 2 and (
            isinstance(shape[0], fx.Node) or shape[1] != -1 or shape[0] != -1
        )

    def _pooling(self, node, name, label, sources) -> int:
        if name in ("max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d"):
            options = (
                dict(zip(_POOL_ARGUMENTS[name[:3]], node.args[1:], strict=False)) | node.kwargs
            )
            return self._pool(label, sources, name[:3] == "max", int(name[-2]), options)
        if name.startswith("adaptive_avg_pool"):
            self._require(
                set(_pair(_argument(node, 1, "output_size", 1), 1)) == {1},
                label,
                "keeps several positions",
            )
            return self._mean(node, label, sources, keep=True)
        if name == "mean":
            axes = _argument(node, 1, "dim", ())
            axes = (axes,) if isinstance(axes, int) else tuple(axes)
            right = sorted(axes) in ([2], [2, 3], [-1], [-2, -1])
            self._require(right, label, f"takes the mean of axes {axes}, not of all positions")
            return self._mean(node, label, sources, keep=bool(_argument(node, 2, "keepdim", False)))
        raise unsupported_function(label, name)

    def _mean(self, node, name, sources, *, keep: bool) -> int:
        """A mean over all positions, as many as the example has."""
        size = self.shapes.get(node.all_input_nodes[0].name, ())[2:]
        ones, zeros = (1,) * len(size), (0,) * len(size)
        window = Window(size, ones, zeros, ones) if size else None
        return self._add(MeanPool(name, sources, window, keep))

    def _pool(self, name, sources, is_max: bool, n_axes: int, options: dict) -> int:
        size = _pair(options["kernel_size"], n_axes)
        window = Window(
            size,
            _pair(options.get("stride") or size, n_axes),
            _pair(options.get("padding", 0), n_axes),
            _pair(options.get("dilation", 1), n_axes),
        )
        self._require(not options.get("ceil_mode"), name, "has ceil_mode=True")
        if is_max:
            return self._add(MaxPool(name, sources, window))
        counted = options.get("count_include_pad", True) or not any(window.padding)
        self._require(counted, name, "has count_include_pad=False")
        self._require(not options.get("divisor_override"), name, "has a divisor_override")
        return self._add(MeanPool(name, sources, window))

    def _require(self, condition, name: str, otherwise: str) -> None:
        if not condition:
            raise UnsupportedModuleError(f"'{name}' {otherwise}, which has no integer form here.")


def _padding(layer) -> tuple[int, ...]:
    """Zeros on each side of each axis."""
    if not isinstance(layer.padding, str):
        return tuple(layer.padding)
    if layer.padding == "valid":
        return (0,) * len(layer.kernel_size)
    spans = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    if any(span % 2 for span in spans):
        raise UnsupportedModuleError(
            f"padding='same' of a kernel of size {layer.kernel_size} is uneven: use an odd size."
        )
    return tuple(span // 2 for span in spans)


def _argument(node: fx.Node, place: int, name: str, default: Any) -> Any:
    return node.args[place] if len(node.args) > place else node.kwargs.get(name, default)

"""Torch modules of Brevitas layers, as sums and as something to search through.

A module is run once on random rows.  Its layers say what enters them: Brevitas tensors carry
scale, zero point, width and sign.  Layers of torch with weights get plain tensors, as some take no
others; where a forward method takes no Brevitas tensors either, layers hand on what they are set to.
Sums of products outside Brevitas layers are noticed by torch's own dispatcher, and reported as
unknown.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ._quantizers import quant_limits
from ._search import Subject
from ._shapes import Shapes, Unreadable, conv_shapes, matmul_shapes
from ._sums import Operands, Sums

__all__ = ["module_subject"]

_LARGE = 2.0**20
_SUMMING = {
    "_scaled_dot_product_flash_attention_for_cpu", "addbmm", "addmm", "addmv", "addr", "baddbmm",
    "bmm", "convolution", "dot", "einsum", "linear", "matmul", "mkldnn_convolution", "mm", "mv",
}  # fmt: skip
# Parts of the names of whole layers that torch runs as one operation, and of its kinds of devices.
_SUMMING_PARTS = ("attention", "convolution", "gru", "lstm", "rnn", "transformer", "trilinear")


def module_subject(module, input_range, input_shape):
    """Sums of every Brevitas layer, what is unknown, and the module from its input on.

    Parameters
    ----------
    module : torch.nn.Module
    input_range : pair of numbers or arrays, or None
    input_shape : tuple of int
        Batch included.

    Raises
    ------
    ValueError
        If `input_shape` is missing or the module cannot run on such rows.
    """
    if input_shape is None or isinstance(input_shape, dict):
        raise ValueError(
            f"input_shape={input_shape!r}: a module needs the shape of its input, batch included, "
            "such as (1, 784)."
        )
    low, high = _box(input_range, tuple(input_shape))
    rows = np.random.RandomState(0).uniform(np.maximum(low, -1), np.minimum(high, 1))
    take = _runner(module, rows)
    calls, outside = take(rows)
    sums, unknown = (
        [],
        [(name, op, "a sum of products outside Brevitas layers") for name, op in outside],
    )
    for call in calls:
        try:
            sums.append(_sums(call, call.range()))
        except Unreadable as reason:
            unknown.append((call.name, call.op, str(reason)))

    def run(inputs, n_sums):
        return list(_known_sums(take(inputs["input"])[0]))

    n_products = sum(layer.totals[0].size * layer.n_terms for layer in sums)
    return sums, unknown, Subject({"input": (low, high)}, run, input_shape[0] == 1, n_products)


def _runner(module, rows: np.ndarray):
    """The function `_run` of a module, with Brevitas tensors between layers if it takes them."""
    for quantized in (True, False):
        run = partial(_run, module, quantized=quantized)
        try:
            run(rows)
            return run
        except Exception as error:  # whatever user code does
            failure = error
    raise ValueError(f"The module does not run on input_shape={rows.shape}: {failure}") from failure


def _box(input_range, shape):
    if input_range is None:
        return np.full(shape, -_LARGE, np.float32), np.full(shape, _LARGE, np.float32)
    if isinstance(input_range, (str, dict)):
        raise ValueError(
            f"input_range={input_range!r} of a module must be a pair of numbers or arrays."
        )
    low, high = (np.broadcast_to(np.asarray(end, np.float32), shape).copy() for end in input_range)
    return low, high


def _known_sums(calls):
    for call in calls:
        try:
            yield _sums(call, (call.codes, call.codes))
        except Unreadable:
            continue


@dataclass
class _Call:
    """One use of a layer, in numpy."""

    name: str
    op: str
    layer: Any
    quant_input: Any = None
    quant_bias: Any = None
    narrow: bool = False

    def _required(self):
        if not hasattr(self.quant_input, "bit_width") or self.quant_input.scale is None:
            raise Unreadable("its input is not quantized")
        if self.quant_input.scale.numel() != 1 or self.quant_input.zero_point.numel() != 1:
            raise Unreadable("its input has several scales")
        return self.quant_input

    @property
    def zero_point(self) -> int:
        """Of the input."""
        return int(self._required().zero_point)

    @property
    def codes(self) -> np.ndarray:
        """Of the input, zero point subtracted."""
        quant = self._required()
        return np.rint(_array(quant.value) / float(quant.scale))

    def range(self) -> tuple[np.ndarray, np.ndarray]:
        """Codes that the input can have, by its width and sign."""
        quant = self._required()
        bits, signed = int(quant.bit_width), bool(quant.signed)
        low, high = map(int, quant_limits(bits, signed, self.narrow))
        if signed and bits == 1:  # one signed bit means -1 and 1
            low, high = -1, 1
        stored = self.codes + self.zero_point
        if stored.min() < low or stored.max() > high:
            raise Unreadable(f"its input holds codes beyond those of its {bits} bits")
        shape = tuple(quant.value.shape)
        return np.full(shape, low - self.zero_point + 0.0), np.full(
            shape, high - self.zero_point + 0.0
        )

    def weight(self) -> tuple[np.ndarray, int]:
        """Integers with the zero point subtracted, and the zero point."""
        proxy = self.layer.weight_quant
        if proxy.requires_quant_input and proxy._cached_act is None:
            raise Unreadable(
                "its weights depend on the width of its input, as those of A2Q do: "
                "weight_quant.cache_inference_quant_act must be True while it runs"
            )
        quant = self.layer.quant_weight()
        zero = quant.zero_point
        scale = _array(quant.scale)
        if scale.size not in (1, len(quant.value)) or zero.numel() != 1:
            raise Unreadable("the weights of one sum have different scales")
        return np.rint(_array(quant.value) / scale), int(zero)

    def bias(self) -> np.ndarray | float:
        """Integers that the register starts from; 0 where the bias has another scale."""
        quant = self.quant_bias
        if not hasattr(quant, "bit_width") or quant.scale is None:
            return 0.0
        scale = _array(self.layer.quant_weight().scale).ravel() * float(self._required().scale)
        if not np.allclose(_array(quant.scale).ravel(), scale, rtol=1e-3, atol=0):
            return 0.0
        return np.rint(_array(quant.value).ravel() / _array(quant.scale).ravel())


def _array(tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def _sums(call: _Call, ends) -> Sums:
    low, high = ends
    weight, weight_zero = call.weight()
    shapes, weight = _shapes(call, low.shape, weight)
    arranged = np.ascontiguousarray(shapes.weight(weight), dtype=np.float64)
    bias = np.broadcast_to(call.bias(), (arranged.shape[0] * arranged.shape[2],))
    sums = Sums(
        call.name, call.op, (Operands(low, high, call.zero_point),), arranged,
        bias.reshape(arranged.shape[0], -1), shapes.arrange, shapes.orders, weight_zero,
    )  # fmt: skip
    if not sums.exact:
        raise Unreadable("its sums can be larger than 2**53, where float64 ends to be exact")
    return sums


def _shapes(call: _Call, x_shape, weight) -> tuple[Shapes, np.ndarray]:
    layer = call.layer
    if weight.ndim == 2:
        return matmul_shapes(x_shape, weight.T.shape), weight.T
    if "Transpose" in call.op or layer.padding_mode != "zeros":
        raise Unreadable("transposed convolutions and padding with other than zeros are not read")
    attributes = {
        "group": layer.groups,
        "strides": list(layer.stride),
        "dilations": list(layer.dilation),
    }
    if layer.padding == "same":
        attributes["auto_pad"] = "SAME_UPPER"
    elif layer.padding != "valid":
        attributes["pads"] = [*layer.padding, *layer.padding]
    return conv_shapes(attributes, x_shape, weight.shape), weight


# ------------------------------------------------------------- one evaluation


@dataclass
class _Record:
    calls: list[_Call] = field(default_factory=list)
    outside: list[tuple[str, str]] = field(default_factory=list)
    stack: list[str] = field(default_factory=list)
    quantizers: dict[tuple, bool] = field(default_factory=dict)
    inside: int = 0


def _run(module, rows: np.ndarray, quantized: bool) -> tuple[list[_Call], list[tuple[str, str]]]:
    """Uses of Brevitas layers, and sums of products outside them.

    `quantized` says whether layers hand on Brevitas tensors, also where they are not asked to.
    """
    import torch

    record = _Record()
    parameter = next(module.parameters(), None)
    device = None if parameter is None else parameter.device
    dtype = torch.float32 if parameter is None else parameter.dtype
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(_evaluating(module, quantized))
        for name, layer in module.named_modules():
            for handle in _hooks(record, name or type(module).__name__, layer):
                stack.callback(handle.remove)
        stack.enter_context(_dispatch_mode(record))
        module(torch.as_tensor(rows, dtype=dtype, device=device))
    for call in record.calls:
        if hasattr(call.quant_input, "bit_width") and call.quant_input.scale is not None:
            call.narrow = record.quantizers.get(_kind(call.quant_input), False)
    return record.calls, record.outside


@contextmanager
def _evaluating(module, quantized: bool):
    """Eval mode, and perhaps Brevitas tensors between layers, for a while."""
    training = [(layer, layer.training) for layer in module.modules()]
    plain = [
        layer
        for layer in module.modules()
        if quantized
        and hasattr(layer, "act_quant")
        and layer.act_quant.is_quant_enabled
        and getattr(layer, "return_quant_tensor", True) is False
    ]
    module.eval()
    try:
        for layer in plain:
            layer.return_quant_tensor = True
        yield
    finally:
        for layer in plain:
            layer.return_quant_tensor = False
        for layer, mode in training:
            layer.training = mode


def _is_layer(layer) -> bool:
    return all(
        hasattr(layer, name) for name in ("quant_weight", "input_quant", "bias_quant", "weight")
    )


def _is_plain(layer) -> bool:
    """Whether a layer is torch's own and has weights, none of them in a layer of Brevitas."""
    kinds = (type(part).__module__.partition(".")[0] for part in layer.modules())
    return next(layer.parameters(), None) is not None and set(kinds) == {"torch"}


def _unwrapped(value):
    """The tensor inside a Brevitas tensor; what else there is as it is."""
    return value.value if hasattr(value, "bit_width") else value


def _hooks(record: _Record, name: str, layer):
    """Handles of hooks that note what enters a layer."""

    def enter(_, args, kwargs):
        record.stack.append(name)
        if _is_layer(layer):
            record.inside += 1
            record.calls.append(_Call(name, type(layer).__name__, layer))
        if _is_plain(layer):
            plain = {name: _unwrapped(value) for name, value in kwargs.items()}
            return tuple(map(_unwrapped, args)), plain
        return None

    def leave(_, inputs, output):
        record.stack.pop()
        record.inside -= _is_layer(layer)
        return inputs[0] if "Dropout" in type(layer).__name__ else None

    handles = [
        layer.register_forward_pre_hook(enter, with_kwargs=True),
        layer.register_forward_hook(leave),
    ]
    if _is_layer(layer):

        def note(attribute):
            def hook(_, __, output):
                setattr(record.calls[-1], attribute, output)

            return hook

        handles.append(layer.bias_quant.register_forward_hook(note("quant_bias")))
        handles.append(layer.input_quant.register_forward_hook(note("quant_input")))
    if hasattr(type(layer), "is_narrow_range") and "ActQuant" in type(layer).__name__:
        handles.insert(0, layer.register_forward_hook(_narrow_hook(record)))
    return handles


def _narrow_hook(record: _Record):
    """A hook that notes whether quantizers leave their smallest code out, by scale and width."""

    def hook(quantizer, _, output):
        if not quantizer.is_quant_enabled:
            return  # it hands on what another one made
        if hasattr(output, "bit_width") and output.scale is not None:
            kind, narrow = _kind(output), bool(quantizer.is_narrow_range)
            record.quantizers[kind] = narrow and record.quantizers.get(kind, True)

    return hook


def _kind(quant) -> tuple:
    """What tells the outputs of one quantizer from those of others, most of the time."""
    return tuple(quant.scale.flatten().tolist()), int(quant.bit_width), bool(quant.signed)


def _is_summing(op: str) -> bool:
    return op in _SUMMING or any(part in op for part in _SUMMING_PARTS)


def _dispatch_mode(record: _Record):
    """A mode of torch that notes sums of products outside Brevitas layers."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Noting(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            op = func.overloadpacket.__name__
            if _is_summing(op) and not record.inside:
                record.outside.append((record.stack[-1], op))
            return func(*args, **(kwargs or {}))

    return Noting()

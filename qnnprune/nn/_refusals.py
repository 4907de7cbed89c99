"""Refusals of layers and functions that have no integer form: what they are, and the way out."""

from __future__ import annotations

from ..exceptions import UnsupportedModuleError

__all__ = ["unsupported_function", "unsupported_layer"]

# By a part of the name, without underscores and in small letters; the first that fits counts.
_WAYS_OUT = {
    "transformer": "Attention multiplies computed values by each other: keep it outside of this module.",
    "attention": "It multiplies computed values by each other: keep it outside of this module.",
    "matmul": "It multiplies computed values by each other: keep it outside of this module.",
    "bmm": "It multiplies computed values by each other: keep it outside of this module.",
    "einsum": "It multiplies computed values by each other: keep it outside of this module.",
    "bilinear": "It multiplies computed values by each other: keep it outside of this module.",
    "convtranspose": "Enlarge its input outside of this module, and use a QuantConv1d or QuantConv2d.",
    "lstm": "Use QuantConv1d over the time steps, dilated for a long memory.",
    "gru": "Use QuantConv1d over the time steps, dilated for a long memory.",
    "rnn": "Use QuantConv1d over the time steps, dilated for a long memory.",
    "embedding": "Look vectors up outside, and pass them to this module.",
    "groupnorm": "Its scale depends on the row: use batch normalisation, whose scale is fixed.",
    "layernorm": "Its scale depends on the row: use batch normalisation, whose scale is fixed.",
    "instancenorm": "Its scale depends on the row: use batch normalisation, whose scale is fixed.",
    "responsenorm": "Its scale depends on the row: use batch normalisation, whose scale is fixed.",
    "rmsnorm": "Its scale depends on the row: use batch normalisation, whose scale is fixed.",
    "normalize": "Its scale depends on the row: use batch normalisation, whose scale is fixed.",
    "softmax": "Leave it to the loss, or to whoever reads the output.",
    "conv3d": "Use QuantConv2d, with one axis of the three as channels.",
    "adaptivemaxpool": "Use MaxPool1d or MaxPool2d with the size of the window.",
}
_FLOAT_LAYERS = {"Linear": "QuantLinear", "Conv1d": "QuantConv1d", "Conv2d": "QuantConv2d"}
_SUPPORTED = (
    "Supported are Brevitas's QuantLinear, QuantConv1d, QuantConv2d and activations, batch "
    "normalisation, pooling, flattening, addition and concatenation."
)


def unsupported_layer(name: str, kind: str) -> UnsupportedModuleError:
    """The error for a layer.

    Parameters
    ----------
    name : str
        As the module calls it.
    kind : str
        Its class.
    """
    way_out = _way_out(kind)
    if kind in _FLOAT_LAYERS:
        way_out = f"Its weights are floats: use Brevitas's {_FLOAT_LAYERS[kind]}. "
    return UnsupportedModuleError(
        f"Layer '{name}' is a {kind}, which has no integer form here. {way_out}{_SUPPORTED}"
    )


def unsupported_function(label: str, name: str) -> UnsupportedModuleError:
    """The error for a function or method.

    Parameters
    ----------
    label : str
        Of the node in the traced forward method.
    name : str
        Of the function.
    """
    return UnsupportedModuleError(
        f"'{label}' calls {name}, which has no integer form here. {_way_out(name)}{_SUPPORTED}"
    )


def _way_out(kind: str) -> str:
    plain = kind.replace("_", "").lower()
    return next((f"{text} " for part, text in _WAYS_OUT.items() if part in plain), "")

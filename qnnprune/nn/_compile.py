"""A trained module of Brevitas layers to an integer network."""

from __future__ import annotations

import torch
from torch import nn

from ..integer import IntegerGraph
from ._compiler import Compiler, SumScale
from ._trace import evaluation_mode, trace

__all__ = ["sum_scales", "to_integer_network"]


def to_integer_network(
    module: nn.Module, example, *, input_range=None, classes=None
) -> IntegerGraph:
    """Turn a module of Brevitas layers into an integer network that gives the same codes.

    Sums are exact, and thresholds are found on the module's own functions in float64.  The
    module's float32 forward pass can differ where rounding decides a tie.

    Parameters
    ----------
    module : torch.nn.Module
        Trained; it is left as it was.
    example : tensor or array of shape (n_rows, ...)
        Inputs as the module takes them, on any device; their shape matters.
    input_range : array-like of int of shape (2,) or (n_channels, 2), optional
        Smallest and largest code that comes in, inclusive; see `AccumulatorPruner`.
    classes : array-like of shape (n_classes,), optional
        Labels, which `IntegerGraph.predict` then returns.

    Returns
    -------
    IntegerGraph

    Raises
    ------
    UnsupportedModuleError
        If a layer has no integer form; the message names it.

    Examples
    --------
    >>> import torch
    >>> from brevitas.nn import QuantConv2d, QuantIdentity, QuantReLU
    >>> module = torch.nn.Sequential(
    ...     QuantIdentity(bit_width=4), QuantConv2d(1, 2, 3, weight_bit_width=3),
    ...     QuantReLU(bit_width=3), torch.nn.MaxPool2d(2),
    ... )
    >>> images = torch.randn(5, 1, 8, 8)
    >>> _ = module(images)  # lets the quantizers see values
    >>> network = to_integer_network(module, images)
    >>> network.decision(images.numpy()).shape
    (5, 2, 3, 3)
    """
    example = torch.as_tensor(example)
    with evaluation_mode(module), torch.no_grad():
        steps = trace(module, example[:1])
        return Compiler(module, steps, tuple(example.shape[1:]), input_range).graph(classes)


def sum_scales(module: nn.Module, example, input_range=None) -> list[SumScale]:
    """Scales of all layers of sums; parameters as in `to_integer_network`."""
    example = torch.as_tensor(example)
    with evaluation_mode(module), torch.no_grad():
        steps = trace(module, example[:1])
        compiler = Compiler(module, steps, tuple(example.shape[1:]), input_range)
        compiler.graph(None)
    return compiler.sums

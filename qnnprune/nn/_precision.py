"""A module in float64 for a while: what is computed from it then has no rounding to speak of."""

from __future__ import annotations

from contextlib import contextmanager

import torch
from torch import nn

from ._trace import evaluation_mode

__all__ = ["double_precision"]


@contextmanager
def double_precision(module: nn.Module):
    """Evaluation mode in float64; afterwards every tensor is the very one it was."""
    parameters = [(p, p.data) for p in module.parameters()]
    buffers = [
        (part, name, value)
        for part in module.modules()
        for name, value in part._buffers.items()
        if value is not None and value.is_floating_point()
    ]
    try:
        for parameter, data in parameters:
            parameter.data = data.double()
        for part, name, value in buffers:
            part._buffers[name] = value.double()
        with evaluation_mode(module), torch.no_grad():
            yield
    finally:
        for parameter, data in parameters:
            parameter.data = data
        for part, name, value in buffers:
            part._buffers[name] = value

"""Activations: monotone functions, the window that codes cover, and the gradient.

A neuron is a set of integer thresholds because its output rises with its sum.  So a function of
the user's own is looked at, before it is trained with, on a dense grid.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

__all__ = ["ACTIVATIONS", "Activation", "activation_of", "check_activation"]

_REACH = 2.0  # of normalised sums, in standard deviations: what lies beyond is clipped
_TOLERANCE = 1e-6  # of the window: what rounding may do


@dataclass(frozen=True)
class Activation:
    """An activation: float module, the window its quantizer covers, and the gradient
    of its input from (gradient of its output, input, output)."""

    module: Callable[[], nn.Module]
    window: tuple[float, float]
    gradient: Callable[[Tensor, Tensor, Tensor], Tensor]


def _window(function) -> tuple[float, float]:
    low, high = function(torch.tensor([-_REACH, _REACH], dtype=torch.float64)).tolist()
    return low, high


_ATEN = torch.ops.aten
_SELU = 1.6732632423543772, 1.0507009873554805, 1.0  # alpha, scale, scale of the input

ACTIVATIONS = {
    "relu": Activation(
        nn.ReLU, (0.0, 2.0), lambda grad, x, y: _ATEN.threshold_backward(grad, y, 0)
    ),
    "identity": Activation(nn.Identity, (-2.0, 2.0), lambda grad, x, y: grad),
    "hardtanh": Activation(
        nn.Hardtanh, (-1.0, 1.0), lambda grad, x, y: _ATEN.hardtanh_backward(grad, x, -1, 1)
    ),
    "sigmoid": Activation(
        nn.Sigmoid, (0.0, 1.0), lambda grad, x, y: _ATEN.sigmoid_backward(grad, y)
    ),
    "tanh": Activation(nn.Tanh, (-1.0, 1.0), lambda grad, x, y: _ATEN.tanh_backward(grad, y)),
    "leaky_relu": Activation(
        nn.LeakyReLU,
        _window(nn.LeakyReLU()),
        lambda grad, x, y: _ATEN.leaky_relu_backward(grad, x, 0.01, False),
    ),
    "elu": Activation(
        nn.ELU,
        _window(nn.ELU()),
        lambda grad, x, y: _ATEN.elu_backward(grad, 1.0, 1.0, 1.0, False, x),
    ),
    "selu": Activation(
        nn.SELU,
        _window(nn.SELU()),
        lambda grad, x, y: _ATEN.elu_backward(grad, *_SELU, False, x),
    ),
    "softplus": Activation(
        nn.Softplus,
        _window(nn.Softplus()),
        lambda grad, x, y: _ATEN.softplus_backward(grad, x, 1.0, 20.0),
    ),
    "hardsigmoid": Activation(
        nn.Hardsigmoid,
        _window(nn.Hardsigmoid()),
        lambda grad, x, y: _ATEN.hardsigmoid_backward(grad, x),
    ),
}


class _Function(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Its values."""
        return self.function(x)


def activation_of(given) -> Activation:
    """The activation that a name, a function, a module or a class of modules stands for.

    Parameters
    ----------
    given : str or callable
        A function of the user's own that `check_activation` accepts.
    """
    if isinstance(given, str):
        return ACTIVATIONS[given]
    module = _module(given)
    with torch.no_grad():
        window = _window(module)
    return Activation(lambda: module, window, partial(_gradient, module))


def _module(given) -> nn.Module:
    if isinstance(given, type):
        given = given()
    return deepcopy(given) if isinstance(given, nn.Module) else _Function(given)


def _gradient(module, grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
    # Copies, as autograd takes no tensors that were made in inference mode.
    with torch.inference_mode(mode=False), torch.enable_grad():
        x = x.clone().requires_grad_()
        return torch.autograd.grad(module(x), x, grad.clone())[0]


def check_activation(given) -> None:
    """Refuse a function of which a neuron cannot be made.

    Raises
    ------
    ValueError
        If its values do not rise from -2 to 2, fall anywhere, depend on anything but the one
        number that it is applied to, or have no gradient; or if it has parameters.
    """
    if isinstance(given, str):
        return
    try:
        problem = _problem(_module(given))
    except Exception as error:  # whatever a user's own function raises
        problem = f"cannot be applied to a tensor of any shape ({error})"
    if problem:
        name = given if isinstance(given, nn.Module) else getattr(given, "__name__", repr(given))
        raise ValueError(
            f"activation={name} {problem}. Use a function that never falls, for instance "
            "'leaky_relu' or torch.nn.Softplus()."
        )


def _problem(module) -> str | None:
    """Why no neuron can be made of it."""
    if any(True for _ in module.parameters()):
        return "has parameters, which would not be trained"
    x = _grid()
    value = module.train()(x.clone())
    if not isinstance(value, Tensor) or value.shape != x.shape:
        return "does not give one number for each number"
    if value.isnan().any():
        return f"is not a number at {x[value.isnan()][0]:g}"
    some = slice(len(x) // 4, None)  # of other sums and means than all
    again = module.eval()(x[some].view(-1, 3).flip(0)).flip(0).reshape(-1)
    if not torch.allclose(again, value[some], rtol=_TOLERANCE, atol=_TOLERANCE):
        return "depends on more than the one number that it is applied to"
    changed = x.clone()
    module(changed)
    if not torch.equal(changed, x):
        return "works in place: pass one with inplace=False"
    low, high = _window(module)
    if not high - low > _TOLERANCE:
        return f"does not rise between {-_REACH:g} and {_REACH:g}, where normalised sums lie"
    falls = value[1:] < value[:-1] - _TOLERANCE * (high - low)
    if falls.any():
        place = int(falls.nonzero()[0])
        return f"is not monotone: it falls from {x[place]:.4g} to {x[place + 1]:.4g}"
    if not _gradient(module, torch.ones(3).double(), x[:3], value[:3]).isfinite().all():
        return "has no finite gradient"
    return None


def _grid() -> Tensor:
    """Ascending float64 numbers, dense where sums lie and far beyond; a multiple of 12 of them."""
    far = torch.logspace(1, 5, 3000, dtype=torch.float64)
    near = torch.linspace(-10, 10, 60_002, dtype=torch.float64)[1:-1]
    return torch.cat([-far.flip(0), near, far])

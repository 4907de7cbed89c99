"""Losses with their gradients: a step needs both, and no graph in between.

Each takes the network's output of shape (n, n_outputs), the targets and a weight for each
row, all on one device, and returns the weighted mean of the rows' losses and its gradient
with respect to the output.  Losses of several outputs are averaged over these.

Outputs of several networks for the same rows may come as (n_networks, n, n_outputs): then there is
a loss and a gradient of each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from .deviations import (
    absolute_error,
    brier_scores,
    explained,
    gamma_deviance,
    pinball_loss,
    poisson_deviance,
    row_squared_error,
    subset_accuracy,
)

__all__ = [
    "LOSSES",
    "Loss",
    "absolute_loss",
    "binary_loss",
    "gamma_loss",
    "huber_loss",
    "labels_loss",
    "loss_of",
    "multiclass_loss",
    "poisson_loss",
    "quantile_loss",
    "row_squared_error",
    "squared_loss",
]

_SMALL = 0.75  # of the residuals; so a batch may have as many outliers as are left


def binary_loss(output: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Log loss of one logit; `y` is 0 or 1, of shape (n,)."""
    logit = output[..., 0]
    target = y.to(output.dtype).expand_as(logit)
    loss = nn.functional.binary_cross_entropy_with_logits(logit, target, weight, reduction="none")
    gradient = _of_each(torch.sigmoid, logit, 1).sub_(target).mul_(weight).div_(len(y))
    return loss.mean(dim=-1), gradient[..., None]


def multiclass_loss(output: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Cross entropy of one logit a class; `y` holds class indices, of shape (n,)."""
    # One column a row of the batch: reducing over short rows takes ten times as long.
    log_probability = torch.log_softmax(output.mT.contiguous(), dim=-2)
    index = y.expand(*log_probability.shape[:-2], 1, -1)
    loss = -(log_probability.gather(-2, index).squeeze(-2) * weight).mean(dim=-1)
    gradient = _of_each(torch.exp, log_probability, 2)
    gradient.scatter_add_(-2, index, gradient.new_full((1,), -1.0).expand_as(index))
    return loss, gradient.mul_(weight / len(y)).mT


def labels_loss(output: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Log loss of one logit a label; `y` holds 0 and 1, and has the shape of `output`."""
    y = y.to(output.dtype).expand_as(output)
    loss = nn.functional.binary_cross_entropy_with_logits(output, y, reduction="none")
    return _mean(loss, weight), _weighted(_of_each(torch.sigmoid, output, 2) - y, weight)


def squared_loss(output: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Squared error, averaged over the outputs; `y` has the shape of `output`."""
    residual = output - y.to(output.dtype)
    loss = _mean(residual.square(), weight)
    return loss, residual.mul_(weight[:, None]).mul_(2 / y.numel())


def absolute_loss(output: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Absolute error; `y` has the shape of `output`."""
    residual = output - y.to(output.dtype)
    return _mean(residual.abs(), weight), _weighted(residual.sign(), weight)


def huber_loss(output: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Half the squared error of small residuals, and linear in large ones.

    Small are three quarters of the batch by weight, for each output by itself.  This is the loss of
    J. Friedman, "Greedy function approximation", 2001, whose share is larger.
    """
    residual = output - y.to(output.dtype)
    size = residual.abs()
    delta = _quantile(size, weight, _SMALL)
    gradient = residual.clamp(-delta, delta)
    return _mean(gradient.abs() * (size - gradient.abs() / 2), weight), _weighted(gradient, weight)


def quantile_loss(
    output: Tensor, y: Tensor, weight: Tensor, *, quantile: tuple[float, ...]
) -> tuple[Tensor, Tensor]:
    """Pinball loss of one quantile for all outputs, or of one for each; `y` has their shape."""
    residual = y.to(output.dtype) - output
    level = residual.new_tensor(quantile)
    loss = residual * torch.where(residual < 0, level - 1, level)
    gradient = torch.where(residual < 0, 1 - level, torch.where(residual > 0, -level, 0.0))
    return _mean(loss, weight), _weighted(gradient, weight)


def poisson_loss(output: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Half the Poisson deviance, up to a constant; the output is the logarithm of the mean."""
    mean, y = _of_each(torch.exp, output, 2), y.to(output.dtype)
    return _mean(mean - y * output, weight), _weighted(mean - y, weight)


def gamma_loss(output: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Half the gamma deviance, up to a constant; the output is the logarithm of the mean."""
    ratio = y.to(output.dtype) * _of_each(torch.exp, -output, 2)
    return _mean(output + ratio, weight), _weighted(1 - ratio, weight)


def _mean(loss: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean over the rows of losses of shape (n, n_outputs)."""
    return (loss.mean(dim=-1) * weight).mean(dim=-1)


def _weighted(gradient: Tensor, weight: Tensor) -> Tensor:
    """The gradient of `_mean`, from that of each loss."""
    return gradient * (weight / gradient.shape[-2:].numel())[:, None]


def _of_each(function: Callable, values: Tensor, n_dims: int) -> Tensor:
    """A transcendental function of the values of each network, which have that many dimensions.

    Torch computes it many values at a time, and the last few of a tensor in another way, which may
    round them differently.  So what a network gets must not depend on those beside it.
    """
    if values.dim() == n_dims:
        return function(values)
    return torch.stack([function(of_one) for of_one in values])


def _quantile(values: Tensor, weight: Tensor, share: float) -> Tensor:
    """Smallest value of each column that at least a share of the weight does not exceed."""
    ascending, order = values.sort(dim=-2)
    # Whole numbers: their sums are exact, in whatever order a device adds them up.
    units = weight.double().mul(2**40 / weight.double().sum()).round()
    below = units[order].cumsum(dim=-2)
    place = (below < share * below[..., -1:, :]).sum(dim=-2, keepdim=True)
    return ascending.gather(-2, place.clamp(max=values.shape[-2] - 1))


@dataclass(frozen=True)
class Loss:
    """A loss, and what tells how good outputs are by it.

    Attributes
    ----------
    step : callable
        ``step(output, y, weight)``: the weighted mean of the rows' losses, and its gradient.
    row_error : callable
        ``row_error(output, y)``: what trials compare, one number for each row, in float64.
    score : callable or None
        ``score(output, y, weight)``: what early stopping goes by, 1 at best; None where that is
        accuracy or R².
    """

    step: Callable
    row_error: Callable
    score: Callable | None = None

    def __call__(self, output: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """As `step`."""
        return self.step(output, y, weight)


def _explaining(step: Callable, row_error: Callable) -> Loss:
    return Loss(step, row_error, partial(explained, row_error=row_error))


LOSSES = {
    "binary": Loss(binary_loss, row_squared_error),
    "multiclass": Loss(multiclass_loss, row_squared_error),
    "labels": Loss(labels_loss, brier_scores, subset_accuracy),
    "squared_error": Loss(squared_loss, row_squared_error),
    "absolute_error": _explaining(absolute_loss, absolute_error),
    "huber": _explaining(huber_loss, absolute_error),
    "poisson": _explaining(poisson_loss, poisson_deviance),
    "gamma": _explaining(gamma_loss, gamma_deviance),
}


def loss_of(name: str, quantile: tuple[float, ...] | None = None) -> Loss:
    """The loss of a name: a key of `LOSSES`, or "quantile".

    Parameters
    ----------
    name : str
    quantile : tuple of float
        Of the loss "quantile": one for all outputs, or one for each.
    """
    if name != "quantile":
        return LOSSES[name]
    step = partial(quantile_loss, quantile=quantile)
    return _explaining(step, partial(pinball_loss, quantile=quantile))

"""Losses with their gradients: a step needs both, and no graph in between.

Each takes the network's output of shape (n, n_outputs), the targets and a weight for each
row, all on one device, and returns the weighted mean of the rows' losses and its gradient
with respect to the output.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["LOSSES", "binary_loss", "multiclass_loss", "row_squared_error", "squared_loss"]


def binary_loss(output: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Log loss of one logit; `y` is 0 or 1, of shape (n,)."""
    target, logit = y.to(output.dtype), output[:, 0]
    loss = nn.functional.binary_cross_entropy_with_logits(logit, target, weight)
    gradient = torch.sigmoid(logit).sub_(target).mul_(weight).div_(len(y))
    return loss, gradient[:, None]


def multiclass_loss(output: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Cross entropy of one logit a class; `y` holds class indices, of shape (n,)."""
    # One column a row of the batch: reducing over short rows takes ten times as long.
    log_probability = torch.log_softmax(output.t().contiguous(), dim=0)
    loss = -(log_probability.gather(0, y[None])[0] * weight).mean()
    gradient = log_probability.exp_()
    gradient.scatter_add_(0, y[None], gradient.new_full((1, len(y)), -1.0))
    return loss, gradient.mul_(weight / len(y)).t()


def squared_loss(output: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Squared error, averaged over the outputs; `y` has the shape of `output`."""
    residual = output - y.to(output.dtype)
    loss = (residual.square().mean(dim=1) * weight).mean()
    return loss, residual.mul_(weight[:, None]).mul_(2 / y.numel())


def row_squared_error(output: Tensor, y: Tensor) -> Tensor:
    """Squared error of each row, without its gradient, in float64.

    Of class probabilities where `y` holds class indices, summed over the classes (G. W. Brier,
    1950); else of the outputs, averaged.
    """
    output = output.double()
    if y.is_floating_point():
        return (output - y).square().mean(dim=1)
    if output.shape[1] == 1:
        return 2 * (torch.sigmoid(output[:, 0]) - y).square()
    target = nn.functional.one_hot(y, output.shape[1])
    return (torch.softmax(output, dim=1) - target).square().sum(dim=1)


LOSSES = {"binary": binary_loss, "multiclass": multiclass_loss, "squared_error": squared_loss}

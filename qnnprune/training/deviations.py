"""How far outputs are from targets, row by row and without gradients, and scores made of that.

Each takes the network's output of shape (n, n_outputs) and the targets.  Errors are float64, one
for each row, averaged over the outputs, and 0 where these are right.  Scores take a weight for
each row, and are 1 at best.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = [
    "absolute_error",
    "brier_scores",
    "explained",
    "gamma_deviance",
    "pinball_loss",
    "poisson_deviance",
    "row_squared_error",
    "subset_accuracy",
]


def row_squared_error(output: Tensor, y: Tensor) -> Tensor:
    """Squared error of each row.

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


def brier_scores(output: Tensor, y: Tensor) -> Tensor:
    """Squared error of the probability of each label."""
    return (torch.sigmoid(output.double()) - y).square().mean(dim=1)


def absolute_error(output: Tensor, y: Tensor) -> Tensor:
    """Absolute error."""
    return (output.double() - y).abs().mean(dim=1)


def pinball_loss(output: Tensor, y: Tensor, *, quantile: tuple[float, ...]) -> Tensor:
    """Pinball loss of one quantile for all outputs, or of one for each."""
    residual = y - output.double()
    level = residual.new_tensor(quantile)
    return (residual * torch.where(residual < 0, level - 1, level)).mean(dim=1)


def poisson_deviance(output: Tensor, y: Tensor) -> Tensor:
    """Poisson deviance; the output is the logarithm of the mean."""
    output = output.double()
    return 2 * (torch.xlogy(y, y) - y * output - y + output.exp()).mean(dim=1)


def gamma_deviance(output: Tensor, y: Tensor) -> Tensor:
    """Gamma deviance; the output is the logarithm of the mean."""
    output = output.double()
    return 2 * (output - y.log() + y * (-output).exp() - 1).mean(dim=1)


def explained(output: Tensor, y: Tensor, weight: Tensor, *, row_error: Callable) -> float:
    """Share of an error that the outputs explain, D², as R² is of the squared error.

    What there is to explain is the error of the output 0: the best constant for the rows of
    training.
    """
    total = _mean(row_error(torch.zeros_like(output), y), weight)
    return 1 - _mean(row_error(output, y), weight) / max(total, 1e-12)


def subset_accuracy(output: Tensor, y: Tensor, weight: Tensor) -> float:
    """Share of the weight of the rows of which all labels are right."""
    return _mean(((output > 0) == (y > 0)).all(dim=1).double(), weight)


def _mean(values: Tensor, weight: Tensor) -> float:
    return float((values * weight).sum() / weight.sum())

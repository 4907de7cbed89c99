"""Losses and their gradients against torch's losses under autograd."""

import pytest
import torch
from torch.nn import functional

from qnnprune.training.losses import binary_loss, multiclass_loss, squared_loss


def draw(n_rows, n_outputs):
    generator = torch.Generator().manual_seed(n_rows)
    output = 5 * torch.randn(n_rows, n_outputs, generator=generator)
    return output.requires_grad_(), torch.rand(n_rows, generator=generator) * 3, generator


def check(loss, output, y, weight, rows):
    """`rows`: torch's loss of each row."""
    expected = (rows * weight).mean()
    expected.backward()
    value, gradient = loss(output.detach().clone(), y, weight)
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(gradient, output.grad)


@pytest.mark.parametrize("n_rows", [1, 2, 37])
@pytest.mark.parametrize("n_classes", [3, 26])
def test_multiclass_loss(n_rows, n_classes):
    output, weight, generator = draw(n_rows, n_classes)
    y = torch.randint(0, n_classes, (n_rows,), generator=generator)
    rows = functional.cross_entropy(output, y, reduction="none")
    check(multiclass_loss, output, y, weight, rows)


@pytest.mark.parametrize("n_rows", [1, 37])
def test_binary_loss(n_rows):
    output, weight, generator = draw(n_rows, 1)
    y = torch.randint(0, 2, (n_rows,), generator=generator)
    rows = functional.binary_cross_entropy_with_logits(output[:, 0], y.float(), reduction="none")
    check(binary_loss, output, y, weight, rows)


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_squared_loss(n_outputs):
    output, weight, generator = draw(37, n_outputs)
    y = torch.randn(37, n_outputs, generator=generator).double()
    rows = functional.mse_loss(output, y.float(), reduction="none").mean(dim=1)
    check(squared_loss, output, y, weight, rows)


def test_losses_stay_finite_far_out():
    for loss, n_outputs in ((binary_loss, 1), (multiclass_loss, 4)):
        output = torch.full((2, n_outputs), -1e4)
        output[0, 0] = 1e4
        value, gradient = loss(output, torch.tensor([0, 0]), torch.ones(2))
        assert torch.isfinite(value) and torch.isfinite(gradient).all()

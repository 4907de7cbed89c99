"""Losses and their gradients against torch's losses under autograd."""

from fractions import Fraction
from itertools import accumulate

import numpy as np
import pytest
import torch
from sklearn._loss import loss as _loss
from sklearn.metrics import (
    brier_score_loss,
    d2_absolute_error_score,
    mean_absolute_error,
    mean_gamma_deviance,
    mean_pinball_loss,
    mean_poisson_deviance,
)
from torch.nn import functional

from qnnprune.training.losses import binary_loss, loss_of, multiclass_loss, squared_loss


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


# ---------------------------------------------------------------- of several labels, of regressors


def autograd(output, rows, weight):
    """Gradient of the weighted mean over rows of losses of shape (n, n_outputs)."""
    return torch.autograd.grad((rows.mean(dim=1) * weight).mean(), output)[0]


def drawn(n_outputs, low=0.1):
    output, weight, generator = draw(37, n_outputs)
    y = 4 * torch.rand(37, n_outputs, generator=generator).double() + low
    return output, weight, y


LEVELS = (0.1, 0.5, 0.8)
ROWS = {
    "labels": lambda f, y: functional.binary_cross_entropy_with_logits(f, y, reduction="none"),
    "absolute_error": lambda f, y: (f - y).abs(),
    "quantile": lambda f, y: torch.maximum(
        torch.tensor(LEVELS) * (y - f), (torch.tensor(LEVELS) - 1) * (y - f)
    ),
    "poisson": lambda f, y: f.exp() - y * f,
    "gamma": lambda f, y: f + y * (-f).exp(),
}


@pytest.mark.parametrize("name", ROWS)
def test_gradients_are_those_of_autograd(name):
    output, weight, y = drawn(3)
    y = (y > 2).double() if name == "labels" else y
    rows = ROWS[name](output, y.float())
    loss = loss_of(name, LEVELS if name == "quantile" else None)
    value, gradient = loss(output.detach().clone(), y, weight)
    torch.testing.assert_close(value, (rows.mean(dim=1) * weight).mean().detach())
    torch.testing.assert_close(gradient, autograd(output, rows, weight))


PEERS = {
    "absolute_error": _loss.AbsoluteError,
    "poisson": _loss.HalfPoissonLoss,
    "gamma": _loss.HalfGammaLoss,
    "quantile": lambda sample_weight: _loss.PinballLoss(sample_weight, quantile=0.3),
}


@pytest.mark.parametrize("name", PEERS)
def test_losses_are_those_of_scikit_learn(name):
    output, weight, y = drawn(1)
    peer = PEERS[name](sample_weight=None)
    raw, target = output.detach().double().numpy()[:, 0], y.numpy()[:, 0]
    expected, gradient = peer.loss_gradient(target, raw)
    loss = loss_of(name, (0.3,) if name == "quantile" else None)
    value, found = loss(output.detach().double(), y, weight.double())
    each = weight.double().numpy()
    assert float(value) == pytest.approx(np.mean(expected * each))
    np.testing.assert_allclose(found[:, 0], gradient * each / 37, rtol=1e-12)


def test_huber_is_that_of_gradient_boosting():
    """Friedman's: the line begins at the 0.75 quantile of the residuals' sizes."""
    output, weight, y = drawn(1)
    raw, target, each = (v.detach().double().numpy() for v in (output[:, 0], y[:, 0], weight))
    size = np.sort(np.abs(raw - target))
    share = np.cumsum(each[np.argsort(np.abs(raw - target))]) / each.sum()
    delta = size[np.searchsorted(share, 0.75)]
    peer = _loss.HuberLoss(delta=delta)
    value, found = loss_of("huber")(output.detach().double(), y, weight.double())
    expected, gradient = peer.loss_gradient(target, raw)
    assert float(value) == pytest.approx(np.mean(expected * each))
    np.testing.assert_allclose(found[:, 0], gradient * each / 37, rtol=1e-12)


@pytest.mark.parametrize("shape", [(20_000, 1), (4000, 3)])
def test_the_delta_of_huber_is_exact(shape):
    """As exact sums of the weights have it, so that it does not depend on how they are added up."""
    generator = torch.Generator().manual_seed(0)
    output, weight = torch.randn(shape, generator=generator), torch.rand(shape[0]) + 0.01
    _, gradient = loss_of("huber")(output, torch.zeros(shape), weight)
    for column, own in zip(output.T, gradient.T, strict=True):
        size, order = column.abs().double().sort()
        parts = [Fraction(w) for w in weight[order].tolist()]
        place = np.searchsorted(list(accumulate(parts)), Fraction(3, 4) * sum(parts))
        delta = size[place] / torch.tensor(shape).prod()
        assert (own / weight).abs().max().item() == pytest.approx(delta.item(), rel=1e-6)


CONSTANTS = {
    "absolute_error": (None, lambda y, w: weighted_quantile(y, w, 0.5)),
    "quantile": ((0.2,), lambda y, w: weighted_quantile(y, w, 0.2)),
    "poisson": (None, lambda y, w: np.log(np.average(y, weights=w))),
    "gamma": (None, lambda y, w: np.log(np.average(y, weights=w))),
    "squared_error": (None, lambda y, w: np.average(y, weights=w)),
}


def weighted_quantile(y, weight, level):
    """The value at which the weight of those up to it first reaches a share."""
    order = np.argsort(y)
    return y[order][np.cumsum(weight[order]) >= level * weight.sum()][0]


@pytest.mark.parametrize("name", CONSTANTS)
def test_the_best_constant(name):
    quantile, best_of = CONSTANTS[name]
    _, weight, y = drawn(1)
    best, loss = best_of(y[:, 0].numpy(), weight.numpy()), loss_of(name, quantile)

    def at(value):
        output = torch.full((37, 1), float(value)).double()
        return float(loss(output, y, weight.double())[0])

    assert at(best) < min(at(best - 0.2), at(best + 0.2)) + 1e-12
    assert at(best) <= min(at(best - 1e-3), at(best + 1e-3)) + 1e-12


DEVIATIONS = {
    "absolute_error": mean_absolute_error,
    "huber": mean_absolute_error,
    "quantile": lambda y, p: mean_pinball_loss(y, p, alpha=0.2),
    "poisson": lambda y, p: mean_poisson_deviance(y, np.exp(p)),
    "gamma": lambda y, p: mean_gamma_deviance(y, np.exp(p)),
    "labels": brier_score_loss,
}


@pytest.mark.parametrize("name", DEVIATIONS)
def test_errors_of_rows_are_metrics_of_scikit_learn(name):
    output, _, y = drawn(1)
    loss = loss_of(name, (0.2,) if name == "quantile" else None)
    target, raw = y[:, 0].numpy(), output[:, 0].detach().double()
    if name == "labels":
        y = (y > 2).double()
        target, raw = y[:, 0].numpy(), torch.sigmoid(raw)
    found = loss.row_error(output.detach(), y)
    assert found.dtype == torch.float64 and found.shape == (37,)
    assert float(found.mean()) == pytest.approx(DEVIATIONS[name](target, raw.numpy()), rel=1e-6)
    assert (found >= 0).all()


def test_scores_of_losses():
    output, weight, y = drawn(2)
    each = weight.double()
    right = y.log().float()
    assert loss_of("gamma").score(right, y, each) == pytest.approx(1)
    assert loss_of("gamma").score(torch.zeros_like(right), y, each) == 0
    # Where 0 is the constant that scikit-learn compares with, it is scikit-learn's D².
    y = y - y.median(dim=0).values
    found = loss_of("absolute_error").score(output.detach()[:, :1], y[:, :1], torch.ones(37))
    expected = d2_absolute_error_score(y[:, 0], output.detach()[:, 0])
    assert found == pytest.approx(expected, rel=1e-6)
    labels = torch.tensor([[1.0, 0.0], [1.0, 1.0]]).double()
    logits = torch.tensor([[2.0, -1.0], [2.0, -1.0]])
    assert loss_of("labels").score(logits, labels, torch.tensor([3.0, 1.0])) == 0.75

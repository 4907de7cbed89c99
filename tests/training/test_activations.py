"""Activations by name, and of the user's own: which are taken, and what comes of them."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from samples import DIABETES, NoTraining, X, Y, assert_same_network, classifier, differ, regressor
from sklearn.base import clone
from torch import nn
from torch.nn import functional as F
from trainings import assert_proven, make

from qnnprune import IntegerNetwork
from qnnprune.training.activations import ACTIVATIONS, activation_of, check_activation
from qnnprune.training.given import same

SMOOTH = torch.linspace(-30, 30, 4001, dtype=torch.float64)


class Cubed(nn.Module):
    """A module of one's own: monotone, with a setting."""

    def __init__(self, slope=1.0):
        super().__init__()
        self.slope = slope

    def forward(self, x):
        return self.slope * x + x**3 / 8


def clipped(x):
    return x.clamp(-1, 3)


def wave(x):
    return x + 2 * torch.sin(x)


def mean_of_rows(x):
    return x + x.mean()


def nothing(x):
    return 0 * x


OWN = [
    F.leaky_relu, torch.tanh, torch.exp, torch.arctan, F.logsigmoid, nn.Softsign(), nn.LeakyReLU(0.2),
    nn.ReLU6, nn.CELU(0.5), nn.Hardtanh(-3, 3), nn.Sequential(nn.Hardtanh(), nn.ELU()),
    partial(F.elu, alpha=0.5), Cubed(), Cubed(slope=3.0), clipped,
]  # fmt: skip


# ----------------------------------------------------------------- by name


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_names_are_those_of_torch(name):
    torchs = getattr(F, name, None) or getattr(torch, name, None) or (lambda x: x)
    module = ACTIVATIONS[name].module()
    torch.testing.assert_close(module(SMOOTH), torchs(SMOOTH))
    assert (module(SMOOTH)[1:] >= module(SMOOTH)[:-1]).all()
    x = SMOOTH.clone().requires_grad_()
    (expected,) = torch.autograd.grad(torchs(x).sum(), x)
    ours = ACTIVATIONS[name].gradient(torch.ones_like(x), x.detach(), torchs(x).detach())
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("name", ["leaky_relu", "elu", "selu", "softplus", "hardsigmoid"])
def test_a_name_and_the_function_of_that_name_are_one_activation(name):
    named = make(activation=name, max_epochs=4).fit(X, Y)
    own = make(activation=getattr(F, name), max_epochs=4).fit(X, Y)
    assert named.loss_curve_ == pytest.approx(own.loss_curve_, rel=1e-4)
    np.testing.assert_allclose(named.decision_function(X), own.decision_function(X), atol=0.3)
    assert_proven(named)
    assert differ(named, make(activation="relu", max_epochs=4).fit(X, Y))


# ------------------------------------------------------------- of one's own


@pytest.mark.parametrize("activation", OWN)
def test_functions_that_never_fall_are_taken(activation):
    check_activation(activation)
    low, high = activation_of(activation).window
    module = activation_of(activation).module()
    assert low == module(torch.tensor([-2.0]).double()) and high > low


@pytest.mark.parametrize("activation", [nn.LeakyReLU(0.2), Cubed(), partial(F.elu, alpha=0.5)])
@pytest.mark.parametrize("n_a_bits", [1, 3])
def test_through_training_proof_and_files(activation, n_a_bits, tmp_path):
    settings = {"activation": activation, "max_epochs": 8, "n_a_bits": n_a_bits}
    model = make(**settings).fit(X, Y)
    assert_proven(model)
    assert model.activation_ is activation
    # The module itself agrees with the integers.
    with torch.no_grad():
        levels = torch.from_numpy(model.integer_network_.encoding.levels(X))
        logits = copy.deepcopy(model).module_.double()(levels).numpy()
    np.testing.assert_allclose(model.decision_function(X), logits, atol=1e-6)
    model.integer_network_.save(tmp_path / "net.npz")
    loaded = IntegerNetwork.load(tmp_path / "net.npz")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    for again in (make(**settings).fit(X, Y), clone(model).fit(X, Y)):
        assert_same_network(model, again)
    unpickled = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(unpickled.predict(X), model.predict(X))
    assert unpickled.module_ is not None and model.accumulator_report().to_dict()


def test_regressors_and_twins_take_them():
    model = regressor((16,), activation=nn.Softsign(), max_epochs=10).fit(*DIABETES)
    assert model.score(*DIABETES) > 0.3
    twin = model.float_twin().fit(*DIABETES)
    assert twin.score(*DIABETES) > 0.3 and isinstance(twin.activation_, nn.Softsign)


def test_ones_own_module_is_left_as_it_was():
    module = nn.Sequential(nn.Hardtanh(), nn.ELU()).eval()
    make(activation=module).fit(X, Y)
    assert not module.training and not module[0].training


def test_they_are_parameters_as_others_are():
    module = nn.LeakyReLU(0.2)
    model = classifier(activation=module)
    assert model.get_params()["activation"] is module
    copied = clone(model).activation
    assert isinstance(copied, nn.LeakyReLU) and copied.negative_slope == 0.2


def test_training_goes_on_with_the_same_activation():
    model = pickle.loads(pickle.dumps(classifier(activation=nn.LeakyReLU(0.2)).fit(X, Y)))
    model.set_params(warm_start=True, activation=nn.LeakyReLU(0.2)).fit(X, Y)
    model.partial_fit(X, Y).partial_fit(X, Y)
    assert model.n_iter_ == 8
    with pytest.raises(ValueError, match=r"activation=LeakyReLU\(negative_slope=0.3\) was"):
        model.set_params(activation=nn.LeakyReLU(0.3)).fit(X, Y)


def test_what_is_the_same():
    assert same(nn.LeakyReLU(0.2), nn.LeakyReLU(0.2, inplace=True))
    assert not same(nn.LeakyReLU(0.2), nn.LeakyReLU(0.3)) and not same(nn.ELU(), nn.CELU())
    assert same(partial(F.elu, alpha=0.5), partial(F.elu, alpha=0.5))
    assert not same(partial(F.elu, alpha=0.5), partial(F.elu, alpha=0.6))
    assert not same(partial(F.elu, alpha=0.5), F.elu) and not same("elu", F.elu)
    nested = partial(torch.optim.SGD, momentum=0.5)
    assert same(nested, pickle.loads(pickle.dumps(nested)))
    assert same(nn.Sequential(Cubed(2.0)), copy.deepcopy(nn.Sequential(Cubed(2.0))))
    assert not same(nn.Sequential(Cubed(2.0)), nn.Sequential(Cubed(1.0)))


@pytest.mark.parametrize(
    ("activation", "reason"),
    [
        (nn.GELU(), r"GELU\(approximate='none'\) is not monotone: it falls from"),
        (nn.GELU, "activation=GELU is not monotone"),
        (F.gelu, "activation=gelu is not monotone"),
        (nn.SiLU(), r"SiLU\(\) is not monotone"),
        (F.silu, "activation=silu is not monotone"),
        (nn.Mish(), r"Mish\(\) is not monotone"),
        (nn.Hardswish(), r"Hardswish\(\) is not monotone"),
        (torch.cos, "activation=cos is not monotone|does not rise"),
        (torch.neg, "activation=neg does not rise"),
        (wave, "activation=wave is not monotone"),
        (nothing, "activation=nothing does not rise"),
        (torch.log, "activation=log is not a number at"),
        (nn.PReLU(), "PReLU.*has parameters"),
        (nn.Softmax(dim=-1), "Softmax.*depends on more than the one number"),
        (mean_of_rows, "activation=mean_of_rows depends on more|does not give"),
        (nn.RReLU(), "RReLU.*depends on more than the one number"),
        (nn.GLU(), "GLU.*does not give one number for each number|must be even"),
        (nn.ReLU(inplace=True), "ReLU.*inplace=False"),
        (nn.BatchNorm1d(3), "BatchNorm1d.*has parameters"),
        (nn.Linear, "activation=Linear cannot be applied"),
        (torch.sign, None),
        (len, "activation=len does not give one number"),
        ("gelu", "activation.*'gelu'"),
        (None, "activation"),
    ],
)
def test_functions_that_cannot_be_taken_are_refused_before_training(activation, reason):
    model = classifier(activation=activation, callbacks=[NoTraining()])
    if reason is None:  # flat nearly everywhere, yet never falling
        return check_activation(activation)
    with pytest.raises(ValueError, match=reason):
        model.fit(X, Y)
    assert not hasattr(model, "classes_")

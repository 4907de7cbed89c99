"""Optimizers of the user's own, and arguments of them by `functools.partial`."""

import pickle
from functools import partial

import pytest
import torch
from samples import DIABETES, NoTraining, X, Y, assert_same_network, classifier, differ, regressor
from sklearn.base import clone
from skorch.callbacks import Callback
from torch.optim.optimizer import register_optimizer_step_post_hook

from qnnprune.training.optimizers import FusedSteps, optimizer_options


class Seen(Callback):
    """Keeps the optimizer."""

    def on_train_end(self, net, **kwargs):
        self.optimizer = net.optimizer_


ADAM = partial(torch.optim.Adam, betas=(0.8, 0.99), eps=1e-6)


def test_arguments_reach_the_optimizer():
    seen = Seen()
    classifier(optimizer=ADAM, callbacks=[seen], alpha=0.25, lr=0.02).fit(X, Y)
    assert type(seen.optimizer) is torch.optim.Adam
    assert {group["betas"] for group in seen.optimizer.param_groups} == {(0.8, 0.99)}
    assert {group["eps"] for group in seen.optimizer.param_groups} == {1e-6}
    assert sorted(group["weight_decay"] for group in seen.optimizer.param_groups) == [0.0, 0.25]


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("adamw", partial(torch.optim.AdamW)),
        ("adam", torch.optim.Adam),
        ("sgd", partial(torch.optim.SGD, momentum=0.9)),
        ("adamw", partial(partial(torch.optim.AdamW, betas=(0.9, 0.999)), eps=1e-8)),
    ],
)
def test_a_name_and_what_it_stands_for_train_the_same_network(name, same):
    named = regressor(optimizer=name).fit(*DIABETES)
    assert_same_network(named, regressor(optimizer=same).fit(*DIABETES))


def test_arguments_make_a_difference():
    plain = classifier(optimizer="sgd", max_epochs=6).fit(X, Y)
    nesterov = partial(torch.optim.SGD, momentum=0.9, nesterov=True)
    assert differ(plain, classifier(optimizer=nesterov, max_epochs=6).fit(X, Y))
    without = partial(torch.optim.AdamW, fused=False, foreach=False)
    classifier(optimizer=without).fit(X, Y)


def test_partial_functions_are_parameters_as_others_are():
    model = classifier(optimizer=ADAM)
    assert model.get_params()["optimizer"] is ADAM
    assert clone(model).optimizer.keywords == ADAM.keywords
    model.fit(X, Y)
    again = pickle.loads(pickle.dumps(model))
    assert again.optimizer.keywords == ADAM.keywords and again.optimizer.func is torch.optim.Adam
    assert_same_network(model, clone(again).fit(X, Y))


def test_moments_are_handed_on_to_the_same_optimizer():
    def trained(second):
        model = classifier(optimizer=ADAM).partial_fit(X, Y, classes=[0, 1, 2])
        return model.set_params(optimizer=second).partial_fit(X, Y)

    same = partial(torch.optim.Adam, betas=(0.8, 0.99), eps=1e-6)
    assert trained(same).loss_curve_ == trained(ADAM).loss_curve_
    assert not differ(trained(same), trained(ADAM))
    other = partial(torch.optim.Adam, betas=(0.8, 0.99), eps=1e-5)
    assert differ(trained(ADAM), trained(other))


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (partial(torch.optim.AdamW, lr=0.1), "optimizer=.*sets lr: use the parameter lr"),
        (partial(torch.optim.SGD, weight_decay=0.1), "sets weight_decay: use the parameter alpha"),
        (partial(torch.optim.AdamW, params=[]), "optimizer=.*sets params: leave it out"),
        (partial(torch.optim.AdamW, betas=(2.0, 0.9)), "optimizer=.*Invalid beta parameter"),
        (partial(torch.optim.AdamW, beta=0.9), "optimizer=.*beta=0.9.*cannot be made"),
        (torch.optim.LBFGS, "optimizer=.*takes no weight_decay"),
        (dict, "optimizer=.*cannot be made"),
        ("rprop", "optimizer"),
    ],
)
def test_what_cannot_be_made_is_refused_before_training(optimizer, message):
    model = classifier(optimizer=optimizer, callbacks=[NoTraining()], max_epochs="auto")
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y)


class Ours(torch.optim.AdamW):
    """A class of the user's own."""

    def step(self, closure=None):
        """Count, too."""
        self.counted = getattr(self, "counted", 0) + 1
        return super().step(closure)


SGD, ADAMW = torch.optim.SGD, torch.optim.AdamW
MADE = [
    "adamw", "adam", "sgd", SGD, partial(SGD, momentum=0.5, nesterov=True, maximize=True),
    partial(SGD, momentum=0.5, dampening=0.1), partial(ADAMW, amsgrad=True, betas=(0.5, 0.9)),
    partial(torch.optim.Adam, maximize=True, eps=1e-3), partial(ADAMW, foreach=True),
    torch.optim.RMSprop, Ours,
]  # fmt: skip


def make_optimizer(made, alpha=0.1):
    """An optimizer of parameters in two groups; gradients are theirs to be set."""
    generator = torch.Generator().manual_seed(0)
    sizes = [(5, 7), (16, 16), (3,), (1,)]
    parameters = [torch.nn.Parameter(torch.randn(size, generator=generator)) for size in sizes]
    groups = [{"params": parameters[:2], "weight_decay": alpha}, {"params": parameters[2:]}]
    options = optimizer_options(made)
    kind = options.pop("optimizer")
    settings = {name.removeprefix("optimizer__"): value for name, value in options.items()}
    return kind(groups, lr=0.1, **settings), parameters


def take(step, optimizer, parameters, n_steps=6, first=0):
    """Steps with other gradients and another learning rate each."""
    for number in range(first, first + n_steps):
        generator = torch.Generator().manual_seed(number)
        for group in optimizer.param_groups:
            group["lr"] = 0.1 / (1 + number)
        for parameter in parameters:
            if parameter.requires_grad:
                parameter.grad = torch.randn(parameter.shape, generator=generator)
        step()


def assert_same_steps(mine, theirs):
    (mine, parameters), (theirs, others) = mine, theirs
    for parameter, other in zip(parameters, others, strict=True):
        assert torch.equal(parameter, other)
    states = mine.state_dict()["state"], theirs.state_dict()["state"]
    assert states[0].keys() == states[1].keys()
    for number, state in states[0].items():
        assert state.keys() == states[1][number].keys()
        for name, value in state.items():
            assert torch.equal(value, states[1][number][name]), name


@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("made", MADE, ids=str)
def test_fused_steps_are_those_of_the_optimizer(made, alpha):
    mine, theirs = make_optimizer(made, alpha), make_optimizer(made, alpha)
    take(FusedSteps(mine[0]).step, *mine)
    take(theirs[0].step, *theirs)
    assert_same_steps(mine, theirs)
    # Moments go on wherever they are loaded.
    again = make_optimizer(made, alpha)
    again[0].load_state_dict(mine[0].state_dict())
    for parameter, other in zip(again[1], theirs[1], strict=True):
        parameter.data.copy_(other.data)
    take(FusedSteps(again[0]).step, *again, first=6)
    take(theirs[0].step, *theirs, first=6)
    assert_same_steps(again, theirs)


def test_kernels_are_called_without_the_step_of_torch(monkeypatch):
    mine = make_optimizer("adamw")
    steps = FusedSteps(mine[0])
    take(steps.step, *mine, n_steps=1)
    monkeypatch.setattr(torch.optim.AdamW, "step", None)
    take(steps.step, *mine)


def test_a_class_of_the_users_own_takes_its_own_steps():
    mine = make_optimizer(Ours)
    take(FusedSteps(mine[0]).step, *mine)
    assert mine[0].counted == 6


@pytest.mark.parametrize("where", ["of all", "before", "after", "around"])
def test_hooks_are_called(where):
    mine, calls = make_optimizer("adamw"), []

    def hook(*args):
        calls.append(args)

    if where == "around":  # as learning-rate schedulers of torch do
        torch.optim.lr_scheduler.ConstantLR(mine[0])
        take(FusedSteps(mine[0]).step, *mine)
        assert mine[0]._opt_called
        return
    add = {
        "of all": register_optimizer_step_post_hook,
        "before": mine[0].register_step_pre_hook,
        "after": mine[0].register_step_post_hook,
    }
    handle = add[where](hook)
    try:
        take(FusedSteps(mine[0]).step, *mine)
    finally:
        handle.remove()
    assert len(calls) == 6


def test_frozen_parameters_stay():
    mine, theirs = make_optimizer("adamw"), make_optimizer("adamw")
    for _, parameters in (mine, theirs):
        parameters[0].requires_grad = False
    frozen = mine[1][0].clone()
    take(FusedSteps(mine[0]).step, *mine)
    take(theirs[0].step, *theirs)
    assert torch.equal(mine[1][0], frozen)
    assert_same_steps(mine, theirs)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_whoever_watches_changes_nothing(optimizer):
    # With a callback of the user's, the optimizer takes its steps itself.
    watched = regressor(optimizer=optimizer, callbacks=[Callback()]).fit(*DIABETES)
    assert_same_network(watched, regressor(optimizer=optimizer).fit(*DIABETES))

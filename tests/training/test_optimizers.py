"""Optimizers of the user's own, and arguments of them by `functools.partial`."""

import pickle
from functools import partial

import pytest
import torch
from samples import DIABETES, NoTraining, X, Y, assert_same_network, classifier, differ, regressor
from sklearn.base import clone
from skorch.callbacks import Callback


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

"""Callbacks of skorch and Lightning, and nets that pickle."""

import copy
import pickle

import numpy as np
import pytest
import torch
from oracles import fits
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier
from torch import nn
from torch_modules import KINDS, LeNet, Mlp, fit_under_lightning, inputs, trained, worst_cases

import qnnprune.nn
from qnnprune.nn import AccumulatorPruning, to_integer_network


def rows_and_labels(n=120):
    X, y = load_digits(return_X_y=True)
    images = np.zeros((n, 1, 12, 12), np.float32)
    images[:, 0, 2:10, 2:10] = X[:n].reshape(-1, 8, 8) / 16
    return images, y[:n] % 4


def net(**options):
    return NeuralNetClassifier(
        LeNet,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.01,
        max_epochs=5,
        verbose=0,
        callbacks=[("pruning", AccumulatorPruning(8))],
        **options,
    )


@pytest.fixture(scope="module")
def fitted():
    torch.manual_seed(0)
    return net().fit(*rows_and_labels())


def test_skorch_ends_with_the_proof(fitted):
    ranges = [pair for each in worst_cases(fitted.module_).values() for pair in each]
    assert all(fits(low, high, 8) for low, high in ranges)
    report = dict(fitted.callbacks_)["pruning"].report_
    assert max(report.to_dict()["proven_bits"]) <= 8


def test_skorch_net_pickles_with_its_report(fitted):
    X, _ = rows_and_labels()
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
    report = dict(again.callbacks_)["pruning"].report_
    assert report.rows == dict(fitted.callbacks_)["pruning"].report_.rows


def test_integer_network_predicts_what_the_net_predicts(fitted):
    X, _ = rows_and_labels()
    network = to_integer_network(fitted.module_, X, classes=fitted.classes_)
    assert np.array_equal(network.predict(X), fitted.predict(X))


def test_validation_rows_see_the_pruned_module():
    """Scores of the last epochs are those of a module that respects the limits."""
    seen = []

    class Look(qnnprune.nn.AccumulatorPruning):
        def on_batch_end(self, net, training=False, **kwargs):
            super().on_batch_end(net, training=training, **kwargs)
            if not training:
                ranges = [p for each in worst_cases(net.module_).values() for p in each]
                seen.append(all(fits(low, high, 8) for low, high in ranges))

    torch.manual_seed(0)
    net().set_params(callbacks=[("pruning", Look(8))]).fit(*rows_and_labels())
    assert not seen[0] and all(seen[-2:])


def test_grid_search_clones_the_callback():
    X, y = rows_and_labels(60)
    search = GridSearchCV(
        net().set_params(max_epochs=2), {"callbacks__pruning__n_accum_bits": [7, 9]}, cv=2
    )
    search.fit(X, y)
    bits = search.best_params_["callbacks__pruning__n_accum_bits"]
    report = dict(search.best_estimator_.callbacks_)["pruning"].report_
    assert max(report.to_dict()["proven_bits"]) <= bits
    assert clone(search.best_estimator_).callbacks[0][1].n_accum_bits == bits


@pytest.mark.parametrize("steps", [1, 10, 310])
def test_modules_pickle_and_copy_in_every_phase_of_their_scales(steps):
    module = trained(Mlp(), steps=steps)
    rows = inputs(module, 30)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert type(other) is Mlp and not other.training
        assert torch.equal(other(rows), module(rows))
        assert other.layers[1].weight is not module.layers[1].weight


@pytest.mark.parametrize("kind", KINDS)
def test_modules_pickle_before_any_training(kind):
    module = kind(w_bits=4)
    other = pickle.loads(pickle.dumps(module))
    assert other.training
    assert all(
        torch.equal(a, b) for a, b in zip(other.parameters(), module.parameters(), strict=False)
    )


def test_lightning():
    lightning = pytest.importorskip("pytorch_lightning")

    torch.manual_seed(0)
    X, y = map(torch.from_numpy, rows_and_labels(64))
    pruning = qnnprune.nn.LightningPruning(8, module="net")
    module = fit_under_lightning(lightning, pruning, X, y, accelerator="cpu")
    ranges = [pair for each in worst_cases(module.net).values() for pair in each]
    assert all(fits(low, high, 8) for low, high in ranges)
    assert max(pruning.pruner.report().to_dict()["proven_bits"]) <= 8

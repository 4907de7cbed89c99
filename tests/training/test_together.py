"""Fits that run together, bit for bit against the same fits one by one."""

import threading

import numpy as np
import pytest
from sklearn.base import clone
from skorch.callbacks import LRScheduler
from torch.optim.lr_scheduler import StepLR

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.estimators import _base
from qnnprune.training import stack
from qnnprune.training.together import run_together

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 5)).round(1)
WEIGHT = RNG.integers(1, 4, len(X)).astype(float)
THREE = (X[:, 0] > 0).astype(int) + (X[:, 1] > X[:, 2])
TWO = np.array(["no", "yes"])[(X[:, 0] * X[:, 1] > 0).astype(int)]
LABELS = (X[:, :3] > 0).astype(int)
REAL = X @ RNG.normal(size=(5, 2)) + RNG.normal(size=(150, 2))
GRID = [
    {"lr": 0.01},
    {"lr": 0.03, "alpha": 0.1},
    {"n_accum_bits": 9},
    {"pruning_criterion": "activation"},
]


def classifier(**params):
    given = {"hidden_layer_sizes": (9,), "max_epochs": 6, "batch_size": 37, "random_state": 0}
    return PrunedNeuralNetClassifier(**given | {"n_output_sums": 1} | params)


def regressor(**params):
    given = {"hidden_layer_sizes": (9,), "max_epochs": 6, "batch_size": 37, "random_state": 0}
    return PrunedNeuralNetRegressor(**given | {"n_output_sums": 1} | params)


def candidates(estimator):
    return [clone(estimator).set_params(**params) for params in GRID]


def fits(estimators, y, weight=None):
    return [lambda net=net: net.fit(X, y, weight) for net in estimators]


@pytest.fixture
def sizes(monkeypatch):
    """Sizes of the stacks that are trained."""
    found, made = [], stack.Stack.__init__

    def counted(self, nets):
        found.append(len(nets))
        made(self, nets)

    monkeypatch.setattr(stack.Stack, "__init__", counted)
    return found


def assert_same_network(net, expected):
    assert net._trained.state.keys() == expected._trained.state.keys()
    for name, value in expected._trained.state.items():
        np.testing.assert_array_equal(net._trained.state[name], value, err_msg=name)
    for moments, expected_moments in zip(
        net._trained.moments.values(), expected._trained.moments.values(), strict=True
    ):
        for name, value in expected_moments.items():
            np.testing.assert_array_equal(moments[name], value, err_msg=name)
    assert _steady(net.history_) == _steady(expected.history_)
    assert net.integer_network_.proven_bits == expected.integer_network_.proven_bits


def _steady(history):
    return [{k: v for k, v in epoch.items() if k != "dur"} for epoch in history]


@pytest.mark.parametrize(
    ("estimator", "y"),
    [
        (classifier(), THREE),
        (classifier(), TWO),
        (classifier(), LABELS),
        (classifier(hidden_layer_sizes=(16, 7, 2, 11)), THREE),
        (classifier(hidden_layer_sizes=(2, 3)), TWO),
        (classifier(n_output_sums=3, hidden_layer_sizes=32), THREE),
        (classifier(n_output_sums=3, n_members=3), THREE),
        (classifier(n_output_sums=4, n_members=2, hidden_layer_sizes=(16, 7)), TWO),
        (classifier(n_output_sums=4, n_members=4, hidden_layer_sizes=(32, 16)), LABELS),
        (classifier(activation="tanh", n_a_bits=1), THREE),
        (classifier(activation="sigmoid", n_w_bits=3), TWO),
        (classifier(activation="leaky_relu", dropout=0.3), THREE),
        (classifier(activation="softplus"), THREE),
        (classifier(class_weight="balanced"), TWO),
        (classifier(pruning_schedule="in_training", pruning_criterion="l1"), THREE),
        (classifier(pruning_schedule="after_training"), THREE),
        (classifier(optimizer="sgd"), THREE),
        (classifier(optimizer="adam", batch_size=1000), THREE),
        (classifier(accumulator_guarantee=False), THREE),
        (regressor(), REAL),
        (regressor(loss="huber"), REAL[:, 0]),
        (regressor(loss="huber", n_output_sums=6, n_members=3), REAL),
        (regressor(loss="gamma", n_output_sums=2, n_members=2), np.exp(REAL)),
        (regressor(loss="absolute_error"), REAL),
        (regressor(loss="poisson"), np.abs(REAL[:, 0])),
        (regressor(loss="gamma"), np.exp(REAL)),
    ],
)
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_networks_and_histories_are_those_of_fits_one_by_one(estimator, y, weight, sizes):
    names = candidates(estimator)
    own = [clone(net).fit(X, y, weight) for net in names]
    assert sizes == []
    beside = run_together(fits(names, y, weight))
    assert sum(sizes) >= len(GRID) - 1
    for net, expected in zip(beside, own, strict=True):
        assert_same_network(net, expected)
        np.testing.assert_array_equal(net.predict(X), expected.predict(X))


def test_many_inputs(sizes):
    wide = np.repeat(X, 160, axis=1) + np.arange(800) % 7
    nets = candidates(classifier(hidden_layer_sizes=(50,), max_epochs=2, n_input_segments=1))
    own = [clone(net).fit(wide, THREE) for net in nets]
    beside = run_together([lambda net=net: net.fit(wide, THREE) for net in nets])
    assert sizes == [len(GRID)]
    for net, expected in zip(beside, own, strict=True):
        assert_same_network(net, expected)


@pytest.mark.parametrize("hidden", [(4,), (4, 4), (8, 4)])
@pytest.mark.parametrize("y", [THREE, TWO])
def test_members_of_one_neuron(hidden, y):
    nets = candidates(classifier(hidden_layer_sizes=hidden, n_output_sums=4, n_members=4))
    own = [clone(net).fit(X, y) for net in nets]
    for net, expected in zip(run_together(fits(nets, y)), own, strict=True):
        assert_same_network(net, expected)


def test_only_alike_nets_train_as_one(sizes):
    nets = [
        classifier(), classifier(lr=0.1), classifier(hidden_layer_sizes=(8,)),
        classifier(random_state=1), classifier(n_output_sums=2), classifier(batch_size=36),
        classifier(max_epochs=5), classifier(pruning_schedule="after_training"),
        classifier(dropout=0.1),
        classifier(early_stopping=True), classifier(n_rounding_bits=1), classifier(n_a_bits=3),
        classifier(hidden_layer_sizes=()), classifier(hidden_layer_sizes=(1,)),
        classifier(callbacks=[LRScheduler(StepLR, step_size=1)]), classifier(optimizer="sgd"),
        classifier(skip_connection=True), classifier(skip_connection=True, lr=0.1),
    ]  # fmt: skip
    own = [clone(net).fit(X, THREE) for net in nets]
    beside = run_together(fits(nets, THREE))
    assert sizes == [2]
    for net, expected in zip(beside, own, strict=True):
        assert_same_network(net, expected)


@pytest.mark.parametrize("given", [{}, {"n_output_sums": 4, "n_members": 2}])
def test_nets_that_are_pruned_in_other_ways_train_as_one(sizes, given):
    """Pruned weights of some learn, and those of others do not."""
    names = "gradual", "one_shot", "set", "before_training", "in_training"
    nets = [
        classifier(hidden_layer_sizes=(32, 16), pruning_schedule=name, **given) for name in names
    ]
    own = [clone(net).fit(X, THREE) for net in nets]
    beside = run_together(fits(nets, THREE))
    assert sizes == [len(names)]
    for net, expected in zip(beside, own, strict=True):
        assert_same_network(net, expected)


def test_encodings_and_rows_are_shared_where_rows_are_equal(monkeypatch):
    made, make = [], _base.merge_rows

    def counted(X, *rest):
        made.append(len(X))
        return make(X, *rest)

    monkeypatch.setattr(_base, "merge_rows", counted)
    pairs = [(X, THREE), (X.copy(), THREE.copy()), (X[1:], THREE[1:])]
    run_together([lambda rows=rows: classifier(max_epochs=1).fit(*rows) for rows in pairs])
    assert made == [len(X), len(X) - 1]
    classifier(max_epochs=1).fit(X, THREE)
    assert made[2:] == [len(X)]


def test_trials_of_recipes_train_together_too(sizes):
    X = RNG.normal(size=(220, 4))
    y = (X[:, 0] > X[:, 1]).astype(int)
    nets = [classifier(max_epochs="auto", lr=lr) for lr in (0.01, 0.02)]
    own = [clone(net).fit(X, y) for net in nets]
    beside = run_together([lambda net=net: net.fit(X, y) for net in nets])
    assert len(sizes) > 1
    for net, expected in zip(beside, own, strict=True):
        assert_same_network(net, expected)


def test_a_training_that_fails_leaves_the_others_as_they_are(monkeypatch):
    def outcome(net):
        try:
            return net.fit(X, THREE)
        except ValueError as error:
            return str(error)

    nets = [classifier(), classifier(lr=1e30, optimizer="sgd"), classifier(optimizer="sgd")]
    beside = run_together([lambda net=net: outcome(net) for net in nets])
    assert "Training diverged" in beside[1]
    for place in (0, 2):
        assert_same_network(beside[place], clone(nets[place]).fit(X, THREE))


def test_what_a_call_raises_ends_all_before_anything_is_trained(sizes):
    def fail():
        raise RuntimeError("no rows")

    before = threading.active_count()
    with pytest.raises(RuntimeError, match="no rows"):
        run_together([*fits([classifier(), classifier(lr=0.1)], THREE), fail])
    assert sizes == [] and threading.active_count() == before


def test_an_interrupt_ends_all(monkeypatch):
    calls, step = [], stack.Stack.train_step

    def interrupted(self, batch):
        calls.append(batch)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return step(self, batch)

    monkeypatch.setattr(stack.Stack, "train_step", interrupted)
    before, nets = threading.active_count(), [classifier(), classifier(lr=0.1)]
    with pytest.raises(KeyboardInterrupt):
        run_together(fits(nets, THREE))
    assert len(calls) == 3 and threading.active_count() == before
    assert not any(hasattr(net, "integer_network_") for net in nets)


def test_results_come_in_order_and_calls_need_not_fit():
    assert run_together([lambda: 1, lambda: 2]) == [1, 2]
    assert run_together([]) == []

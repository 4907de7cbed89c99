"""Networks beside each other in one, from `fit` to the integer network."""

import numpy as np
import oracles
import pytest
from samples import DIABETES, X, Y, check_limits, classifier, regressor
from skorch.callbacks import Callback

from qnnprune.pruning import CRITERIA, SCHEDULES
from qnnprune.pruning.pruner import removes_neurons

SETTINGS = {"n_output_sums": 4, "n_members": 2, "n_accum_bits": 6, "max_epochs": 5}


def member_of(place, n):
    """Which of two members has the neuron at a place among n."""
    return 0 if 2 * place < n else 1


def assert_apart(model, n_logits, passed=0):
    """No weight reads a neuron of the other member."""
    # Not those of the integer network, which leaves out neurons that nobody reads.
    _, *hidden, output = (layer.codes * layer.mask for layer in model.module_.layers)
    for weight in hidden:
        n_out, n_in = weight.shape
        found = np.argwhere(weight)
        assert len(found) > 4
        for row, column in found:
            assert member_of(row, n_out) == member_of(column, n_in)
    n_in = output.shape[1] - passed
    found = np.argwhere(output[:, :n_in])
    assert len(found) > 4
    for row, column in found:
        assert member_of(row // n_logits, 4) == member_of(column, n_in)
    expected = [oracles.decision(model.integer_network_, x) for x in rows_of(model)]
    assert model.integer_network_.decision(rows_of(model)).tolist() == expected


def rows_of(model):
    return (X if hasattr(model, "classes_") else DIABETES[0])[:20]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("criterion", CRITERIA)
def test_members_stay_apart(schedule, criterion):
    if SCHEDULES[schedule].rewires and removes_neurons(criterion):
        return
    methods = {"pruning_schedule": schedule, "pruning_criterion": criterion}
    model = classifier((21, 14), **SETTINGS, **methods).fit(X, Y)
    assert_apart(model, 3)
    check_limits(model, 2, 2, 2, 6, None, True)
    assert model.n_members_ == 2


class Changes(Callback):
    """Looks at the gradients of the second layer, and changes them."""

    def __init__(self):
        self.seen = []

    def on_grad_computed(self, net, **kwargs):
        gradient = net.module_.hidden[1].linear.weight.grad
        self.seen.append(gradient.clone())
        gradient += 1


@pytest.mark.parametrize("schedule", ["gradual", "set"])
def test_callbacks_see_gradients_of_one_step_alone(schedule):
    changes = Changes()
    model = classifier((8, 6), pruning_schedule=schedule, callbacks=[changes], **SETTINGS)
    model.fit(X, Y)
    apart = [[member_of(i, 6) != member_of(j, 8) for j in range(8)] for i in range(6)]
    assert len(changes.seen) > 10 and any(gradient.any() for gradient in changes.seen)
    for gradient in changes.seen:
        assert not gradient.numpy()[np.array(apart)].any()


def test_they_stay_apart_in_further_training():
    model = classifier((16, 9), warm_start=True, **SETTINGS).fit(X, Y)
    for go_on in (model.fit, model.partial_fit):
        assert_apart(go_on(X, Y), 3)
    model.prune(X, Y, n_accum_bits=5)
    assert_apart(model, 3)
    model.narrow_accumulator(X, Y, max_epochs=2)
    assert_apart(model, 3)


def test_they_stay_apart_where_weights_come_back():
    model = regressor((16, 9), **SETTINGS)
    for _ in range(4):
        assert_apart(model.partial_fit(*DIABETES), 1)


def test_all_read_the_input_codes_of_a_skip_connection():
    model = classifier((12,), skip_connection=True, **SETTINGS).fit(X, Y)
    n_in = len(model.integer_network_.encoding.feature)
    assert_apart(model, 3, passed=n_in)
    passed = model.module_.layers[-1].mask[:, -n_in:]
    assert passed.reshape(4, 3, -1).any(axis=(1, 2)).all()


def test_without_hidden_layers_all_sums_read_all_inputs():
    model = classifier((), **SETTINGS).fit(X, Y)
    assert model.integer_network_.layers[-1].weight.reshape(4, 3, -1).any(axis=(1, 2)).all()


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, (4, 4)),
        ({"n_output_sums": 6}, (2, 6)),
        ({"n_output_sums": 3}, (1, 3)),
        ({"n_members": 3}, (3, 6)),
        ({"hidden_layer_sizes": (16,)}, (1, 1)),
        ({"hidden_layer_sizes": (16,), "n_members": 2}, (2, 2)),
        ({"hidden_layer_sizes": ()}, (1, 4)),
        ({"n_accum_bits": 6}, (4, 16)),
        ({"n_accum_bits": 16}, (4, 4)),
    ],
)
def test_how_many_there_are(given, found):
    model = regressor("auto").set_params(max_epochs=1, **given).fit(X[:60], X[:60, 0])
    assert (model.n_members_, model.n_output_sums_) == found


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_members": 3, "n_output_sums": 4}, "n_members=3 .*n_output_sums=6"),
        ({"n_members": 8, "hidden_layer_sizes": (16, 6)}, "n_members=8 .*n_members=6"),
        ({"n_members": 0}, "n_members"),
        ({"n_members": 2.0}, "n_members"),
    ],
)
def test_what_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        regressor().set_params(**given).fit(X, X[:, 0])


def test_it_must_stay_so_while_training_goes_on():
    model = regressor((8,), **SETTINGS).partial_fit(*DIABETES)
    with pytest.raises(ValueError, match="n_members=4 was 2"):
        model.set_params(n_members=4).partial_fit(*DIABETES)
    model.set_params(n_members="auto").partial_fit(*DIABETES)
    assert model.n_members_ == 2


def test_the_share_of_weights_left_is_of_those_that_there_are():
    model = classifier((16, 8), **SETTINGS | {"n_accum_bits": 16}).fit(X, Y)
    assert [epoch["weights_left"] for epoch in model.history_] == [1.0] * 5

"""What each schedule and criterion keeps when."""

import numpy as np
import pytest
import torch
from prunable import assert_limits_hold, drift, make_limits, make_network, masks

from qnnprune.pruning.criteria import CRITERIA
from qnnprune.pruning.pruner import Pruner
from qnnprune.pruning.schedules import SCHEDULES

N_HIDDEN = (300, 200)
BUDGET = 60
# Weights of a row of the second layer that are kept at the start, in the middle and at the end.
COUNTS = {
    "gradual": (300, 60 + 240 / 8, 60),
    "one_shot": (300, 300, 60),
    "after_training": (300, 300, 60),
    "before_training": (60, 60, 60),
    "in_training": (60, 60, 60),
}


class Rows:
    """As much of a `TrainingTable` as pruning looks at."""

    def __init__(self, encoding, n_rows=100, seed=0):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=(n_rows, encoding.n_features))
        self._levels = encoding.levels(values)
        self.rows, self.weight = np.arange(n_rows), rng.random(n_rows)

    def levels(self, rows):
        return self._levels[rows]


def pruned(schedule="gradual", criterion="l1", steps=(0.0, 0.5, 1.0), hidden=(30, 20), **settings):
    """A network after some calls, and the masks after each of them."""
    network, encoding = make_network(n_w_bits=2, hidden=hidden)
    limits = {"budget": settings.pop("budget", None), "n_accum_bits": settings.pop("bits", None)}
    pruner = Pruner(make_limits(network, encoding, **limits), schedule, criterion, **settings)
    pruner.watch(Rows(encoding))
    found = []
    for progress in steps:
        pruner.prune(network, progress)
        found.append(masks(network))
    return network, pruner, found


@pytest.mark.parametrize("schedule", sorted(COUNTS))
def test_number_of_weights_by_hand(schedule):
    _, _, found = pruned(schedule, hidden=N_HIDDEN, budget=BUDGET)
    for masks_now, expected in zip(found, COUNTS[schedule], strict=True):
        np.testing.assert_array_equal(masks_now[1].sum(axis=1), expected)


def test_set_starts_and_stays_as_sparse_as_its_graph():
    _, _, found = pruned("set", hidden=N_HIDDEN, budget=BUDGET, steps=(0, 0.2, 0.4, 1))
    # ε (300 + 200) = 10,000 edges, 50 a row; the few rows above 60 lose some.
    assert 9_700 < found[0][1].sum() < 10_100
    for masks_now in found:
        assert masks_now[1].sum(axis=1).max() <= BUDGET
        assert masks_now[1].sum() >= 0.99 * found[0][1].sum()
    for before, after in zip(found, found[1:-1], strict=False):
        swapped = (before[1] & ~after[1]).sum() / before[1].sum()
        assert 0.2 < swapped <= 0.3, "some of the 30 % that are cut grow again at once"
    assert not (found[3][1] & ~found[2][1]).any(), "the end chooses among what is there"


@pytest.mark.parametrize("schedule", ["in_training", "set"])
def test_rewiring_happens_at_every_call_until_the_end(schedule):
    steps = (0, 0.01, 0.02, 1, 1)
    _, _, found = pruned(schedule, budget=8, steps=steps)
    assert (found[0][1] != found[1][1]).any() and (found[1][1] != found[2][1]).any()
    np.testing.assert_array_equal(found[3][1], found[4][1])
    _, _, again = pruned(schedule, budget=8, steps=steps)
    _, _, other = pruned(schedule, budget=8, steps=steps, seed=1)
    for first, same in zip(found, again, strict=True):
        np.testing.assert_array_equal(first[1], same[1])
    assert (found[-1][1] != other[-1][1]).any()


def test_before_training_keeps_the_largest_initial_weights():
    network, encoding = make_network(n_w_bits=2, hidden=(30, 20))
    initial = [linear.weight.detach().abs().numpy().copy() for linear in network.linears]
    pruner = Pruner(make_limits(network, encoding, budget=8), "before_training")
    for progress in (0.0, 0.5, 1.0):
        pruner.prune(network, progress)
        for magnitude, mask in zip(initial[1:], masks(network)[1:], strict=True):
            assert (mask.sum(axis=1) == 8).all()
            for row, kept in zip(magnitude, mask, strict=True):
                assert row[kept].min() > row[~kept].max()
        for linear, mask in zip(network.linears, masks(network), strict=True):
            with torch.no_grad():  # others may be large by now: they stay away
                linear.weight[torch.from_numpy(~mask)] = 9.0


@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
def test_pruned_weights_learn_only_in_dense_phases(schedule):
    dense = schedule in ("gradual", "one_shot", "after_training")
    for steps, expected in (((0.0, 0.5), dense), ((0.0, 1.0), False)):
        network, _, _ = pruned(schedule, budget=8, steps=steps)
        for linear in network.linears:
            assert linear.weight_quant.tensor_quant.dense_gradient == expected


@pytest.mark.slow
def test_random_keeps_a_uniformly_random_set():
    counts = np.zeros(30)
    for seed in range(100):
        _, _, found = pruned("gradual", "random", budget=6, steps=(1.0,), seed=seed)
        counts += found[0][1].sum(axis=0)
        assert found[0][1].sum(axis=1).max() <= 6
    expected = counts.sum() / 30  # of 100 times 20 rows
    assert expected > 300
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_activation_prefers_inputs_that_vary():
    network, encoding = make_network(n_w_bits=2, hidden=(30, 20))
    with torch.no_grad():
        network.hidden[0].norm.weight[:10] = 1e-3  # ten neurons that never move
    pruner = Pruner(make_limits(network, encoding, budget=5), "one_shot", "activation")
    pruner.watch(Rows(encoding))
    pruner.prune(network, 1.0)
    assert not masks(network)[1][:, :10].any()


NEURON_CRITERIA = ["neuron_l2", "neuron_activation", "neuron_redundancy"]


@pytest.mark.parametrize("criterion", NEURON_CRITERIA)
@pytest.mark.parametrize("schedule", ["gradual", "one_shot", "after_training", "before_training"])
def test_number_of_neurons_by_hand(schedule, criterion):
    _, _, found = pruned(schedule, criterion, bits=6, neuron_sparsity=0.4)
    # 12 of 30 and 8 of 20 go; halfway along a cubic curve an eighth of them is still there.
    halfway = {"gradual": (20, 13), "before_training": (18, 12)}.get(schedule, (30, 20))
    start = (18, 12) if schedule == "before_training" else (30, 20)
    for masks_now, expected in zip(found, (start, halfway, (18, 12)), strict=True):
        for layer in (0, 1):
            alive = masks_now[layer].any(axis=1)
            read = masks_now[layer + 1].any(axis=0)
            assert alive.sum() == expected[layer]
            assert not (read & ~alive).any()


@pytest.mark.parametrize("criterion", NEURON_CRITERIA)
def test_removed_neurons_stay_removed(criterion):
    network, pruner, found = pruned("gradual", criterion, bits=6)
    limits = pruner.limits
    rng = np.random.default_rng(0)
    second = Pruner(limits, "gradual", criterion)
    second.adopt(network)
    second.watch(Rows(network_encoding()))
    for again in (pruner, second):
        drift(network, rng)
        again.prune(network, 1.0)
        for old, new in zip(found[-1][:-1], masks(network)[:-1], strict=True):
            np.testing.assert_array_equal(old.any(axis=1), new.any(axis=1))


def network_encoding():
    return make_network(n_w_bits=2, hidden=(30, 20))[1]


def test_further_training_can_remove_more_neurons():
    network, pruner, found = pruned("gradual", "l1", bits=6)
    second = Pruner(pruner.limits, "gradual", "neuron_l2", neuron_sparsity=0.7)
    second.adopt(network)
    second.prune(network, 1.0)
    assert [mask.any(axis=1).sum() for mask in masks(network)] == [9, 6, 3]
    for old, new in zip(found[-1], masks(network), strict=True):
        assert not (new & ~old).any()


def test_one_neuron_stays():
    _, _, found = pruned("one_shot", "neuron_l2", bits=6, neuron_sparsity=0.99)
    assert [mask.any(axis=1).sum() for mask in found[-1]] == [1, 1, 3]


def test_redundancy_removes_a_planted_copy():
    network, encoding = make_network(n_w_bits=2, hidden=(10, 4))
    with torch.no_grad():
        network.linears[0].weight[7] = network.linears[0].weight[3]
    pruner = Pruner(
        make_limits(network, encoding, n_accum_bits=10), "one_shot", "neuron_redundancy",
        neuron_sparsity=0.1,
    )  # fmt: skip
    pruner.watch(Rows(encoding))
    pruner.prune(network, 1.0)
    assert masks(network)[0].any(axis=1).sum() == 9
    assert masks(network)[0][[3, 7]].any(axis=1).sum() == 1


@pytest.mark.parametrize("schedule", ["in_training", "set"])
@pytest.mark.parametrize("criterion", NEURON_CRITERIA)
def test_methods_that_do_not_go_together(schedule, criterion):
    with pytest.raises(ValueError, match=f"'{schedule}'.*'{criterion}'.*Use another"):
        pruned(schedule, criterion)


@pytest.mark.parametrize("criterion", sorted(CRITERIA))
@pytest.mark.parametrize("schedule", ["gradual", "before_training"])
def test_limits_hold_for_every_criterion(schedule, criterion):
    rng = np.random.default_rng(1)
    network, encoding = make_network(3, 2, hidden=(12, 8))
    limits = make_limits(network, encoding, n_accum_bits=5, budget=4)
    pruner = Pruner(limits, schedule, criterion)
    pruner.watch(Rows(encoding))
    for progress in (0.0, 0.5, 1.0, 1.0, 1.0):
        drift(network, rng)
        pruner.prune(network, progress)
    assert_limits_hold(network, limits)

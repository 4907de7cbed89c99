"""The limits of a fitted network, recomputed from its arrays."""

import pickle
from dataclasses import replace
from itertools import product

import numpy as np
import oracles
import pytest
import torch
from samples import (
    CANCER,
    X,
    Y,
    assert_same_network,
    assert_unchanged,
    check_limits,
    classifier,
    slow_unless,
)
from skorch.callbacks import Callback

from qnnprune.exceptions import AccumulatorProofError
from qnnprune.pruning.criteria import CRITERIA, NeuronCriterion
from qnnprune.pruning.schedules import SCHEDULES
from qnnprune.training.blocks import quantizer

# Limits are tried where they leave few weights, too.
pytestmark = pytest.mark.filterwarnings("ignore::qnnprune.exceptions.FewWeightsWarning")

WIDTHS = [
    (n_w_bits, n_a_bits, n_accum_bits)
    for n_w_bits, n_a_bits in [(2, 2), (3, 3), (4, 4), (2, 4), (4, 2)]
    for n_accum_bits in [6, 7, 8, 10, 12]
]


@pytest.mark.parametrize(
    ("n_w_bits", "n_a_bits", "n_accum_bits"),
    slow_unless(WIDTHS, lambda w, a, accum: accum == 8 or (w, a, accum) == (2, 2, 6)),
)
def test_limits_recomputed_from_the_arrays(n_w_bits, n_a_bits, n_accum_bits):
    n_in_bits = {2: 3, 3: 2, 4: 4}[n_a_bits]
    X, y = CANCER[0][::4], CANCER[1][::4]
    fits = 0
    for multiplier, guarantee in product((None, 1, 4), (True, False)):
        model = classifier(
            (12, 6), n_w_bits=n_w_bits, n_a_bits=n_a_bits, n_in_bits=n_in_bits,
            n_accum_bits=n_accum_bits, n_hidden_neurons_multiplier=multiplier,
            accumulator_guarantee=guarantee, max_epochs=2,
        )  # fmt: skip
        omegas = [oracles.omega(n_w_bits, n, n_accum_bits) for n in (n_in_bits, n_a_bits)]
        if multiplier is not None and min(omegas) == 0:
            with pytest.raises(ValueError, match="n_hidden_neurons_multiplier"):
                model.fit(X, y)
            continue
        model.fit(X, y)
        check_limits(model, n_w_bits, n_a_bits, n_in_bits, n_accum_bits, multiplier, guarantee)
        fits += 1
    assert fits >= 2


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "hardtanh", "identity"])
@pytest.mark.parametrize("n_a_bits", [1, 2])
def test_limits_hold_for_every_activation(activation, n_a_bits):
    settings = {"activation": activation, "n_a_bits": n_a_bits, "n_output_sums": 3 - n_a_bits}
    model = classifier((12, 6), n_accum_bits=6, max_epochs=15, lr=0.05, **settings)
    check_limits(model.fit(X, Y), 2, n_a_bits, n_a_bits, 6, None, True)
    if n_a_bits > 1:
        assert model.score(X, Y) > 0.8


@pytest.mark.parametrize(
    ("n_w_bits", "n_a_bits", "n_in_bits"),
    [(2, 1, 1), (2, 2, 1), (8, 2, 2), (2, 8, 1), (3, 3, 8), (8, 8, 8)],
)
@pytest.mark.parametrize("hidden", [(1,), (9,), (3, 1, 4)])
def test_smallest_legal_accumulator(n_w_bits, n_a_bits, n_in_bits, hidden):
    n_accum_bits = max(n_a_bits, n_in_bits)
    settings = {
        "n_w_bits": n_w_bits, "n_a_bits": n_a_bits, "n_in_bits": n_in_bits,
        "n_accum_bits": n_accum_bits,
    }  # fmt: skip
    model = classifier(hidden, **settings, n_output_sums=2).fit(X, Y)
    check_limits(model, n_w_bits, n_a_bits, n_in_bits, n_accum_bits, None, True)
    too_narrow = classifier(hidden, **settings | {"n_accum_bits": n_accum_bits - 1})
    with pytest.raises(ValueError, match=rf"n_accum_bits.*\b{n_accum_bits - 1}\b"):
        too_narrow.fit(X, Y)


def test_without_a_guarantee_only_the_count_holds():
    model = classifier(
        (32,), accumulator_guarantee=False, n_hidden_neurons_multiplier=4, n_accum_bits=8
    )
    report = model.fit(*CANCER).accumulator_report()
    assert model.integer_network_.layers[0].accumulator_bits.max() > 8
    assert "overflow of 8 bits is possible" in repr(report)


METHODS = [
    (schedule, criterion)
    for schedule, criterion in product(sorted(SCHEDULES), sorted(CRITERIA))
    if not (SCHEDULES[schedule].rewires and isinstance(CRITERIA[criterion], NeuronCriterion))
]


@pytest.mark.parametrize(
    ("schedule", "criterion"),
    slow_unless(METHODS, lambda schedule, criterion: schedule == "gradual" or criterion == "l1"),
)
def test_every_method_is_proven_and_goes_on(schedule, criterion):
    settings = {"pruning_schedule": schedule, "pruning_criterion": criterion, "max_epochs": 8}
    counted = classifier(
        (16, 8), accumulator_guarantee=False, n_hidden_neurons_multiplier=2, n_accum_bits=6,
        **settings,
    )  # fmt: skip
    check_limits(counted.fit(X, Y), 2, 2, 2, 6, 2, False)
    model, same = (classifier((16, 8), n_accum_bits=5, **settings).fit(X, Y) for _ in range(2))
    check_limits(model, 2, 2, 2, 5, None, True)
    assert_same_network(model, same)
    assert criterion == "random" or model.score(X, Y) > 0.5
    copy = pickle.loads(pickle.dumps(model))
    for further in ("partial_fit", "fit"):
        for again in (model, copy):
            getattr(again.set_params(warm_start=True, n_accum_bits=4), further)(X, Y)
            check_limits(again, 2, 2, 2, 4, None, True)
    if criterion.startswith("neuron"):
        sizes = [len(layer.weight) for layer in model.integer_network_.layers]
        assert sizes[0] <= 8 and sizes[1] <= 4


@pytest.mark.parametrize("criterion", [c for c in sorted(CRITERIA) if c.startswith("neuron")])
def test_removed_neurons_leave_the_arrays(criterion):
    model = classifier((20, 10), pruning_criterion=criterion, neuron_sparsity=0.6, max_epochs=10)
    layers = model.fit(X, Y).integer_network_.layers
    # The module keeps them, with nothing that comes in or goes out.
    masks = [quantizer(linear).mask for linear in model.module_.linears]
    for rows, columns in zip(masks, masks[1:], strict=False):
        gone = rows.sum(dim=1) == 0
        assert gone.any() and not columns[:, gone].any()
    alive = [int(mask.any(dim=1).sum()) for mask in masks]
    assert alive == [8, 4, 3]
    # The arrays lose them, and those that nobody reads for other reasons.
    sizes = [len(layer.weight) for layer in layers]
    assert all(n - 1 <= size <= n for size, n in zip(sizes, alive, strict=True))
    assert model.integer_network_.hidden_layer_sizes == tuple(sizes[:-1])
    assert [layer.weight.shape[1] for layer in layers[1:]] == sizes[:-1]
    assert [row["neurons"] for row in model.accumulator_report().rows] == sizes
    levels = torch.from_numpy(model.integer_network_.encoding.levels(X))
    output = model.module_(levels).detach().numpy()
    assert np.isclose(output, model.decision_function(X), atol=1e-4).all(axis=1).mean() > 0.97


def test_random_weights_stay_the_same_while_training_goes_on():
    def signs(model):
        return [(q.mask > 0).numpy() for q in map(quantizer, model.module_.linears)]

    model = classifier((16, 8), pruning_criterion="random", n_accum_bits=4, random_state=None)
    before = signs(model.fit(X, Y))
    after = signs(model.partial_fit(X, Y))
    same, chance = (
        np.mean([(a & b).sum() / a.sum() for a, b in zip(before, masks, strict=True)])
        for masks in (after, [a[:, ::-1] for a in before])
    )
    assert same > chance + 0.2


class Lenient(Callback):
    """Lifts the limits that weights are pruned to."""

    def on_train_begin(self, net, **kwargs):
        lifted = {"n_accum_bits": None, "budget": None}
        net.pruner.limits = [replace(limits, **lifted) for limits in net.pruner.limits]


def test_a_broken_proof_is_an_internal_error():
    for settings in ({"n_accum_bits": 4}, {"n_hidden_neurons_multiplier": 0.05}):
        model = classifier((16,), callbacks=[Lenient()], **settings)
        before = dict(vars(model))
        with pytest.raises(AccumulatorProofError, match="Layer 0"):
            model.fit(X, Y)
        assert_unchanged(model, before)

"""Masks: limits that hold whatever the weights do, and what is kept on the way."""

import numpy as np
import pytest
import torch
from prunable import assert_limits_hold, drift, integer_weights, make_limits, make_network, masks

from qnnprune.pruning.pruner import Pruner
from qnnprune.pruning.schedules import SCHEDULES
from qnnprune.training.quantizers import optimal_step


@pytest.mark.parametrize("regrow", [False, True])
@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
@pytest.mark.parametrize(
    ("n_w_bits", "n_a_bits", "n_accum_bits", "budget"),
    [
        (2, 2, 2, None), (2, 2, 6, 3), (3, 3, 3, None), (4, 2, None, 1), (8, 4, 8, None),
        (2, 1, 1, None), (3, 1, 3, None),
    ],
)  # fmt: skip
def test_limits_hold_whatever_the_weights_do(
    n_w_bits, n_a_bits, n_accum_bits, budget, schedule, regrow
):
    rng = np.random.default_rng(1)
    network, encoding = make_network(n_w_bits, n_a_bits)
    limits = make_limits(network, encoding, n_a_bits, n_accum_bits, budget)
    pruner = Pruner(limits, schedule, regrow=regrow)
    for progress in (0.0, 0.4, 0.9):
        drift(network, rng)
        pruner.prune(network, progress)
    for _ in range(8):
        drift(network, rng)
        pruner.prune(network, 1.0)
        assert_limits_hold(network, limits)
        # One weight always fits, so that no neuron is dead.
        assert all(codes.any(axis=1).all() for codes in integer_weights(network))


@pytest.mark.parametrize("regrow", [False, True])
@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
# In registers of as many bits as the codes have, weights of one sign alone fit.
@pytest.mark.parametrize(("n_a_bits", "n_accum_bits"), [(2, 2), (1, 1), (2, 6)])
def test_the_sums_of_an_output_share_a_scale_whatever_the_weights_do(
    n_a_bits, n_accum_bits, schedule, regrow
):
    rng = np.random.default_rng(3)
    network, encoding = make_network(2, n_a_bits, n_output_sums=4)
    limits = make_limits(network, encoding, n_a_bits, n_accum_bits)
    pruner = Pruner(limits, schedule, regrow=regrow)
    quantizer = network.output.linear.weight_quant.tensor_quant
    before = quantizer.scale.clone()
    for progress in (0.0, 0.4, 0.9, 1.0, 1.0, 1.0):
        drift(network, rng)
        pruner.prune(network, progress)
        by_output = quantizer.scale.reshape(4, 3)
        assert (by_output == by_output[0]).all()
    assert not torch.equal(quantizer.scale, before)
    assert_limits_hold(network, limits)
    *_, codes = integer_weights(network)
    assert codes.reshape(4, 3, 5).any(axis=(0, 2)).all()  # no output is without weights


def test_an_output_is_turned_by_the_best_weight_of_all_its_sums():
    network, encoding = make_network(2, 2, n_output_sums=2)
    with torch.no_grad():
        weight = network.output.linear.weight.view(2, 3, 5)
        weight.uniform_(0.1, 1.0)
        weight[1] *= -1
        weight[0, 1, 2], weight[1, 2, 3] = 5.0, -5.0  # the best of outputs 1 and 2
        weight[1, 0, 0] = -1.5  # the best of output 0
        gain = network.output.gain.clone()
    Pruner(make_limits(network, encoding, n_accum_bits=2)).prune(network, 1.0)
    assert (network.output.gain / gain).tolist() == [-1, 1, -1]
    *_, codes = integer_weights(network)
    assert codes.min() == 0  # what fits is +1 on codes of -2..1
    assert (codes.reshape(2, 3, 5).any(axis=2)[[1, 0, 1], [0, 1, 2]]).all()


def test_a_layer_of_zeros_gets_one_weight_a_row():
    network, encoding = make_network()
    for linear in network.linears:
        torch.nn.init.zeros_(linear.weight)
    limits = make_limits(network, encoding, n_accum_bits=8)
    Pruner(limits).prune(network, 1.0)
    for codes in integer_weights(network):
        assert (np.abs(codes).sum(axis=1) == 1).all()


def test_weights_on_constant_inputs_go():
    network, encoding = make_network()
    Pruner(make_limits(network, encoding, n_accum_bits=8)).prune(network, 1.0)
    constant = encoding.input_range[:, 0] == encoding.input_range[:, 1]
    assert constant.any() and not masks(network)[0][:, constant].any()


def test_pruning_keeps_the_largest_of_every_row():
    network, encoding = make_network(n_w_bits=4)
    Pruner(make_limits(network, encoding, budget=3)).prune(network, 1.0)
    for linear, mask in zip(network.linears[1:], masks(network)[1:], strict=True):
        magnitude = linear.weight.detach().abs().numpy()
        np.testing.assert_array_equal(mask.sum(axis=1), 3)
        for row, kept in zip(magnitude, mask, strict=True):
            assert row[kept].min() >= row[~kept].max()


def test_gradual_schedule_is_cubic():
    network, encoding = make_network(n_w_bits=8, hidden=(50, 4))
    pruner = Pruner(make_limits(network, encoding, budget=5), "gradual")
    steps = np.linspace(0, 1, 11)
    kept = []
    for progress in steps:
        pruner.prune(network, progress)
        kept.append(masks(network)[1].sum(axis=1))
    # 50 inputs, of which 5 stay: Zhu and Gupta 2017, equation 1.
    expected = 5 + np.ceil(45 * (1 - steps) ** 3 - 1e-12)
    np.testing.assert_array_equal(kept, np.tile(expected[:, None], 4))


def test_one_shot_prunes_nothing_until_the_end():
    network, encoding = make_network()
    pruner = Pruner(make_limits(network, encoding, n_accum_bits=8, budget=2), "one_shot")
    pruner.prune(network, 0.99)
    assert masks(network)[1].all()
    pruner.prune(network, 1.0)
    assert (masks(network)[1].sum(axis=1) == 2).all()


@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
def test_scales_follow_the_weights_that_stay(schedule):
    network, encoding = make_network(n_w_bits=4)
    pruner = Pruner(make_limits(network, encoding, budget=3), schedule)
    for progress in (0.0, 1.0):
        pruner.prune(network, progress)
    for linear, mask in zip(network.linears, masks(network), strict=True):
        weight = linear.weight.detach().numpy() * mask
        rms = np.sqrt((weight**2).sum(axis=1) / mask.sum(axis=1))
        scale = linear.weight_quant.tensor_quant.scale.numpy()[:, 0]
        np.testing.assert_allclose(scale, rms * optimal_step(4), rtol=1e-5)


@torch.no_grad()
def lift_pruned_weights(network, before):
    for linear, mask in zip(network.linears, before, strict=True):
        linear.weight[torch.from_numpy(~mask)] = 100.0


def test_pruned_weights_stay_away():
    network, encoding = make_network()
    pruner = Pruner(make_limits(network, encoding, budget=2))
    pruner.prune(network, 1.0)
    before = masks(network)
    lift_pruned_weights(network, before)
    pruner.prune(network, 1.0)
    for old, new in zip(before, masks(network), strict=True):
        assert not (new & ~old).any()


def test_regrow_lets_them_come_back():
    network, encoding = make_network()
    pruner = Pruner(make_limits(network, encoding, budget=2), regrow=True)
    pruner.prune(network, 1.0)
    assert all(linear.weight_quant.tensor_quant.dense_gradient for linear in network.linears)
    before = masks(network)
    lift_pruned_weights(network, before)
    pruner.prune(network, 1.0)
    for old, new in zip(before[1:], masks(network)[1:], strict=True):
        assert not (new & old).any(), "the two weights of 100 are the largest now"


def test_adopt_takes_over_what_is_pruned():
    network, encoding = make_network()
    limits = make_limits(network, encoding, budget=2)
    Pruner(limits).prune(network, 1.0)
    before = masks(network)
    lift_pruned_weights(network, before)
    second = Pruner(limits)
    second.adopt(network)
    second.prune(network, 1.0)
    for old, new in zip(before, masks(network), strict=True):
        assert not (new & ~old).any()


def test_masks_stop_gradients_only_at_the_end():
    network, encoding = make_network()
    pruner = Pruner(make_limits(network, encoding, budget=2))
    levels = torch.from_numpy(np.random.default_rng(0).integers(0, 4, (8, 7)))
    for progress, dense in ((0.9, True), (1.0, False)):
        pruner.prune(network, progress)
        network.zero_grad()
        network(levels).square().sum().backward()
        gradient = network.hidden[1].linear.weight.grad.numpy()
        assert gradient[~masks(network)[1]].any() == dense

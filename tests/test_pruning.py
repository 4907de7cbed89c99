"""Pruning against a plain-Python walk, and limits that hold whatever the weights do."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qnnprune.accumulators import code_range
from qnnprune.encoding import fit_encoding
from qnnprune.limits import LayerLimits, keep_what_fits
from qnnprune.network import NetworkShape, PrunableMLP
from qnnprune.pruning import Pruner
from qnnprune.quantizers import optimal_step
from qnnprune.schedules import SCHEDULES


def in_register(low, high, n_bits):
    return n_bits is None or (-(2 ** (n_bits - 1)) <= low and high <= 2 ** (n_bits - 1) - 1)


def slow_walk(codes, magnitude, candidates, limits):
    """One row: weights by falling magnitude, each kept if the sum with it still fits."""
    n_bits = limits.n_accum_bits
    kept, low, high = [], 0, 0
    wanted = [i for i in range(len(codes)) if candidates[i] and codes[i] != 0]
    for i in sorted(wanted, key=lambda i: -magnitude[i]):
        ends = [int(codes[i]) * int(x) for x in limits.input_range[i]]
        fits_count = limits.budget is None or len(kept) < limits.budget
        if fits_count and in_register(low + min(ends), high + max(ends), n_bits):
            kept, low, high = [*kept, i], low + min(ends), high + max(ends)
    if len(kept) == len(wanted):
        return [bool(c) for c in candidates]
    return [i in kept for i in range(len(codes))]


@st.composite
def rows_and_limits(draw):
    n_out, n_in = draw(st.integers(1, 3)), draw(st.integers(1, 9))
    largest = draw(st.sampled_from([1, 3, 7, 127]))

    def table(element):
        row = st.lists(element, min_size=n_in, max_size=n_in)
        return np.array(draw(st.lists(row, min_size=n_out, max_size=n_out)))

    codes = table(st.integers(-largest, largest))
    # Distinct magnitudes: the order of equal ones is nobody's promise.
    magnitude = np.array([draw(st.permutations(range(n_in))) for _ in range(n_out)], float)
    one_range = st.sampled_from([(0, 0), (-1, 0), (-2, 1), (-8, 7), (0, 3), (-128, 127)])
    input_range = np.array([draw(one_range) for _ in range(n_in)])
    n_accum_bits = draw(st.none() | st.integers(1, 14))
    budget = draw(st.none() | st.integers(1, n_in))
    return codes, magnitude, table(st.booleans()), LayerLimits(input_range, n_accum_bits, budget)


@given(rows_and_limits())
def test_keep_what_fits_equals_a_slow_walk(case):
    codes, magnitude, candidates, limits = case
    expected = [slow_walk(*row, limits) for row in zip(codes, magnitude, candidates, strict=True)]
    np.testing.assert_array_equal(keep_what_fits(codes, magnitude, candidates, limits), expected)


@pytest.mark.parametrize("n_accum_bits", [8, 62])
def test_keep_what_fits_on_a_wide_layer(n_accum_bits):
    rng = np.random.default_rng(0)
    codes = rng.integers(-127, 128, (4, 300))
    magnitude = rng.random((4, 300))
    candidates = rng.random((4, 300)) < 0.9
    limits = LayerLimits(np.tile([-4, 3], (300, 1)), n_accum_bits, 200)
    expected = [slow_walk(*row, limits) for row in zip(codes, magnitude, candidates, strict=True)]
    np.testing.assert_array_equal(keep_what_fits(codes, magnitude, candidates, limits), expected)


# ------------------------------------------------------------------ Pruner


def make_network(n_w_bits=3, n_a_bits=2, hidden=(6, 5), n_features=7, seed=0):
    """A network on features of which the last is constant, with slopes of either sign."""
    rng = np.random.default_rng(seed)
    columns = [*rng.normal(size=(n_features - 1, 40)), np.ones(40)]
    encoding = fit_encoding(columns, None, n_segments=2, n_bits=n_a_bits)
    torch.manual_seed(seed)
    shape = NetworkShape(hidden, 3, "relu", n_w_bits, n_a_bits)
    return PrunableMLP(encoding, shape), encoding


def make_limits(network, encoding, n_a_bits=2, n_accum_bits=None, budget=None):
    ranges = [encoding.input_range]
    ranges += [np.tile(code_range(n_a_bits), (len(h.norm.weight), 1)) for h in network.hidden]
    return [LayerLimits(r, n_accum_bits, budget) for r in ranges]


def integer_weights(network):
    """Kept codes, with the sign that rows get in the integer network."""
    for layer in (*network.hidden, network.output):
        quantizer = layer.linear.weight_quant.tensor_quant
        codes = (quantizer.codes(layer.linear.weight) * quantizer.mask).numpy().astype(int)
        if hasattr(layer, "norm"):
            codes = codes * np.where(layer.norm.weight.detach().numpy() < 0, -1, 1)[:, None]
        yield codes


def masks(network):
    return [linear.weight_quant.tensor_quant.mask.numpy() > 0 for linear in network.linears]


@torch.no_grad()
def drift(network, rng):
    """What an optimizer step may do, and worse."""
    for layer in (*network.hidden, network.output):
        weight = layer.linear.weight
        noise = rng.normal(scale=rng.choice([0.01, 1, 50]), size=weight.shape)
        weight.add_(torch.from_numpy(noise).float())
        weight[int(rng.integers(len(weight)))] *= 1e-6  # a row that rounds to 0
        if hasattr(layer, "norm"):
            sign = rng.choice([-1.0, 1.0], len(weight))
            layer.norm.weight.mul_(torch.from_numpy(sign).float())


def assert_limits_hold(network, limits):
    for codes, limit in zip(integer_weights(network), limits, strict=True):
        low, high = limit.input_range.T
        ends = np.stack([codes * low, codes * high])
        for row, bottom, top in zip(codes, ends.min(0).sum(1), ends.max(0).sum(1), strict=True):
            assert in_register(bottom, top, limit.n_accum_bits)
            assert limit.budget is None or np.count_nonzero(row) <= limit.budget
            assert np.count_nonzero(row) >= 1, "a dead neuron, though one weight always fits"


@pytest.mark.parametrize("regrow", [False, True])
@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
@pytest.mark.parametrize(
    ("n_w_bits", "n_a_bits", "n_accum_bits", "budget"),
    [(2, 2, 2, None), (2, 2, 6, 3), (3, 3, 3, None), (4, 2, None, 1), (8, 4, 8, None)],
)
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

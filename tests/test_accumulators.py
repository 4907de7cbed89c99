from types import SimpleNamespace

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnnprune.accumulators import (
    accumulator_bits,
    accumulator_range,
    code_range,
    omega,
    register_range,
    weight_budget,
    weight_max,
)
from qnnprune.exceptions import AccumulatorProofError
from qnnprune.integer._proof import verify_layers

seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(
    "n_w_bits, n_in_bits, n_accum_bits, expected",
    [(2, 2, 16, 7281), (3, 3, 8, 5), (2, 2, 8, 28), (4, 4, 8, 1), (4, 4, 6, 0)],
)
def test_omega_check_values(n_w_bits, n_in_bits, n_accum_bits, expected):
    assert omega(n_w_bits, n_in_bits, n_accum_bits) == expected


@given(st.integers(2, 8), st.integers(1, 8), st.integers(1, 62))
def test_omega_is_the_last_count_that_fits(n_w_bits, n_in_bits, n_accum_bits):
    largest_product = (2**n_w_bits - 1) * (2**n_in_bits - 1)
    count = omega(n_w_bits, n_in_bits, n_accum_bits)
    assert count * largest_product <= 2**n_accum_bits - 1 < (count + 1) * largest_product


def test_budget_is_rounded_down_per_neuron():
    assert [weight_budget(3, 3, 8, m) for m in (0.2, 0.5, 1, 1.3, 4)] == [1, 2, 5, 6, 20]
    assert weight_budget(4, 4, 6, None) is None


@pytest.mark.parametrize("widths, multiplier", [((4, 4, 6), 10.0), ((4, 4, 8), 0.9)])
def test_budget_of_zero_names_parameters_and_a_way_out(widths, multiplier):
    with pytest.raises(ValueError) as caught:
        weight_budget(*widths, multiplier)
    message = str(caught.value)
    wanted = [f"n_hidden_neurons_multiplier={multiplier}", "n_w_bits=4", "inputs of 4 bits"]
    for text in [*wanted, f"n_accum_bits={widths[2]}", "n_hidden_neurons_multiplier=None"]:
        assert text in message


@pytest.mark.parametrize("n_bits", range(1, 9))
def test_codes(n_bits):
    low, high = code_range(n_bits)
    assert high - low + 1 == 2**n_bits
    assert low == -high - 1
    if n_bits > 1:
        assert weight_max(n_bits) == high


@given(seed=seeds, n_in=st.integers(1, 4), n_out=st.integers(1, 3))
def test_range_and_width_are_those_of_all_inputs_tried(seed, n_in, n_out):
    rng = np.random.default_rng(seed)
    weight = rng.integers(-7, 8, (n_out, n_in)).astype(np.int8)
    low = rng.integers(-4, 3, n_in)
    input_range = np.stack([low, low + rng.integers(0, 5, n_in)], axis=1)
    ranges = accumulator_range(weight, input_range)
    for row, (least, most), bits in zip(
        weight, ranges.tolist(), accumulator_bits(ranges), strict=True
    ):
        every_code = oracles.every_code(input_range)
        sums = [sum(w * x for w, x in zip(row.tolist(), xs, strict=True)) for xs in every_code]
        assert (least, most) == (min(sums), max(sums))
        assert bits == oracles.width(least, most)


def test_range_of_extreme_codes_is_exact():
    # int8 products and sums would wrap.
    weight = np.full((1, 1000), -127, dtype=np.int8)
    input_range = np.tile(np.array([-128, 127], dtype=np.int8), (1000, 1))
    assert accumulator_range(weight, input_range).tolist() == [[-16129000, 16256000]]


@pytest.mark.parametrize("low", [-(2**62), -9, -8, -1, 0, 3])
@pytest.mark.parametrize("high", [3, 7, 8, 255, 256, 2**62 - 1, 2**62])
def test_width_is_the_smallest_that_fits(low, high):
    (bits,) = accumulator_bits(np.array([[low, high]]))
    assert bits == oracles.width(low, high)


@given(seed=seeds, n_bits=st.integers(1, 8), n_in=st.integers(1, 20))
def test_agrees_with_qonnx(seed, n_bits, n_in):
    basic = pytest.importorskip("qonnx.util.basic")
    datatype = pytest.importorskip("qonnx.core.datatype").DataType
    row = np.random.default_rng(seed).integers(-127, 128, (1, n_in))
    ranges = accumulator_range(row, np.tile(code_range(n_bits), (n_in, 1)))
    least, most = basic.calculate_matvec_accumulator_range(row.T, datatype[f"INT{n_bits}"])
    assert ranges.tolist() == [[least, most]]
    # As FINN chooses the type of an accumulator.
    extreme = most if least >= 0 else min(least, -most - 1)
    width = datatype.get_smallest_possible(extreme).bitwidth()
    assert accumulator_bits(ranges).tolist() == [width]


@given(seed=seeds, n_bits=st.integers(1, 8), n_in=st.integers(1, 30))
def test_partial_sums_in_any_order_stay_within_the_range(seed, n_bits, n_in):
    rng = np.random.default_rng(seed)
    row = rng.integers(-127, 128, n_in)
    low, high = code_range(n_bits)
    ((least, most),) = accumulator_range(row[None], np.tile([low, high], (n_in, 1)))
    worst = np.where((row > 0) == (rng.random() < 0.5), low, high)
    for codes in (rng.integers(low, high + 1, n_in), worst):
        sums = np.cumsum(rng.permutation(row * codes))
        assert least <= sums.min() and sums.max() <= most


@given(st.integers(-1000, 1000), st.integers(0, 1000), st.integers(1, 62))
def test_registers_hold_a_range_exactly_when_they_are_wide_enough(low, spread, n_bits):
    ranges = np.array([[low, low + spread]])
    ((least, most),) = register_range(ranges, n_bits).tolist()
    assert most - least == 2**n_bits - 1
    assert least == (0 if low >= 0 else -(2**n_bits) // 2)
    holds = least <= low and low + spread <= most
    assert holds == (accumulator_bits(ranges)[0] <= n_bits)


def _layer(weight, input_range):
    ranges = accumulator_range(weight, input_range)
    proof = {"accumulator_range": ranges, "accumulator_bits": accumulator_bits(ranges)}
    return SimpleNamespace(weight=weight, input_range=input_range, **proof)


class TestVerifyLayers:
    weight = np.array([[1, -3, 0], [0, 2, 0]], dtype=np.int8)
    codes = np.array([[-4, 3]] * 3)

    def test_a_valid_network_passes_at_its_limits(self):
        layer = _layer(self.weight, self.codes)  # ranges -13..15 and -8..6: 5 and 4 bits
        verify_layers([layer, layer], n_w_bits=3, n_accum_bits=5, budgets=[2, None])
        verify_layers([layer], n_w_bits=3)

    @pytest.mark.parametrize(
        "limits, message",
        [
            ({"n_w_bits": 2}, "a weight above 1 in magnitude"),
            ({"n_accum_bits": 4}, "a neuron wider than n_accum_bits=4"),
            ({"budgets": [None, 1]}, "a neuron with more than 1 weights"),
        ],
    )
    def test_limits(self, limits, message):
        first = _layer(np.array([[1, 0, 0]]), self.codes)
        second = _layer(self.weight, self.codes)
        with pytest.raises(AccumulatorProofError, match=f"Layer 1 has {message}"):
            verify_layers([first, second], **{"n_w_bits": 3, **limits})

    @pytest.mark.parametrize(
        "changes",
        [
            {"accumulator_range": np.array([[-13, 14], [-8, 6]])},
            {"accumulator_bits": np.array([5, 5])},
            {"weight": np.array([[1, -3, 0], [0, 1, 0]])},
            {"input_range": np.array([[-4, 3], [-4, 3], [-4, 3]]) + [0, 1]},
        ],
    )
    def test_tampered_proof(self, changes):
        layer = _layer(self.weight, self.codes)
        vars(layer).update(changes)
        with pytest.raises(AccumulatorProofError, match="a stored range that differs"):
            verify_layers([layer], 3)

    @pytest.mark.parametrize("n_w_bits", [2, 8])
    def test_the_most_negative_int8(self, n_w_bits):
        layer = _layer(np.array([[-128, 1]], dtype=np.int8), self.codes[:2])
        with pytest.raises(AccumulatorProofError, match="a weight above"):
            verify_layers([layer], n_w_bits)

    def test_several_failures_are_all_named(self):
        with pytest.raises(AccumulatorProofError, match="a weight above.*; a neuron wider"):
            verify_layers([_layer(self.weight, self.codes)], 2, 4)

"""Saturation on the way: after each addition, or after several products."""

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnnprune.encoding._encoding import InputEncoding
from qnnprune.integer import IntegerNetwork, OutputLayer

seeds = st.integers(0, 2**32 - 1)
shapes = st.fixed_dictionaries(
    {
        "n_features": st.integers(1, 6),
        "n_hidden": st.lists(st.integers(1, 6), max_size=3).map(tuple),
        "n_outputs": st.integers(1, 3),
        "n_output_sums": st.integers(1, 2),
        "n_in_bits": st.integers(1, 8),
        "n_a_bits": st.integers(1, 8),
        "n_w_bits": st.integers(2, 8),
    }
)


def _network(weight, input_range=(-4, 3)):
    """One layer on features that are codes of 3 bits, -4 below 0.5 and so on up to 3."""
    weight = np.array(weight, dtype=np.int8)
    n_in = weight.shape[1]
    thresholds = np.tile(np.arange(-3, 4) - 0.5, (n_in, 1))
    encoding = InputEncoding(thresholds, np.ones(n_in, dtype=np.int64), 3)
    ranges = np.tile(np.array(input_range), (n_in, 1))
    ones = np.ones(len(weight))
    output = OutputLayer(weight, ranges, scale=ones, bias=0 * ones)
    return IntegerNetwork(encoding, [output], n_w_bits=8, n_accum_bits=4)


def _clipped(network, X, per, order=None, n_accum_bits=4):
    return network.simulate(X, n_accum_bits=n_accum_bits, mode="saturate", per=per, order=order)


@given(
    seed=seeds, shape=shapes, n_accum_bits=st.integers(1, 14),
    per=st.sampled_from(["step", 1, 2, 3, 4, np.int8(2)]), shuffled=st.booleans(),
)  # fmt: skip
def test_clipping_on_the_way_equals_a_loop(tiny_network, seed, shape, n_accum_bits, per, shuffled):
    rng = np.random.default_rng(seed)
    network = tiny_network(rng, **shape)
    X = rng.normal(size=(6, network.n_features_in))
    fan_in = [layer.weight.shape[1] for layer in network.layers]
    orders = [rng.permutation(n) if shuffled else np.arange(n) for n in fan_in]
    result = _clipped(network, X, per, orders if shuffled else None, n_accum_bits)
    steps = oracles.ClippedOnTheWay(
        network.layers, n_accum_bits, 1 if per == "step" else int(per), orders
    )
    assert result.decision.tolist() == [oracles.decision(network, x, add=steps) for x in X]
    assert [counts.tolist() for counts in result.overflow_count] == steps.clipped


def test_by_hand():
    # Registers of -8..7.  Products of the row: 6, 6, -6, -6.
    network = _network([[2, 2, -2, -2]])
    X = [[3.0, 3.0, 3.0, 3.0]]
    assert network.decision(X).tolist() == [[0.0]]
    assert _clipped(network, X, "sum").decision.tolist() == [[0.0]]
    assert _clipped(network, X, "sum").overflow_rate == 0
    step = _clipped(network, X, "step")  # 6, 7 for 12, 1, -5
    assert step.decision.tolist() == [[-5.0]]
    assert step.overflow_count[0].tolist() == [1]
    assert (step.accumulator_min[0].tolist(), step.accumulator_max[0].tolist()) == ([0], [0])
    assert _clipped(network, X, 2).decision.tolist() == [[-5.0]]  # 7 for 12, -5
    assert _clipped(network, X, 4).decision.tolist() == [[0.0]]
    alternating = _clipped(network, X, "step", [[0, 2, 1, 3]])  # 6, 0, 6, 0
    assert alternating.decision.tolist() == [[0.0]]
    assert alternating.overflow_rate == 0
    down_first = _clipped(network, X, "step", [np.array([3, 2, 1, 0])])  # -6, -8 for -12, -2, 4
    assert down_first.decision.tolist() == [[4.0]]


def test_pruned_weights_take_their_place_in_a_step():
    # Products 6, 0, 6, -6: pairs are 6 and 0, then 6 and -6.
    network = _network([[2, 0, 2, -2]])
    X = [[3.0, 3.0, 3.0, 3.0]]
    assert _clipped(network, X, "step").decision.tolist() == [[1.0]]  # 6, 7 for 12, 1
    assert _clipped(network, X, 2).decision.tolist() == [[6.0]]
    assert _clipped(network, X, 3).decision.tolist() == [[1.0]]  # 7 for 12, 1


def test_a_partial_sum_may_leave_a_register_that_holds_every_whole_sum():
    # Codes of 2 or 3 alone: whole sums are 5 * 2 - 3 * 3 = 1 to 5 * 3 - 3 * 2 = 9.
    network = _network([[-3, 5]], input_range=(2, 3))
    register = oracles.register(4, signed=network.layers[0].accumulator_range[0, 0] < 0)
    assert register == (0, 15)
    X = [[3.0, 2.0]]  # products -9, 10
    assert _clipped(network, X, "sum").decision.tolist() == [[1.0]]
    assert _clipped(network, X, "step").decision.tolist() == [[10.0]]


def test_the_proven_width_is_enough_on_the_way(tiny_network):
    rng = np.random.default_rng(3)
    network = tiny_network(rng, n_features=5, n_hidden=(6, 5), n_outputs=3)
    X = rng.normal(size=(50, 5))
    result = _clipped(network, X, "step", n_accum_bits=network.proven_bits)
    assert result.overflow_rate == 0
    assert np.array_equal(result.decision, network.decision(X))


def test_blocks_change_nothing_on_the_way(tiny_network):
    rng = np.random.default_rng(0)
    network = tiny_network(rng, n_features=4000, n_hidden=(6, 5), n_outputs=3)  # 65 rows a block
    X = rng.normal(size=(150, 4000))
    whole = _clipped(network, X, 2, n_accum_bits=8)
    parts = [_clipped(network, X[i : i + 50], 2, n_accum_bits=8) for i in (0, 50, 100)]
    assert whole.overflow_rate > 0
    assert np.array_equal(whole.decision, np.concatenate([part.decision for part in parts]))
    for layer, counts in enumerate(whole.overflow_count):
        assert counts.tolist() == sum(part.overflow_count[layer] for part in parts).tolist()


def test_the_result_says_when_it_clipped():
    network = _network([[2, 2]])
    assert "mode='saturate', per='step', n_samples=1" in repr(_clipped(network, [[0, 0]], "step"))
    assert "per=" not in repr(_clipped(network, [[0, 0]], "sum"))
    assert _clipped(network, [[0, 0]], 2).per == 2


@pytest.mark.parametrize("per", [0, -1, True, "pair", 2.0, None])
def test_bad_steps_name_the_parameter(per):
    with pytest.raises(ValueError, match=f"per={per!r} must be"):
        _clipped(_network([[1, 2]]), [[0, 0]], per)


@pytest.mark.parametrize("mode", ["wrap", "raise"])
def test_other_modes_have_no_steps(mode):
    with pytest.raises(ValueError, match="per='step' needs mode='saturate'"):
        _network([[1, 2]]).simulate([[0, 0]], mode=mode, per="step")


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([], "0 entries.*1 layers"),
        ([[0, 1], None], "2 entries"),
        ([[0, 0]], r"order\[0\] must hold each of 0 to 1 once"),
        ([[0]], r"order\[0\]"),
        ([[0.0, 1.0]], r"order\[0\]"),
        ([[1, 2]], r"order\[0\]"),
    ],
)
def test_bad_orders_name_the_layer(order, message):
    with pytest.raises(ValueError, match=message):
        _clipped(_network([[1, 2]]), [[0, 0]], "step", order)


def test_an_order_without_steps_says_so():
    with pytest.raises(ValueError, match="order=.* needs per="):
        _clipped(_network([[1, 2]]), [[0, 0]], "sum", [[1, 0]])

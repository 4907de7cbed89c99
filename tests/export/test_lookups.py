import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnnprune import IntegerNetwork
from qnnprune.accumulators import accumulator_bits
from qnnprune.encoding._encoding import InputEncoding
from qnnprune.export.fhe._lookups import lookup_network
from qnnprune.integer import HiddenLayer, OutputLayer


def _accumulators(network, codes):
    """The output layer's accumulators, in Python integers."""
    return [list(oracles.walk(network.layers, row))[-1][0] for row in codes]


def _all_codes(network):
    return np.array(oracles.every_code(network.layers[0].input_range), dtype=np.int64)


def _check(network, codes):
    found = lookup_network(network)
    sums = found.run(codes[:, found.inputs])
    assert np.array_equal(sums + found.constant, _accumulators(network, codes))
    return found


def _network(weights, thresholds, n_in_bits=2, output_low=-2):
    """One hidden layer, and an output neuron that adds up what it puts out."""
    weight = np.array(weights, dtype=np.int8)
    steps = 2**n_in_bits - 1
    n_in = weight.shape[1]
    encoding = InputEncoding(
        np.tile(np.arange(steps) + 0.5, (n_in, 1)), np.ones(n_in, int), n_in_bits
    )
    hidden = HiddenLayer(weight, encoding.input_range, np.array(thresholds), output_low)
    n_codes = len(thresholds[0]) + 1
    codes = np.tile([output_low, output_low + n_codes - 1], (len(weight), 1))
    ones = np.ones((1, len(weight)), np.int8)
    output = OutputLayer(ones, codes, scale=np.ones(1), bias=np.zeros(1))
    return IntegerNetwork(encoding, [hidden, output], n_w_bits=3, n_accum_bits=8)


@given(
    seed=st.integers(0, 2**32 - 1),
    n_hidden=st.lists(st.integers(1, 5), max_size=3).map(tuple),
    n_in_bits=st.integers(1, 3),
    n_a_bits=st.integers(1, 4),
    n_w_bits=st.integers(2, 5),
    n_output_sums=st.integers(1, 3),
)
def test_every_input_gives_the_same_accumulators(
    tiny_network, seed, n_hidden, n_in_bits, n_a_bits, n_w_bits, n_output_sums
):
    rng = np.random.default_rng(seed)
    network = tiny_network(
        rng, n_features=2, n_hidden=n_hidden, n_outputs=2,
        n_in_bits=n_in_bits, n_a_bits=n_a_bits, n_w_bits=n_w_bits, n_output_sums=n_output_sums,
    )  # fmt: skip
    _check(network, _all_codes(network))


@pytest.mark.slow
@given(seed=st.integers(0, 2**32 - 1), n_in_bits=st.integers(1, 3))
def test_no_sum_is_wider_than_proven(tiny_network, seed, n_in_bits):
    rng = np.random.default_rng(seed)
    network = tiny_network(rng, n_features=4, n_hidden=(5, 4), n_in_bits=n_in_bits)
    codes = _all_codes(network)
    codes = codes[rng.permutation(len(codes))[:500]]
    found = _check(network, codes)
    inputs, codes = codes[:, found.inputs], codes[:, :0]
    for layer, proven in zip(found.layers, network.layers, strict=True):
        assert layer.n_bits <= max(2, proven.accumulator_bits.max(), network.n_w_bits)
        half = 2 ** (layer.n_bits - 1)
        sums = layer.sums(codes, inputs)
        assert -half <= sums.min() and sums.max() < half
        codes = None if layer.tables is None else layer.look_up(sums)


def test_a_table_by_hand():
    # Sums of -6 to 6 in 4 bits; reached at -5, 0 and 6.
    network = _network([[1, -1, 1, -1]], [[-5, 0, 6]])
    layer = _check(network, _all_codes(network)).layers[0]
    assert (layer.n_bits, layer.n_removed_bits, layer.offset.tolist()) == (4, 0, [0])
    expected = [-2] * 3 + [-1] * 5 + [0] * 6 + [1] * 2
    assert layer.tables.tolist() == [expected]


@pytest.mark.parametrize("shift", [0, 1, -1, 3])
def test_low_bits_go_where_thresholds_are_on_a_grid(shift):
    # Sums of -18 to 18: 37 values in 6 bits, so there is room for a shift.
    weights = np.tile([[1, -1]], (2, 6))
    grid = np.array([[-8, 0, 4], [-4, 4, 99]])
    network = _network(weights, grid + np.array([[shift], [0]]))
    found = lookup_network(network)
    assert (found.layers[0].n_bits, found.layers[0].n_removed_bits) == (6, 2)
    assert (found.layers[0].offset % 4).tolist() == [-shift % 4, 0]
    assert found.layers[0].tables.shape == (2, 16)
    codes = np.random.default_rng(0).integers(-2, 2, (2000, 12))
    _check(network, np.vstack([codes, [[-2, 1] * 6], [[1, -2] * 6]]))


@pytest.mark.parametrize(("thresholds", "n_removed"), [([0, 2, 4], 1), ([1, 3, 5], 0)])
def test_bits_stay_where_a_shift_to_the_grid_has_no_room(thresholds, n_removed):
    # Codes of -1 and 0: sums of -16 to 15 fill 5 bits.
    network = _network([[1] * 16 + [-1] * 15], [thresholds], n_in_bits=1)
    assert network.layers[0].accumulator_range.tolist() == [[-16, 15]]
    assert lookup_network(network).layers[0].n_removed_bits == n_removed


def test_constant_and_unread_neurons_get_no_table():
    # Sums of -3 to 3: neuron 0 always gives 1, neuron 2 never more than -2.
    network = _network(
        [[1, -1, 0], [0, -1, 0], [1, 1, 0], [1, 1, 0]],
        [[-9, -9, -3], [-1, 0, 1], [5, 6, 7], [0, 1, 2]],
    )
    network.layers[1].weight[0, 3] = 0
    found = _check(network, _all_codes(network))
    assert found.layers[0].input_weight.tolist() == [[-1]]
    assert found.inputs.tolist() == [1]
    assert found.constant.tolist() == [1 - 2]


def test_something_stays_where_nothing_is_read():
    network = _network([[1, 1], [1, 0]], [[-9, -9, -9], [9, 9, 9]])
    found = _check(network, _all_codes(network))
    assert [layer.input_weight.tolist() for layer in found.layers] == [[[0]]]


def test_a_neuron_that_is_an_affine_map_gets_no_table():
    # Sums of -2 to 1 of the first, to codes of -2 to 1; the second one's table has a step of 2.
    network = _network([[1, 0], [1, 1]], [[-1, 0, 1], [-1, -1, 1]])
    network.layers[1].weight[0] = [-1, 1]
    found = _check(network, _all_codes(network))
    hidden, output = found.layers
    assert hidden.input_weight.tolist() == [[1, 1]]
    assert (output.weight.tolist(), output.input_weight.tolist()) == ([[1]], [[-1, 0]])
    assert found.n_copies == 2


def test_an_affine_neuron_of_inputs_of_one_bit_is_stretched():
    # Codes of -1 and 0 become -2 and 1.
    network = _network([[1], [-1]], [[0, 0, 0], [1, 1, 1]], n_in_bits=1)
    found = _check(network, _all_codes(network))
    (output,) = found.layers
    assert output.input_weight.tolist() == [[3 - 3]]
    assert output.weight.shape == (1, 0)


@pytest.mark.parametrize("thresholds", [[-1, 0, 2], [-1, 0, 0], [0, 1, 2], [-2, 0, 1]])
def test_a_neuron_that_is_not_affine_keeps_its_table(thresholds):
    network = _network([[1]], [thresholds])
    found = _check(network, _all_codes(network))
    assert [layer.tables is None for layer in found.layers] == [False, True]


def test_a_neuron_that_reads_a_table_keeps_its_own():
    network = _network([[1, 1]], [[-2, 0, 2]])
    second = HiddenLayer(np.array([[1]]), np.array([[-2, 1]]), np.array([[-1, 0, 1]]), -2)
    layers = [network.layers[0], second, network.layers[1]]
    network = IntegerNetwork(network.encoding, layers, n_w_bits=3, n_accum_bits=8)
    found = _check(network, _all_codes(network))
    assert len(found.layers) == 3
    assert found.n_copies == 1


def test_a_sum_that_is_never_negative_stays_within_its_proven_width():
    # Codes of -1 and 0 times -1: sums of 0 to 15, 4 bits unsigned.
    network = _network([[-1] * 15], [[2, 5, 9]], n_in_bits=1)
    assert accumulator_bits(network.layers[0].accumulator_range).tolist() == [4]
    found = lookup_network(network)
    assert (found.layers[0].n_bits, found.layers[0].offset.tolist()) == (4, [-8])
    codes = np.random.default_rng(0).integers(-1, 1, (500, 15))
    _check(network, np.vstack([codes, np.zeros((1, 15), int), -np.ones((1, 15), int)]))

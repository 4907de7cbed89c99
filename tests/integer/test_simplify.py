"""Simplified layers against the original ones, on every input of tiny networks."""

import itertools
from dataclasses import replace

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnnprune import IntegerNetwork
from qnnprune.integer import HiddenLayer, OutputLayer
from qnnprune.integer._consistency import check_network
from qnnprune.integer._proof import verify_layers
from qnnprune.integer._simplify import simplify


def sums(layers, codes):
    """The output layer's sums."""
    return list(oracles.walk(layers, codes))[-1][0]


def assert_same_function(before, simplified):
    """The same sums, but for the constant, for all codes; the inputs that are not read do nothing."""
    inputs, constant = simplified.inputs.tolist(), simplified.constant.tolist()
    fewer = simplified.layers_of_inputs(simplified.inputs)
    for codes in oracles.every_code(before[0].input_range):
        expected = sums(before, codes)
        for layers, some in ((simplified.layers, codes), (fewer, [codes[i] for i in inputs])):
            found = sums(layers, some)
            assert [a + b for a, b in zip(found, constant, strict=True)] == expected


def assert_ranges_shrink(before, after):
    for old, new in zip(before, after, strict=True):
        (low, high), (least, most) = old.accumulator_range.T, new.accumulator_range.T
        assert least.min() >= low.min() and most.max() <= high.max()
        assert new.accumulator_bits.max() <= old.accumulator_bits.max()


def with_layers(network, layers):
    return IntegerNetwork(
        network.encoding, layers, n_w_bits=network.n_w_bits, n_accum_bits=network.n_accum_bits
    )


def plant(layers, unread=(), constant=(), layer=0, step=1):
    """Neurons of a hidden layer that nobody reads, and others that no input switches."""
    layers = list(layers)
    weight = layers[layer + 1].weight.copy()
    weight[:, list(unread)] = 0
    layers[layer + 1] = replace(layers[layer + 1], weight=weight)
    thresholds = layers[layer].thresholds.copy()
    low, high = layers[layer].accumulator_range.T
    for place, neuron in enumerate(constant):
        # Always one step, or never any.
        thresholds[neuron] = -(-(high[neuron] + 1) // step) * step
        thresholds[neuron, : place % 2] = low[neuron] // step * step
    layers[layer] = replace(layers[layer], thresholds=thresholds)
    return layers


def busy(network):
    """Layers with thresholds in the middle of what is reached: no neuron is constant."""
    layers = []
    for layer in network.layers:
        if isinstance(layer, HiddenLayer):
            low, high = layer.accumulator_range.T
            middle = ((low + high + 1) // 2)[:, None]
            layer = replace(layer, thresholds=np.repeat(middle, 3, axis=1))
        layers.append(layer)
    return layers


def positive(network):
    """The same network with no weight below 1: every neuron and every input is read."""
    layers = [replace(layer, weight=np.maximum(layer.weight, 1)) for layer in network.layers]
    return with_layers(network, layers)


def sizes(layers):
    return [len(layer.weight) for layer in layers]


@given(
    seed=st.integers(0, 2**32 - 1),
    n_hidden=st.lists(st.integers(1, 5), max_size=3).map(tuple),
    density=st.sampled_from([0.2, 0.5, 1.0]),
    step=st.sampled_from([1, 2, 4]),
    n_bits=st.integers(1, 2),
    n_a_bits=st.integers(1, 2),
    n_sums=st.integers(1, 2),
)
def test_every_input_of_any_network(
    tiny_network, seed, n_hidden, density, step, n_bits, n_a_bits, n_sums
):
    rng = np.random.default_rng(seed)
    shape = {"n_features": 2, "n_hidden": n_hidden, "n_outputs": 2, "n_output_sums": n_sums}
    network = tiny_network(rng, **shape, n_in_bits=n_bits, n_a_bits=n_a_bits)
    layers = []
    for layer in network.layers:
        layer = replace(layer, weight=layer.weight * (rng.random(layer.weight.shape) < density))
        if isinstance(layer, HiddenLayer):
            layer = replace(layer, thresholds=layer.thresholds // step * step)
        layers.append(layer)
    simplified = simplify(layers, step)
    assert_same_function(layers, simplified)
    assert_ranges_shrink(layers, simplified.layers)
    check_network(with_layers(network, simplified.layers))
    for before, after in zip(layers, simplified.layers, strict=True):
        assert after.weight.dtype == before.weight.dtype
        if isinstance(after, HiddenLayer):
            assert (after.thresholds % step == 0).all()
    for layer, after in itertools.pairwise(simplified.layers):
        assert after.weight.any(axis=0).all() or sizes([layer]) == [1]


@given(seed=st.integers(0, 2**32 - 1), layer=st.integers(0, 1))
def test_planted_neurons_leave(tiny_network, seed, layer):
    network = tiny_network(np.random.default_rng(seed), n_hidden=(6, 5), n_outputs=2, n_features=2)
    layers = plant(network.layers, unread=[0], constant=[2, 3, 4], layer=layer)
    simplified = simplify(layers)
    assert sizes(simplified.layers)[layer] <= max(1, sizes(layers)[layer] - 4)
    assert_same_function(layers, simplified)
    assert_ranges_shrink(layers, simplified.layers)


def test_by_hand():
    codes = np.array([[0, 0], [-2, 1], [-2, 1], [1, 1]])
    first = HiddenLayer(
        np.array([[1, 0, 1, 0], [2, 1, -1, 1], [0, 0, 1, 0]], np.int8),
        codes,
        np.array([[-9, 2, 9], [-1, 0, 1], [0, 1, 2]]),  # neuron 0 always gives -2 + 1
        output_low=-2,
    )
    last = OutputLayer(
        np.array([[3, 2, 0], [-1, 0, 0]], np.int8),
        np.array([[-2, 1]] * 3),
        scale=np.array([0.5, 1.0]),
        bias=np.array([10.0, 20.0]),
    )
    simplified = simplify([first, last])
    hidden, output = simplified.layers
    assert hidden.weight.tolist() == [[0, 1, -1, 0]]  # codes 0 and 3 never change
    assert hidden.thresholds.tolist() == [[-2, -1, 0]]  # code 3 added 1
    assert output.weight.tolist() == [[2], [0]]
    assert simplified.constant.tolist() == [-3, 1]
    assert simplified.inputs.tolist() == [1, 2]
    assert [x.weight.shape for x in simplified.layers_of_inputs([1, 2])] == [(1, 2), (2, 1)]
    assert simplified.layers_of_bias()[-1].bias.tolist() == [10 - 3 * 0.5, 20 + 1]
    assert_same_function([first, last], simplified)


@pytest.mark.parametrize("weight, n_left, thresholds", [(-1, 2, [-4, 0, 4]), (-2, 1, [-4, -4, 0])])
def test_constants_that_would_leave_the_grid_stay(weight, n_left, thresholds):
    codes = np.array([[-2, 1]] * 2)
    rows = np.array([[-8, 0, 4], [8, 8, 8]])  # the second neuron always gives -2
    first = HiddenLayer(np.array([[3, 3], [1, 1]], np.int8), codes, rows, output_low=-2)
    second = HiddenLayer(np.array([[1, weight]], np.int8), codes, np.array([[-4, 0, 4]]), -2)
    last = OutputLayer(np.ones((1, 1), np.int8), codes[:1], scale=np.ones(1), bias=np.zeros(1))
    simplified = simplify([first, second, last], step=4)
    assert sizes(simplified.layers) == [n_left, 1, 1]
    assert simplified.layers[1].thresholds.tolist() == [thresholds]
    assert_same_function([first, second, last], simplified)


def test_a_network_without_idle_neurons_stays_as_it_is(tiny_network):
    layers = busy(positive(tiny_network(np.random.default_rng(2), n_hidden=(4,))))
    fixed = ~layers[0].input_range.any(axis=1)
    layers[0] = replace(layers[0], weight=np.where(fixed, 0, layers[0].weight))
    simplified = simplify(layers)
    assert all(a is b for a, b in zip(layers, simplified.layers, strict=True))
    assert simplified.constant.tolist() == [0]
    assert simplified.layers_of_bias()[-1] is layers[-1]


def test_what_is_simple_stays_as_it_is(tiny_network):
    network = tiny_network(np.random.default_rng(3), n_hidden=(6, 5))
    once = simplify(plant(network.layers, unread=[0], constant=[2, 3]))
    twice = simplify(once.layers)
    assert all(a is b for a, b in zip(once.layers, twice.layers, strict=True))
    assert not twice.constant.any()


def test_every_layer_keeps_one_neuron(tiny_network):
    network = tiny_network(np.random.default_rng(0))
    layers = plant(network.layers, constant=range(4), layer=0)
    simplified = simplify(layers)
    assert sizes(simplified.layers) == [1, 1, 1]
    assert simplified.inputs.tolist() == [0]
    assert not any(layer.weight.any() for layer in simplified.layers)
    check_network(with_layers(network, simplified.layers))
    assert_same_function(layers, simplified)


@pytest.mark.parametrize("n_sums", [1, 3])
def test_outputs_are_equal_up_to_the_rounding_of_a_bias(tiny_network, n_sums):
    shape = {"n_hidden": (6, 5), "n_outputs": 2, "n_output_sums": n_sums, "n_features": 2}
    network = tiny_network(np.random.default_rng(1), **shape)
    layers = plant(network.layers, constant=[1, 2, 3], layer=1)
    simplified = simplify(layers)
    assert simplified.constant.any()
    before, after = with_layers(network, layers), with_layers(network, simplified.layers_of_bias())
    codes = np.array(oracles.every_code(layers[0].input_range))
    np.testing.assert_allclose(after.run(codes), before.run(codes), rtol=1e-12, atol=1e-12)
    verify_layers(after.layers, network.n_w_bits, n_accum_bits=network.proven_bits)


@pytest.mark.parametrize("far", [2**63 - 1, -(2**63)])
def test_thresholds_at_the_ends_of_int64_do_not_wrap_around(tiny_network, far):
    network = tiny_network(np.random.default_rng(4), n_hidden=(4, 3))
    layers = plant(network.layers, constant=[0, 1])
    weight, thresholds = layers[1].weight.copy(), layers[1].thresholds.copy()
    weight[:, :2], thresholds[0] = [[-3, -3], [3, 3], [1, 2]], far
    layers[1] = replace(layers[1], weight=weight, thresholds=thresholds)
    assert_same_function(layers, simplify(layers))

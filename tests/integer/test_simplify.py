"""Trimmed layers against the untrimmed ones, on every input of tiny networks."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from qnnprune.integer._network import IntegerNetwork
from qnnprune.integer._simplify import trim_layers
from qnnprune.integer._verification import check_network


def all_codes(network):
    ranges = [range(low, high + 1) for low, high in network.layers[0].input_range]
    return np.array(list(itertools.product(*ranges)))


def with_layers(network, layers):
    return IntegerNetwork(
        network.encoding, layers, n_w_bits=network.n_w_bits, n_accum_bits=network.n_accum_bits
    )


def plant(network, unread=(), constant=(), layer=0):
    """Neurons of a hidden layer that nobody reads, and others that no input switches."""
    layers = list(network.layers)
    weight = layers[layer + 1].weight.copy()
    weight[:, list(unread)] = 0
    layers[layer + 1] = replace(layers[layer + 1], weight=weight)
    thresholds = layers[layer].thresholds.copy()
    low, high = layers[layer].accumulator_range.T
    for place, neuron in enumerate(constant):
        # Always one step, or never any.
        thresholds[neuron] = high[neuron] + 1
        thresholds[neuron, : place % 2] = low[neuron]
    layers[layer] = replace(layers[layer], thresholds=thresholds)
    return with_layers(network, layers)


def sizes(network):
    return [len(layer.weight) for layer in network.layers]


def busy(network):
    """The same network with thresholds in the middle of what is reached: no neuron is constant."""
    layers = []
    for layer in network.layers:
        if layer.thresholds is not None:
            low, high = layer.accumulator_range.T
            middle = ((low + high + 1) // 2)[:, None]
            layer = replace(layer, thresholds=np.repeat(middle, 3, axis=1))
        layers.append(layer)
    return with_layers(network, layers)


def positive(network):
    """The same network with no weight below 1: every neuron is read."""
    layers = [replace(layer, weight=np.maximum(layer.weight, 1)) for layer in network.layers]
    return with_layers(network, layers)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("layer", [0, 1])
def test_unread_neurons_leave_without_any_change(tiny_network, seed, layer):
    rng = np.random.default_rng(seed)
    network = busy(tiny_network(rng, n_hidden=(6, 5), n_outputs=2))
    network = plant(network, unread=[1, 4], layer=layer)
    trimmed = with_layers(network, trim_layers(network.layers))
    assert sizes(trimmed)[layer] <= sizes(network)[layer] - 2
    check_network(trimmed)
    codes = all_codes(network)
    np.testing.assert_array_equal(trimmed.run(codes), network.run(codes))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("layer", [0, 1])
def test_every_input_of_a_network_with_idle_neurons(tiny_network, seed, layer):
    rng = np.random.default_rng(seed)
    network = tiny_network(rng, n_hidden=(6, 5), n_outputs=2, n_features=2)
    network = plant(network, unread=[0], constant=[2, 3, 4], layer=layer)
    trimmed = with_layers(network, trim_layers(network.layers))
    assert sizes(trimmed)[layer] <= sizes(network)[layer] - 4
    check_network(trimmed)
    codes = all_codes(network)
    np.testing.assert_allclose(trimmed.run(codes), network.run(codes), rtol=1e-12, atol=1e-12)
    for before, after in zip(network.layers, trimmed.layers, strict=True):
        assert after.weight.dtype == before.weight.dtype
        assert after.accumulator_bits.max() <= before.accumulator_bits.max()
    for hidden in trimmed.layers[:-1]:
        low, high = hidden.accumulator_range.T[:, :, None]
        assert ((hidden.thresholds >= low) & (hidden.thresholds <= high + 1)).all()


def test_constants_of_hidden_layers_change_no_integer(tiny_network):
    network = busy(positive(tiny_network(np.random.default_rng(5), n_hidden=(6, 5))))
    network = plant(network, constant=[0, 5], layer=0)
    trimmed = with_layers(network, trim_layers(network.layers))
    assert sizes(trimmed) == [4, 5, 1]
    codes = all_codes(network)
    np.testing.assert_array_equal(trimmed.run(codes), network.run(codes))


def test_a_network_without_idle_neurons_stays_as_it_is(tiny_network):
    layers = busy(positive(tiny_network(np.random.default_rng(0), n_hidden=(4,)))).layers
    assert all(a is b for a, b in zip(layers, trim_layers(layers), strict=True))


def test_every_layer_keeps_one_neuron(tiny_network):
    network = plant(tiny_network(np.random.default_rng(0)), constant=range(4), layer=0)
    trimmed = with_layers(network, trim_layers(network.layers))
    assert sizes(trimmed) == [1, 1, 1]
    check_network(trimmed)
    codes = all_codes(network)
    np.testing.assert_allclose(trimmed.run(codes), network.run(codes), rtol=1e-12)


def test_thresholds_stay_on_their_grid(tiny_network):
    network = tiny_network(np.random.default_rng(0), n_hidden=(6, 5), n_outputs=2)
    layers = [
        layer if layer.thresholds is None else replace(layer, thresholds=layer.thresholds // 4 * 4)
        for layer in network.layers
    ]
    network = plant(with_layers(network, layers), constant=[2, 3])
    layers = list(network.layers)
    layers[0] = replace(layers[0], thresholds=-(-layers[0].thresholds // 4) * 4)
    network = with_layers(network, layers)
    trimmed = with_layers(network, trim_layers(network.layers, step=4))
    assert all((layer.thresholds % 4 == 0).all() for layer in trimmed.layers[:-1])
    codes = all_codes(network)
    np.testing.assert_allclose(trimmed.run(codes), network.run(codes), rtol=1e-12, atol=1e-12)

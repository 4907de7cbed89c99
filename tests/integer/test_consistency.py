from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnnprune import IntegerNetwork
from qnnprune.integer._consistency import check_network

# The contradictions that a file can hold are in test_storage.py; here are those it cannot.


def _changed(network, index=0, **changes):
    layers = list(network.layers)
    layers[index] = replace(layers[index], **changes)
    return _with_layers(network, layers)


def _with_layers(network, layers):
    return IntegerNetwork(network.encoding, layers, n_w_bits=3, n_accum_bits=8)


@given(
    seed=st.integers(0, 2**32 - 1), n_in_bits=st.integers(1, 8), n_a_bits=st.integers(1, 8),
    n_w_bits=st.integers(2, 8), n_outputs=st.integers(1, 4), n_output_sums=st.integers(1, 3),
    n_hidden=st.integers(0, 3),
)  # fmt: skip
def test_valid_networks_pass(tiny_network, seed, n_hidden, n_outputs, **shape):
    rng = np.random.default_rng(seed)
    hidden = tuple(rng.integers(1, 5, n_hidden))
    classes = np.arange(max(2, n_outputs))
    check_network(tiny_network(rng, n_hidden=hidden, n_outputs=n_outputs, classes=classes, **shape))


def test_layers_in_the_wrong_place(tiny_network):
    network = tiny_network(np.random.default_rng(10), n_hidden=(3, 3))
    first, second, output = network.layers
    for layers, message in [
        ([], "no layers"),
        ([first, second], "layer 1: the last layer is no OutputLayer"),
        ([first, output, output], "layer 1: it is no HiddenLayer, though another layer follows"),
        ([first, second, replace(output, scale=None)], "layer 2: scale"),
        ([first, second, replace(output, bias=None)], "layer 2: bias"),
    ]:
        with pytest.raises(ValueError, match=message):
            check_network(_with_layers(network, layers))


def test_codes_that_the_proof_did_not_count_on(tiny_network):
    network = tiny_network(np.random.default_rng(11), n_hidden=(3,), n_a_bits=2)
    narrow = np.array([[-2, 0]] * 3)  # the layer before puts out -2 .. 1
    forged = _changed(network, 1, input_range=narrow)
    assert (forged.layers[1].accumulator_bits <= network.layers[1].accumulator_bits).all()
    with pytest.raises(ValueError, match="layer 1: input_range is not that of the codes"):
        check_network(forged)


@pytest.mark.parametrize("weight", [-128, -4, 4, 127])
def test_weights_beyond_their_width(tiny_network, weight):
    network = tiny_network(np.random.default_rng(12), n_w_bits=3)
    changed = network.layers[0].weight.copy()
    changed[1, 0] = weight
    with pytest.raises(ValueError, match="layer 0: a weight is beyond n_w_bits=3"):
        check_network(_changed(network, weight=changed))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"takes_others": np.ones(2, dtype=bool)}, "takes_others have shapes"),
        ({"single_thresholds": np.zeros((1, 2), dtype=np.float32)}, "single_thresholds"),
        ({"single_thresholds": np.full((3, 3), np.nan, dtype=np.float32)}, "single_thresholds"),
        ({"single_thresholds": np.zeros((3, 3), dtype=np.float32)}, "blocks"),
    ],
)
def test_thresholds_for_float32_that_do_not_fit(tiny_network, changes, message):
    rng = np.random.default_rng(13)
    network = tiny_network(rng, n_in_bits=2)
    encoding = network.encoding
    thresholds = np.tile([0.0, 1.0, 2.0], (3, 1))
    plain = replace(encoding, thresholds=thresholds, n_segments=np.ones(3, dtype=np.int64))
    network.encoding = replace(plain, **changes)
    with pytest.raises(ValueError, match=message):
        check_network(network)

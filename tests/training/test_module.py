"""The torch module: what its layers compute, in numbers worked out beside it."""

import numpy as np
import pytest
import torch

from qnnprune.encoding._fit import fit_encoding
from qnnprune.training.activations import ACTIVATIONS
from qnnprune.training.module import PrunableMLP
from qnnprune.training.spec import NetworkShape


def make_encoding(n_segments, n_bits, seed=0):
    """Four features, one of them binary and one constant."""
    rng = np.random.default_rng(seed)
    columns = [rng.normal(size=60), np.arange(60) % 2, np.ones(60), rng.exponential(size=60)]
    return fit_encoding(columns, None, n_segments=n_segments, n_bits=n_bits), np.array(columns).T


def make_network(encoding, activation="relu", n_w_bits=3, n_a_bits=3, n_output_sums=1):
    torch.manual_seed(0)
    shape = NetworkShape((16, 8), 2, activation, n_w_bits, n_a_bits, n_output_sums=n_output_sums)
    network = PrunableMLP(encoding, shape)
    with torch.no_grad():
        for layer in network.hidden:
            layer.norm.running_mean.normal_(std=0.3)
            layer.norm.running_var.uniform_(0.1, 0.3)
            layer.norm.weight.normal_(std=2)
            layer.norm.bias.normal_()
        network.output.gain.normal_(mean=3)
        network.output.bias.normal_()
    return network.eval()


@pytest.mark.parametrize("n_bits", [1, 2, 8])
@pytest.mark.parametrize("n_segments", [1, 3])
def test_input_values_follow_from_the_codes(n_segments, n_bits):
    encoding, X = make_encoding(n_segments, n_bits)
    inputs = make_network(encoding).input
    levels = encoding.levels(X)
    values = inputs(torch.from_numpy(levels)).numpy()
    varies = encoding.input_range[:, 0] < encoding.input_range[:, 1]
    expected = (encoding.codes(levels) - inputs.zero_point) * inputs.scale
    np.testing.assert_allclose(values[:, varies], expected[:, varies], atol=1e-6)
    assert values.min() == -1 and values.max() == 1
    assert (values[:, ~varies] == -1).all(), "a constant feature never changes"


def test_levels_are_not_changed_by_the_forward_pass():
    encoding, X = make_encoding(1, 2)
    levels = torch.from_numpy(encoding.levels(X))
    before = levels.clone()
    make_network(encoding)(levels)
    torch.testing.assert_close(levels, before, rtol=0, atol=0)


def by_hand(network, encoding, X, activation, n_w_bits, n_a_bits):
    """The forward pass in float64 numpy, from parameters and formulas."""
    functions = {
        "relu": lambda v: np.maximum(v, 0),
        "identity": lambda v: v,
        "hardtanh": lambda v: np.clip(v, -1, 1),
        "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
        "tanh": np.tanh,
        "leaky_relu": lambda v: np.where(v > 0, v, v / 100),
        "elu": lambda v: np.where(v > 0, v, np.expm1(v)),
        # Constants of Klambauer et al. 2017, "Self-Normalizing Neural Networks".
        "selu": lambda v: 1.0507009873554805 * np.where(v > 0, v, 1.6732632423543772 * np.expm1(v)),
        "softplus": lambda v: np.log1p(np.exp(v)),
        "hardsigmoid": lambda v: np.clip(v / 6 + 0.5, 0, 1),
    }

    def double(tensor):
        return tensor.detach().double().numpy()

    def product(x, linear):
        weight = double(linear.weight)
        if n_w_bits is not None:
            quantizer = linear.weight_quant.tensor_quant
            scale, largest = double(quantizer.scale), 2 ** (n_w_bits - 1) - 1
            codes = np.clip(np.round(weight / scale), -largest, largest)
            weight = codes * scale * double(quantizer.mask)
        return x @ weight.T

    x = double(network.input(torch.from_numpy(encoding.levels(X))))
    for layer in network.hidden:
        norm = layer.norm
        value = product(x, layer.linear) - double(norm.running_mean)
        value = value / np.sqrt(double(norm.running_var) + norm.eps)
        x = functions[activation](value * double(norm.weight) + double(norm.bias))
        if n_a_bits is not None:
            low, high = ACTIVATIONS[activation].window
            step = (high - low) / (2**n_a_bits - 1)
            x = np.clip(np.round((x - low) / step), 0, 2**n_a_bits - 1) * step + low
    sums = product(x, network.output.linear)  # those of two outputs take turns
    totals = np.column_stack([sums[:, ::2].sum(axis=1), sums[:, 1::2].sum(axis=1)])
    return totals * double(network.output.gain) + double(network.output.bias)


@pytest.mark.parametrize("bits", [(2, 1), (2, 2), (3, 3), (8, 8), (None, None)])
@pytest.mark.parametrize("n_sums", [1, 3])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_forward_pass_by_hand(activation, n_sums, bits):
    encoding, X = make_encoding(3, 2)
    network = make_network(encoding, activation, *bits, n_output_sums=n_sums)
    output = network(torch.from_numpy(encoding.levels(X))).detach().numpy()
    expected = by_hand(network, encoding, X, activation, *bits)
    # A value within float rounding of a tie may fall on the other side: of 60 rows, few do.
    close = np.isclose(output, expected, rtol=1e-4, atol=1e-4).all(axis=1)
    assert close.mean() > 0.95
    assert np.ptp(expected, axis=0).max() > 0.1, "a constant output proves nothing"


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_codes_of_are_the_codes_of_the_forward_pass(activation):
    encoding, X = make_encoding(3, 2)
    network = make_network(encoding, activation).double()
    layer = network.hidden[0]
    with torch.no_grad():
        value = layer.linear(network.input(torch.from_numpy(encoding.levels(X))))
        low, high = ACTIVATIONS[activation].window
        codes = (layer.requantize(layer.activation(layer.norm(value))) - low) / ((high - low) / 7)
        torch.testing.assert_close(layer.codes_of(value.T).T, codes.round())
    assert len(codes.round().unique()) > 2


def scales(linear):
    return linear.weight_quant.tensor_quant.scale[:, 0]


def test_the_sums_of_an_output_share_the_scale_of_all_their_weights():
    encoding, _ = make_encoding(3, 2)
    network = make_network(encoding, n_output_sums=3).seed(1)
    linear = network.output.linear
    assert linear.weight.shape == (6, 8)
    for output in range(2):
        alone = PrunableMLP(encoding, NetworkShape((48,), 1, "relu", 3, 3)).output.linear
        with torch.no_grad():  # all weights of the output, as those of one sum
            alone.weight[:, :24] = linear.weight[output::2].reshape(1, 24)
        alone.weight_quant.tensor_quant.set_mask(np.arange(48)[None] < 24)
        alone.weight_quant.tensor_quant.refresh_scale(alone.weight)
        torch.testing.assert_close(scales(linear)[output::2], scales(alone).repeat(3))


@pytest.mark.parametrize("n_sums", [1, 3])
def test_turned_outputs_stay_what_they_were(n_sums):
    encoding, X = make_encoding(3, 2)
    network = make_network(encoding, n_output_sums=n_sums)
    levels = torch.from_numpy(encoding.levels(X))
    before, weight = network(levels), network.output.linear.weight.detach().clone()
    network.turn(2, np.array([1]))
    torch.testing.assert_close(network(levels), before)
    assert torch.equal(network.output.linear.weight[1::2], -weight[1::2])
    assert torch.equal(network.output.linear.weight[::2], weight[::2])


def test_state_moves_between_networks():
    encoding, X = make_encoding(3, 2)
    first, second = make_network(encoding), PrunableMLP(
        encoding, NetworkShape((16, 8), 2, "relu", 3, 3)
    )  # fmt: skip
    first.hidden[0].linear.weight_quant.tensor_quant.set_mask(np.eye(16, 8) > 0)
    second.load_state_dict(first.state_dict())
    levels = torch.from_numpy(encoding.levels(X))
    torch.testing.assert_close(second.eval()(levels), first(levels), rtol=0, atol=0)


def test_sums_share_a_scale_in_a_network_whose_state_was_loaded():
    encoding, _ = make_encoding(3, 2)
    first, second = (make_network(encoding, n_output_sums=3) for _ in range(2))
    second.load_state_dict(first.state_dict())
    linear = second.output.linear
    with torch.no_grad():
        linear.weight.normal_()
    before = scales(linear).clone()
    linear.weight_quant.tensor_quant.refresh_scale(linear.weight)
    assert (scales(linear) != before).all()
    assert torch.equal(scales(linear), scales(linear)[:2].repeat(3))


def test_linears_go_from_input_to_output():
    encoding, _ = make_encoding(3, 2)
    shapes = [tuple(linear.weight.shape) for linear in make_network(encoding).linears]
    assert shapes == [(16, len(encoding.feature)), (8, 16), (2, 8)]


def test_show_codes_gives_integers():
    encoding, _ = make_encoding(3, 2)
    for linear in make_network(encoding).show_codes().linears:
        codes = linear.quant_weight().int()
        assert not codes.is_floating_point() and codes.abs().max() == 3


def test_layer_inputs_are_those_of_a_forward_pass():
    encoding, X = make_encoding(3, 2)
    network, levels = make_network(encoding).train(), torch.from_numpy(encoding.levels(X))
    before = [tensor.clone() for tensor in network.tensors()]
    inputs = network.layer_inputs(levels.numpy())
    assert network.training
    assert all(map(torch.equal, before, network.tensors())), "no moment has moved"
    network.eval()
    assert [x.shape for x in inputs] == [(len(levels), n) for n in (len(encoding.feature), 16, 8)]
    x = network.input(levels)
    for layer, found in zip((*network.hidden, None), inputs, strict=True):
        np.testing.assert_array_equal(found, x.detach().numpy())
        x = x if layer is None else layer(x)

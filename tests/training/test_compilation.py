"""The integer network against the module that it was compiled from, code by code."""

import math

import numpy as np
import oracles
import pytest
import torch
from samples import slow_unless
from sklearn.datasets import load_breast_cancer

from qnnprune.accumulators import code_range
from qnnprune.encoding._fit import fit_encoding
from qnnprune.exceptions import AccumulatorProofError
from qnnprune.pruning.limits import LayerLimits
from qnnprune.pruning.pruner import Pruner
from qnnprune.training.activations import ACTIVATIONS
from qnnprune.training.compilation import compile_layers
from qnnprune.training.module import PrunableMLP
from qnnprune.training.spec import NetworkShape

X = load_breast_cancer().data[:, :10]
X = np.hstack([X, np.ones((len(X), 1))])  # a constant feature


def build(
    activation,
    n_w_bits,
    n_a_bits,
    n_in_bits=2,
    n_accum_bits=None,
    hidden=(12, 8),
    n_rounding_bits=0,
    n_output_sums=1,
    skips=False,
):
    """A pruned network with slopes of either sign, and the levels of real rows."""
    encoding = fit_encoding(X.T, None, n_segments=2, n_bits=n_in_bits)
    torch.manual_seed(0)
    shape = NetworkShape(
        hidden, 3, activation, n_w_bits, n_a_bits, n_rounding_bits, n_output_sums, skips
    )
    network = PrunableMLP(encoding, shape)
    levels = torch.from_numpy(encoding.levels(X))
    with torch.no_grad():
        for layer in network.hidden:
            layer.norm.weight.normal_()
            layer.norm.bias.normal_()
        network.output.gain.normal_()
        network.output.bias.normal_()
        network.train()
        for _ in range(40):  # until the running statistics fit the rows
            network(levels)
    ranges = [encoding.input_range, *(np.tile(code_range(n_a_bits), (n, 1)) for n in hidden)]
    if skips:
        passed = np.tile(code_range(n_a_bits), (len(encoding.feature), 1))
        passed[np.ptp(encoding.input_range, axis=1) == 0] = -1
        ranges[-1] = np.concatenate([ranges[-1], passed])
    Pruner([LayerLimits(r, n_accum_bits) for r in ranges]).prune(network, 1.0)
    return network.eval(), encoding, levels


def compiled(network, encoding, mean=0.0, scale=1.0):
    return compile_layers(network, encoding.input_range, np.full(3, mean), np.full(3, scale))


@torch.no_grad()
def layer_codes(layer, x):
    """Output of a hidden layer, its codes, and how far each is from a tie, in steps."""
    window = layer.quantizer
    value = layer.norm(layer.linear(x))
    value = layer.activation(value)
    position = (value - window.low) / window.scale
    from_tie = (position - position.floor() - 0.5).abs()
    x = layer(x)
    codes = ((x - window.low) / window.scale).round() + code_range(window.n_bits)[0]
    return x, codes.numpy(), from_tie.numpy()


def module_codes(network, levels):
    """Codes of every hidden layer."""
    x = network.input(levels)
    for layer in network.hidden:
        x, codes, _ = layer_codes(layer, x)
        yield codes


def integer_codes(layers, codes):
    for layer in layers[:-1]:
        codes = layer.requantize(layer.accumulate(codes))
        yield codes


CASES = [(a, w, w) for a in sorted(ACTIVATIONS) for w in range(2, 9)]
CASES += [("relu", 2, 8), ("tanh", 8, 2), ("sigmoid", 4, 6)]
CASES += [(a, w, 1) for a in sorted(ACTIVATIONS) for w in (2, 8)]


@pytest.mark.parametrize(
    ("activation", "n_w_bits", "n_a_bits"),
    slow_unless(CASES, lambda activation, w, a: w != a or w in (2, 3, 8)),
)
def test_integer_codes_equal_the_modules_codes(activation, n_w_bits, n_a_bits):
    network, encoding, levels = build(activation, n_w_bits, n_a_bits)
    assert any((layer.norm.weight < 0).any() for layer in network.hidden), "no slope is negative"
    layers = compiled(network, encoding)
    found = list(integer_codes(layers, encoding.codes(levels.numpy())))

    # In float32 only ties may differ: each layer on the integer network's own codes.
    x = network.input(levels)
    for layer, integers in zip(network.hidden, found, strict=True):
        _, codes, from_tie = layer_codes(layer, x)
        differ = codes != integers
        assert differ.mean() < 1e-3
        assert (from_tie[differ] < 2e-6 * 2**n_a_bits).all()
        x = torch.from_numpy((integers - layer.quantizer.zero_point) * layer.quantizer.scale)
        x = x.to(torch.float32)

    # In float64 nothing differs, from the first layer to the last.
    for codes, integers in zip(module_codes(network.double(), levels), found, strict=True):
        np.testing.assert_array_equal(codes, integers)
        assert len(np.unique(integers)) >= min(3, 2**n_a_bits)


@pytest.mark.parametrize("n_rounding_bits", [1, 4])
@pytest.mark.parametrize("n_accum_bits", [8, None])
def test_rounded_sums_with_slopes_of_either_sign(n_rounding_bits, n_accum_bits):
    network, encoding, levels = build(
        "relu", 3, 3, n_accum_bits=n_accum_bits, n_rounding_bits=n_rounding_bits
    )
    assert any((layer.norm.weight < 0).any() for layer in network.hidden)
    layers = compiled(network, encoding)
    found = integer_codes(layers, encoding.codes(levels.numpy()))
    x = network.double().input(levels).double()
    for hidden, codes in zip(network.hidden, found, strict=True):
        x = hidden(x)
        position = x / hidden.quantizer.scale + hidden.quantizer.zero_point
        np.testing.assert_array_equal(position.detach().numpy().round(), codes)


@pytest.mark.parametrize("n_in_bits", [1, 3, 8])
def test_input_widths(n_in_bits):
    network, encoding, levels = build("relu", 3, 3, n_in_bits=n_in_bits)
    found = integer_codes(compiled(network, encoding), encoding.codes(levels.numpy()))
    for codes, integers in zip(module_codes(network.double(), levels), found, strict=True):
        np.testing.assert_array_equal(codes, integers)


@pytest.mark.parametrize(("mean", "scale"), [(0.0, 1.0), (1e6, 250.0)])
@pytest.mark.parametrize("n_sums", [1, 3])
@pytest.mark.parametrize("n_a_bits", [1, 3])
def test_output_map_equals_the_modules_output(mean, scale, n_sums, n_a_bits):
    network, encoding, levels = build("tanh", 3, n_a_bits, n_accum_bits=6, n_output_sums=n_sums)
    layers = compiled(network, encoding, mean, scale)
    *_, codes = integer_codes(layers, encoding.codes(levels.numpy()))
    totals = [oracles.added_up(row, 3) for row in layers[-1].accumulate(codes).tolist()]
    assert layers[-1].n_sums == n_sums and layers[-1].scale.shape == (3,)
    output = np.array(totals) * layers[-1].scale + layers[-1].bias
    with torch.no_grad():
        expected = network.double()(levels).numpy() * scale + mean
    np.testing.assert_allclose(output, expected, rtol=1e-9, atol=1e-9 * scale)
    assert layers[-1].thresholds is None and layers[-1].output_low is None


def test_every_input_of_a_tiny_network():
    rng = np.random.default_rng(0)
    encoding = fit_encoding(rng.normal(size=(3, 50)), None, n_segments=1, n_bits=2)
    torch.manual_seed(1)
    network = PrunableMLP(encoding, NetworkShape((4,), 3, "relu", 4, 3)).double().eval()
    with torch.no_grad():
        network.hidden[0].norm.weight.copy_(torch.tensor([1.3, -0.7, 0.0, -2.0]))
        network.hidden[0].norm.bias.normal_()
    levels = torch.cartesian_prod(*[torch.arange(4)] * 3)
    layers = compiled(network, encoding)
    (expected,) = module_codes(network, levels)
    (found,) = integer_codes(layers, encoding.codes(levels.numpy()))
    np.testing.assert_array_equal(found, expected)
    acc = layers[0].accumulate(encoding.codes(levels.numpy()))
    # All 64 inputs reach both ends of the proven range, and nothing beyond.
    np.testing.assert_array_equal(acc.min(axis=0), layers[0].accumulator_range[:, 0])
    np.testing.assert_array_equal(acc.max(axis=0), layers[0].accumulator_range[:, 1])


FUNCTIONS = {
    "relu": lambda v: v,
    "identity": lambda v: v,
    "hardtanh": lambda v: v,
    "sigmoid": lambda v: 1 / (1 + math.exp(-v)),
    "tanh": math.tanh,
    "leaky_relu": lambda v: v if v > 0 else v / 100,
    "elu": lambda v: v if v > 0 else math.expm1(v),
    # Constants of Klambauer et al. 2017, "Self-Normalizing Neural Networks".
    "selu": lambda v: 1.0507009873554805 * (v if v > 0 else 1.6732632423543772 * math.expm1(v)),
    "softplus": lambda v: math.log1p(math.exp(v)),
    "hardsigmoid": lambda v: min(max(v / 6 + 0.5, 0), 1),
}


@pytest.mark.parametrize("n_a_bits", [1, 2, 5, 8])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_thresholds_by_brute_force(activation, n_a_bits):
    network, encoding, _ = build(activation, 3, n_a_bits, hidden=(5, 4), n_accum_bits=8)
    layer, hidden = compiled(network, encoding)[1], network.hidden[1]
    low, high = ACTIVATIONS[activation].window
    step = (high - low) / (2**n_a_bits - 1)
    assert layer.thresholds.shape == (4, 2**n_a_bits - 1)
    assert (np.diff(layer.thresholds) >= 0).all()
    for j in range(4):
        gain, offset = hidden.norm.weight[j].item(), hidden.norm.bias[j].item()
        mean, var = hidden.norm.running_mean[j].item(), hidden.norm.running_var[j].item()
        sign = -1 if gain < 0 else 1
        scale = hidden.linear.weight_quant.tensor_quant.scale[j].item()
        row_sum = sign * int(layer.weight[j].sum())
        for acc in range(*(layer.accumulator_range[j] + [0, 1])):
            # Inputs are low + (code - lowest code) * step, so that the sum of weight times
            # input is step * acc, plus what the shift gives times the sum of the weights.
            shift = (low + 2 ** (n_a_bits - 1) * step) * row_sum
            value = scale * (step * sign * acc + shift)
            value = (value - mean) / math.sqrt(var + hidden.norm.eps) * gain + offset
            position = (FUNCTIONS[activation](value) - low) / step
            if abs(position - math.floor(position) - 0.5) < 1e-9:
                continue  # a tie: either side is right
            expected = min(max(round(position), 0), 2**n_a_bits - 1)
            assert oracles.reached(layer.thresholds[j], acc) == expected


def test_thresholds_stay_within_the_proven_range():
    network, encoding, _ = build("relu", 3, 3)
    for layer in compiled(network, encoding)[:-1]:
        low, high = layer.accumulator_range.T[:, :, None]
        assert ((layer.thresholds >= low) & (layer.thresholds <= high + 1)).all()
        assert layer.thresholds.dtype.kind == "i" and layer.weight.dtype == np.int8


def test_a_row_of_negative_slope_is_negated():
    network, encoding, _ = build("relu", 3, 3)
    for hidden, layer in zip(network.hidden, compiled(network, encoding), strict=False):
        quantizer = hidden.linear.weight_quant.tensor_quant
        codes = (quantizer.codes(hidden.linear.weight) * quantizer.mask).numpy()
        sign = np.sign(hidden.norm.weight.detach().numpy())
        np.testing.assert_array_equal(layer.weight, codes * sign[:, None])


def test_a_neuron_without_weights_compiles():
    network, encoding, levels = build("relu", 3, 3)
    network.hidden[0].linear.weight_quant.tensor_quant.set_mask(
        np.zeros((12, len(encoding.feature)))
    )
    layers = compiled(network, encoding)
    np.testing.assert_array_equal(layers[0].accumulator_range, 0)
    codes = next(integer_codes(layers, encoding.codes(levels.numpy())))
    expected = next(module_codes(network.double(), levels))
    np.testing.assert_array_equal(codes, expected)


def test_nan_is_refused():
    network, encoding, _ = build("relu", 3, 3)
    torch.nn.init.constant_(network.hidden[0].norm.bias, float("nan"))
    with pytest.raises(AccumulatorProofError):
        compiled(network, encoding)


@pytest.mark.parametrize("n_rounding_bits", [0, 3])
@pytest.mark.parametrize("hidden", [(12,), (9, 8, 7)])
@pytest.mark.parametrize(("n_in_bits", "n_a_bits"), [(1, 1), (1, 3), (2, 2), (2, 3), (3, 8)])
def test_input_codes_go_through_hidden_layers(n_in_bits, n_a_bits, hidden, n_rounding_bits):
    network, encoding, levels = build(
        "relu", 3, n_a_bits, n_in_bits, n_accum_bits=8, hidden=hidden, n_output_sums=2,
        n_rounding_bits=n_rounding_bits, skips=True,
    )  # fmt: skip
    layers = compiled(network, encoding)
    codes, stride = encoding.codes(levels.numpy()), (2**n_a_bits - 1) // (2**n_in_bits - 1)
    expected = code_range(n_a_bits)[0] + stride * (codes.astype(int) - code_range(n_in_bits)[0])
    last = list(integer_codes(layers, codes))
    for found, n_own in zip(last, hidden, strict=True):
        np.testing.assert_array_equal(found[:, n_own:], expected)
    assert layers[-1].weight[:, hidden[-1] :].any()
    assert len(np.unique(encoding.input_range, axis=0)) > 1, "all inputs have all codes"
    decision = layers[-1].decision(layers[-1].accumulate(last[-1]))
    with torch.no_grad():
        np.testing.assert_allclose(decision, network.double()(levels).numpy(), atol=1e-9)

"""The quantizers against the stock Brevitas ones that they stand in for."""

import numpy as np
import pytest
import torch
from brevitas.core.function_wrapper import Identity, RoundSte, TensorClamp
from brevitas.core.quant import IntQuant
from brevitas.inject.enum import ScalingImplType
from brevitas.nn import QuantIdentity, QuantLinear
from brevitas.quant import Int8WeightPerTensorFloat, Uint8ActPerTensorFloat
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.stats import norm
from sklearn.datasets import load_iris

from qnnprune import PrunedNeuralNetClassifier
from qnnprune.training.compilation import compile_layers
from qnnprune.training.quantizers import activation_quantizer, optimal_step, weight_quantizer

BITS = range(2, 9)


def stock_weight(n_bits, weight_scale):
    class Stock(Int8WeightPerTensorFloat):
        scaling_impl_type = ScalingImplType.CONST
        bit_width = n_bits
        narrow_range = True
        scaling_init = weight_scale * (2 ** (n_bits - 1) - 1)

    return Stock


def pair_of_linears(n_bits, scale):
    ours = QuantLinear(6, 5, bias=False, weight_quant=weight_quantizer(n_bits))
    stock = QuantLinear(6, 5, bias=False, weight_quant=stock_weight(n_bits, scale))
    with torch.no_grad():
        # Values inside and far outside the range; ties where they are exact.
        grid = torch.linspace(-1.61, 1.6, 30).reshape(5, 6) * scale * 2 ** (n_bits - 1)
        if scale == 0.25:
            grid[0] = scale * torch.tensor([-1.5, -0.5, 0.0, 0.5, 1.5, 2.5])
        ours.weight.copy_(grid)
        stock.weight.copy_(grid)
        ours.weight_quant.tensor_quant.scale.fill_(scale)
    return ours, stock


@pytest.mark.parametrize("scale", [0.25, 0.1])
@pytest.mark.parametrize("n_bits", BITS)
def test_weights_equal_the_stock_quantizer(n_bits, scale):
    ours, stock = pair_of_linears(n_bits, scale)
    mine, theirs = ours.quant_weight(), stock.quant_weight()
    # A power of two as scale leaves no rounding; else the stock scale, which is a
    # quotient, may be one unit in the last place away.
    rtol = 0 if scale == 0.25 else 2e-7
    torch.testing.assert_close(mine.value, theirs.value, rtol=rtol, atol=0)
    torch.testing.assert_close(mine.int(), theirs.int(), rtol=0, atol=0)
    assert mine.bit_width == theirs.bit_width == n_bits
    assert mine.int().abs().max() == 2 ** (n_bits - 1) - 1
    assert mine.is_valid


@pytest.mark.parametrize("n_bits", BITS)
def test_layers_and_their_gradients_equal_the_stock_layer(n_bits):
    ours, stock = pair_of_linears(n_bits, 0.25)
    torch.manual_seed(0)
    x, grad = torch.randn(7, 6), torch.randn(7, 5)
    gradients = []
    for layer in (ours, stock):
        inputs = x.clone().requires_grad_()
        output = layer(inputs)
        output.backward(grad)
        gradients.append((output.detach(), inputs.grad, layer.weight.grad))
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


def test_masked_weights_are_zero_and_get_a_gradient_on_demand():
    ours, _ = pair_of_linears(3, 0.25)
    quantizer = ours.weight_quant.tensor_quant
    mask = np.random.default_rng(0).random((5, 6)) < 0.5
    quantizer.set_mask(mask)
    assert not ours.quant_weight().value.detach().numpy()[~mask].any()
    for dense in (False, True):
        quantizer.dense_gradient = dense
        ours.weight.grad = None
        ours(torch.ones(1, 6)).sum().backward()
        assert ours.weight.grad.numpy()[~mask].any() == dense
        assert ours.weight.grad.numpy()[mask].all()


def test_a_state_is_loaded_where_the_layer_is():
    """Brevitas makes the quantizer anew, while the layer may be on a GPU."""
    ours, _ = pair_of_linears(3, 0.25)
    state = {name: value.to("meta") for name, value in ours.state_dict().items()}
    ours.to("meta").load_state_dict(state)
    assert {buffer.device.type for buffer in ours.buffers()} == {"meta"}
    assert ours.weight_quant.tensor_quant.value(ours.weight).device.type == "meta"


# Brevitas quantizes x / scale + zero point, ours (x - low) / step: the same number, but
# rounded differently, so that only values within rounding of a tie may differ.
WINDOWS = {"relu": (0.0, 2.0), "symmetric": (-2.0, 2.0), "sigmoid": (0.0, 1.0)}


def positions(n_bits, low, high):
    """Values whose distance from every tie is at least a tenth of a step."""
    n_steps = 2**n_bits - 1
    whole = torch.arange(-4, n_steps + 5, dtype=torch.float32)
    position = (whole[:, None] + torch.tensor([-0.4, -0.2, 0.05, 0.3, 0.4])).flatten()
    return position, low + position * (high - low) / n_steps


@pytest.mark.parametrize("window", sorted(WINDOWS))
@pytest.mark.parametrize("n_bits", BITS)
def test_activations_equal_the_stock_quantizer(n_bits, window):
    low, high = WINDOWS[window]
    ours = QuantIdentity(activation_quantizer(n_bits, (low, high)), return_quant_tensor=True)
    stock = IntQuant(
        narrow_range=False,
        signed=True,
        input_view_impl=Identity(),
        float_to_int_impl=RoundSte(),
        tensor_clamp_impl=TensorClamp(),
    )
    position, x = positions(n_bits, low, high)
    scale = torch.tensor((high - low) / (2**n_bits - 1))
    zero_point = -(2 ** (n_bits - 1)) - low / scale
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    output = ours(mine)
    expected = stock(scale, zero_point, torch.tensor(float(n_bits)), theirs)
    torch.testing.assert_close(output.value, expected, rtol=1e-6, atol=1e-6)
    codes = (output.value / output.scale + output.zero_point).round()
    assert codes.min() == -(2 ** (n_bits - 1)) and codes.max() == 2 ** (n_bits - 1) - 1
    output.value.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=0, atol=0)
    inside = (position > -0.5) & (position < 2**n_bits - 0.5)
    assert mine.grad[inside].eq(1).all() and mine.grad[~inside].eq(0).all()


@pytest.mark.parametrize("n_bits", BITS)
def test_relu_window_equals_a_stock_layer_bit_for_bit(n_bits):
    high = (2**n_bits - 1) / 4  # steps of a quarter: no rounding, and ties are ties

    class Stock(Uint8ActPerTensorFloat):
        scaling_impl_type = ScalingImplType.CONST
        scaling_init = high
        bit_width = n_bits

    ours = QuantIdentity(activation_quantizer(n_bits, (0.0, high)))
    x = torch.linspace(-1, high + 1, 16 * 2**n_bits + 1)
    x = torch.cat([x, torch.arange(-8, 4 * 2**n_bits) / 8])
    gradients = []
    for layer in (ours, QuantIdentity(Stock)):
        inputs = x.clone().requires_grad_()
        output = layer(inputs)
        output.sum().backward()
        gradients.append((output.detach(), inputs.grad))
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


def squared_error(step, n_bits):
    """Mean squared error on a standard normal variable, integrated numerically."""
    largest = 2 ** (n_bits - 1) - 1

    def part(code):
        low = max(code - 0.5, 0) * step
        high = (code + 0.5) * step if code < largest else 12.0
        return quad(lambda x: (x - code * step) ** 2 * norm.pdf(x), low, high)[0]

    return 2 * sum(part(code) for code in range(largest + 1))


@pytest.mark.parametrize("n_bits", [2, 3, 4, 5])
def test_optimal_step_by_integration(n_bits):
    step = optimal_step(n_bits)
    found = minimize_scalar(squared_error, args=(n_bits,), bounds=(0.5 * step, 2 * step))
    assert step == pytest.approx(found.x, rel=1e-3)


@pytest.mark.parametrize("n_bits", BITS)
def test_optimal_step_is_stationary(n_bits):
    # d/ds of the error is 0 where s * E[k²] = E[k x]: k the code, in closed form.
    def slope(step):
        codes = np.arange(-(2 ** (n_bits - 1)) + 1, 2 ** (n_bits - 1))
        edges = np.concatenate([[-np.inf], (codes[:-1] + 0.5) * step, [np.inf]])
        mass, first = np.diff(norm.cdf(edges)), -np.diff(norm.pdf(edges))
        return step * (codes**2 * mass).sum() - (codes * first).sum()

    step = optimal_step(n_bits)
    assert slope(step * 0.999) < 0 < slope(step * 1.001)


@pytest.mark.filterwarnings("ignore::qnnprune.exceptions.FewWeightsWarning")
@pytest.mark.parametrize("n_w_bits", BITS)
def test_brevitas_reads_the_integer_networks_weights(n_w_bits):
    X, y = load_iris(return_X_y=True)
    model = PrunedNeuralNetClassifier(
        (8, 4), n_w_bits=n_w_bits, n_accum_bits=8, max_epochs=3, random_state=0
    ).fit(X, y)
    input_range = model.integer_network_.encoding.input_range
    # Before trimming: the module still has the neurons that make no difference.
    layers = compile_layers(model.module_, input_range, np.zeros(3), np.ones(3))
    for linear, layer in zip(model.module_.linears, layers, strict=True):
        codes = linear.quant_weight().int().numpy().astype(int)
        # Rows of negative slope are stored negated.
        same = (codes == layer.weight).all(axis=1)
        negated = (codes == -layer.weight.astype(int)).all(axis=1)
        assert (same | negated).all()
    assert same.all(), "output rows have no slope"

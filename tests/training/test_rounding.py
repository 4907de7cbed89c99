"""Sums whose low bits are forgotten: in training, in the module and in the integer network."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.training.compilation import compile_layers

X, y = load_iris(return_X_y=True)
ESTIMATORS = [PrunedNeuralNetClassifier, PrunedNeuralNetRegressor]


def fit(estimator, **settings):
    settings = {"n_accum_bits": 7, "max_epochs": 10, "random_state": 0} | settings
    return estimator((16, 12), **settings).fit(X, y)


@pytest.mark.parametrize("n_bits", [1, 3, 6])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_module_rounds_as_the_integer_network_does(estimator, activation, n_bits):
    fitted = fit(estimator, n_rounding_bits=n_bits, activation=activation)
    network, module = fitted.integer_network_, fitted.module_.double()
    x = module.input(torch.from_numpy(network.encoding.levels(X))).double()
    codes = network.quantize_input(X)
    unit = np.ones(module.output.gain.shape)
    layers = compile_layers(module, network.encoding.input_range, 0 * unit, unit)
    for hidden, layer in zip(module.hidden, layers[:-1], strict=True):
        x, codes = hidden(x), layer.requantize(layer.accumulate(codes))
        found = x / hidden.quantizer.scale + hidden.quantizer.zero_point
        assert np.array_equal(found.detach().numpy().round(), codes)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_outputs_follow_from_the_high_bits_alone(estimator):
    network = fit(estimator, n_rounding_bits=3).integer_network_
    for layer in network.layers[:-1]:
        assert (layer.thresholds % 8 == 0).all()
        sums = np.linspace(*layer.accumulator_range.T, 200).astype(np.int64)
        assert np.array_equal(layer.requantize(sums), layer.requantize(sums >> 3 << 3))
        assert layer.accumulator_bits.max() <= 7


def test_training_knows_of_the_rounding():
    plain, rounded = (fit(PrunedNeuralNetRegressor, n_rounding_bits=n) for n in (0, 4))
    weights = [net.integer_network_.layers[0].weight for net in (plain, rounded)]
    assert not np.array_equal(*weights)


def test_rounding_away_the_whole_accumulator_is_refused():
    with pytest.raises(ValueError, match="n_rounding_bits=6 must be less than n_accum_bits=6"):
        fit(PrunedNeuralNetClassifier, n_accum_bits=6, n_rounding_bits=6)
    with pytest.raises(ValueError, match="n_rounding_bits"):
        fit(PrunedNeuralNetClassifier, n_rounding_bits=-1)

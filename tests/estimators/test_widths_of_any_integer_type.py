"""Integer parameters of any integer type: the same network, and the parameter as it was given."""

import numpy as np
import pytest
from sklearn.base import clone

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor

rng = np.random.default_rng(0)
X = rng.normal(size=(300, 4))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)

TYPES = [np.int8, np.uint8, np.int32]
VALUES = {
    "hidden_layer_sizes": 100,
    "n_w_bits": 8,
    "n_a_bits": 8,
    "n_in_bits": 8,
    "n_accum_bits": 40,
    "n_rounding_bits": 7,
    "n_input_segments": 100,
    "max_epochs": 3,
    "batch_size": 100,
    "n_iter_no_change": 1,
    "verbose": 0,
    "random_state": 7,
}
BASE = {
    "hidden_layer_sizes": (6,),
    "n_w_bits": 3,
    "n_accum_bits": 12,
    "max_epochs": 2,
    "n_input_segments": 4,
    "random_state": 0,
    "n_iter_no_change": 2,
}


def arrays(model):
    network = model.integer_network_
    found = [network.encoding.thresholds]
    for layer in network.layers:
        found += [layer.weight, layer.input_range, layer.accumulator_range]
        found += [a for a in (layer.thresholds, layer.scale, layer.bias) if a is not None]
    return found


def assert_same(a, b):
    for first, second in zip(arrays(a), arrays(b), strict=True):
        np.testing.assert_array_equal(first, second)
    assert a.accumulator_report(X).to_dict() == b.accumulator_report(X).to_dict()
    assert a.n_iter_ == b.n_iter_


@pytest.mark.parametrize("make", [PrunedNeuralNetClassifier, PrunedNeuralNetRegressor])
@pytest.mark.parametrize("name", VALUES)
def test_every_integer_parameter(make, name):
    settings = BASE | {"early_stopping": name == "n_iter_no_change"}
    plain = make(**settings | {name: VALUES[name]}).fit(X, Y)
    for kind in TYPES:
        given = kind(VALUES[name])
        model = make(**settings | {name: given}).fit(X, Y)
        assert getattr(model, name) is given
        assert getattr(clone(model), name) == given
        assert_same(model, plain)
        assert model.accumulator_report().to_dict()["omega"][0] > 0


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("guarantee", [True, False])
def test_all_widths_at_once(kind, guarantee):
    names = ["n_w_bits", "n_a_bits", "n_in_bits", "n_accum_bits"]
    widths = dict(zip(names, (2, 2, 3, 8), strict=True))
    settings = BASE | {
        "accumulator_guarantee": guarantee, "n_hidden_neurons_multiplier": kind(4),
        "warm_start": True,
    }  # fmt: skip
    given = {name: kind(value) for name, value in widths.items()}
    sizes = {"hidden_layer_sizes": np.array([12, 100], dtype=kind)}
    model = PrunedNeuralNetClassifier(**settings | given | sizes).fit(X, Y)
    plain = PrunedNeuralNetClassifier(**settings | widths | {"hidden_layer_sizes": (12, 100)})
    assert_same(model, plain.fit(X, Y))
    for mode in ("exact", "wrap", "saturate"):
        model.set_params(accumulator_mode=mode)
        np.testing.assert_array_equal(model.predict(X), plain.predict(X))
    for bits in (3, 8, 40):
        simulated, expected = model.simulate(X, n_accum_bits=kind(bits)), plain.simulate(
            X, n_accum_bits=bits
        )  # fmt: skip
        np.testing.assert_array_equal(simulated.predictions, expected.predictions)
    # What is given as another type later is no change.
    assert_same(model.set_params(**widths).fit(X, Y), plain.set_params(**given).fit(X, Y))
    assert_same(model.partial_fit(X, Y), plain.partial_fit(X, Y))


@pytest.mark.parametrize("kind", TYPES)
def test_narrower_accumulators(kind):
    settings = BASE | {"n_w_bits": kind(2), "n_accum_bits": kind(8)}
    model = PrunedNeuralNetClassifier(**settings).fit(X, Y)
    plain = PrunedNeuralNetClassifier(**BASE | {"n_w_bits": 2, "n_accum_bits": 8}).fit(X, Y)
    model.prune(X, Y, n_accum_bits=kind(6), max_epochs=kind(1))
    assert_same(model, plain.prune(X, Y, n_accum_bits=6, max_epochs=1))
    found = model.narrow_accumulator(X, Y, tol=1, least=kind(5), max_epochs=kind(1))
    assert found == plain.narrow_accumulator(X, Y, tol=1, least=5, max_epochs=1)
    assert found.n_accum_bits == (6, 5) and set(map(type, found.n_accum_bits)) == {int}
    assert_same(model, plain)


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_numpy_floats_are_not_rounded_further(kind):
    # Each value is exact in the narrow type, but not all that is computed with it.
    floats = {"lr": 0.0078125, "alpha": 0.5, "dropout": 0.125, "neuron_sparsity": 0.25}
    settings = BASE | {"pruning_criterion": "neuron_l2", "n_w_bits": 2, "n_accum_bits": 16}
    plain = PrunedNeuralNetClassifier(**settings, **floats, n_hidden_neurons_multiplier=4.0)
    given = {name: kind(value) for name, value in floats.items()}
    model = PrunedNeuralNetClassifier(**settings, **given, n_hidden_neurons_multiplier=kind(4))
    assert_same(model.fit(X, Y), plain.fit(X, Y))
    assert model.accumulator_report().to_dict()["budget"] == [29124, 29124]

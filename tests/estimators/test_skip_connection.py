"""A last layer that reads the input codes, too, from `fit` to every export."""

import pickle

import numpy as np
import oracles
import pytest
from samples import DIABETES, X, Y, classifier, regressor

from qnnprune import IntegerNetwork
from qnnprune.estimators import FloatTwinClassifier
from qnnprune.training.state import float_decision

SETTINGS = {"skip_connection": True, "max_epochs": 8}
MODELS = {
    "classes": (classifier, (X, Y), {"n_in_bits": 2, "n_a_bits": 2}),
    "codes of one bit": (classifier, (X, Y), {"n_in_bits": 1, "n_a_bits": 1}),
    "stretched codes": (classifier, (X, Y == 1), {"n_in_bits": 1, "n_a_bits": 2}),
    "a target": (regressor, DIABETES, {"n_rounding_bits": 3}),
    "two layers": (regressor, DIABETES, {"hidden_layer_sizes": (8, 6), "n_rounding_bits": 2}),
}


@pytest.fixture(scope="module", params=MODELS)
def fitted(request):
    """An estimator and its rows."""
    make, (rows, y), settings = MODELS[request.param]
    sizes = settings.get("hidden_layer_sizes", (8,))
    settings = {k: v for k, v in settings.items() if k != "hidden_layer_sizes"}
    return make(sizes, n_accum_bits=6, **SETTINGS, **settings).fit(rows, y), rows


def test_the_output_layer_reads_input_codes(fitted):
    model, _ = fitted
    *hidden, output = model.integer_network_.layers
    assert all(layer.passes_on.any() for layer in hidden)
    assert output.weight[:, hidden[-1].passes_on].any()
    assert "Few weights" not in str(model.accumulator_report())
    assert oracles.widest(model.integer_network_, always_signed=True) <= 6


def test_predictions_are_those_of_a_loop_and_of_the_module(fitted):
    model, rows = fitted
    network = model.integer_network_
    decision = network.decision(rows[:20])
    assert decision.tolist() == [oracles.decision(network, x) for x in rows[:20]]
    trained = model._trained
    levels = network.encoding.levels(np.asarray(rows, dtype=np.float64))
    outputs = float_decision(trained, levels)
    np.testing.assert_allclose(network.decision(rows), outputs, rtol=1e-9, atol=1e-9)


def test_it_is_saved_pickled_and_simulated(fitted, tmp_path):
    model, rows = fitted
    model.integer_network_.save(tmp_path / "net.npz")
    expected = model.integer_network_.decision(rows)
    for network in (
        IntegerNetwork.load(tmp_path / "net.npz"),
        pickle.loads(pickle.dumps(model)).integer_network_,
    ):
        assert np.array_equal(network.decision(rows), expected)
    assert not any(count.any() for count in model.simulate(rows, mode="saturate").overflow_count)


def test_training_goes_on():
    model = classifier((8,), n_accum_bits=7, warm_start=True, **SETTINGS).fit(X, Y)
    model.fit(X, Y)
    model.partial_fit(X, Y)
    assert model.integer_network_.layers[0].passes_on.any()
    model.prune(X, Y, n_accum_bits=5)
    assert model.integer_network_.proven_bits <= 5
    with pytest.raises(ValueError, match="skip_connection=False was True"):
        model.set_params(skip_connection=False).fit(X, Y)


@pytest.mark.parametrize("criterion", ["l1", "activation", "neuron_activation"])
def test_constant_inputs_are_not_read(criterion):
    rows = np.hstack([np.ones((len(X), 2)), X])
    model = classifier((8,), pruning_criterion=criterion, **SETTINGS).fit(rows, Y)
    encoding = model.integer_network_.encoding
    fixed = np.ptp(encoding.input_range, axis=1) == 0
    assert not model.integer_network_.layers[0].weight[:, fixed].any()


def test_input_codes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="n_in_bits=3 through the hidden layers.*n_a_bits=2"):
        classifier((8,), n_in_bits=3, n_a_bits=2, **SETTINGS).fit(X, Y)


def test_without_hidden_layers_there_is_nothing_to_skip():
    plain = classifier((), max_epochs=5).fit(X, Y)
    skips = classifier((), max_epochs=5, skip_connection=True).fit(X, Y)
    assert np.array_equal(plain.decision_function(X), skips.decision_function(X))


def test_the_float_twin_has_it():
    twin = FloatTwinClassifier((2,), max_epochs=20, random_state=0)
    assert twin.set_params(skip_connection=True).fit(X, Y).score(X, Y) > 0.8
    assert twin.module_.output.linear.in_features == 2 + len(twin._trained.encoding.feature)


def test_a_linear_target_is_learnt_past_a_narrow_layer():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(600, 8))
    y = rows @ rng.normal(size=8)

    def score(**given):
        return regressor((1,), n_accum_bits=6, max_epochs=20, **given).fit(rows, y).score(rows, y)

    assert score(skip_connection=True) > score() + 0.1

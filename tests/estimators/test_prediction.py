"""Predictions in integers, simulations and reports."""

import numpy as np
import oracles
import pytest
import torch
from samples import DIABETES, X, Y, classifier, regressor
from sklearn.base import clone, is_classifier

from qnnprune.exceptions import AccumulatorOverflowError


@pytest.mark.parametrize("n_bits", [2, pytest.param(3, marks=pytest.mark.slow), 4])
def test_predictions_equal_python_integers(n_bits):
    settings = {"n_w_bits": n_bits, "n_a_bits": n_bits}
    for factor in (1, 3, -100):
        model = classifier((8, 6), **settings).fit(X, Y)
        logits = np.array([oracles.decision(model.integer_network_, x) for x in X * factor])
        np.testing.assert_array_equal(model.predict(X * factor), Y_OF[logits.argmax(axis=1)])
        np.testing.assert_allclose(model.decision_function(X * factor), logits, rtol=1e-12)
    binary = classifier(**settings).fit(X, Y == 1)
    logits = np.array([oracles.decision(binary.integer_network_, x)[0] for x in X])
    np.testing.assert_array_equal(binary.predict(X), logits > 0)
    X_d, y_d = DIABETES
    values = regressor(**settings).fit(X_d, y_d)
    expected = [oracles.decision(values.integer_network_, x)[0] for x in X_d]
    np.testing.assert_allclose(values.predict(X_d), expected, rtol=1e-12)


Y_OF = np.array([0, 1, 2])


@pytest.mark.parametrize("bits", [2, 4])
def test_decisions_equal_the_modules_output(bits):
    X_d, y_d = DIABETES
    targets = np.c_[y_d, 5 - 3 * y_d]
    for model, table, y, scale, mean in [
        (classifier((8, 6), n_w_bits=bits, n_a_bits=bits), X, Y, 1, 0),
        (classifier((8, 6), n_w_bits=bits, n_a_bits=bits), X, Y == 1, 1, 0),
        (regressor((8,), n_w_bits=bits), X_d, targets, targets.std(axis=0), targets.mean(axis=0)),
    ]:
        model.fit(table, y)
        decide = model.decision_function if is_classifier(model) else model.predict
        levels = torch.from_numpy(model.integer_network_.encoding.levels(table))
        output = model.module_(levels).detach().numpy() * scale + mean
        # A code within float rounding of a tie may differ in the float32 module.
        close = np.isclose(decide(table).reshape(output.shape), output, rtol=1e-4, atol=1e-4)
        assert close.all(axis=1).mean() > 0.97


@pytest.mark.filterwarnings("ignore::qnnprune.exceptions.FewWeightsWarning")
@pytest.mark.parametrize("factor", [1, 3, -100, 0])
def test_simulation_equals_prediction_anywhere(factor):
    X_d, y_d = DIABETES
    models = [
        (classifier((16, 8), n_accum_bits=6).fit(X, Y), X),
        (classifier(n_w_bits=4, n_a_bits=4, n_accum_bits=7).fit(X, Y == 0), X),
        (regressor((16,), n_accum_bits=8, n_w_bits=3).fit(X_d, y_d), X_d),
    ]
    for model, table in models:
        for mode in ("wrap", "saturate", "raise"):
            result = model.simulate(table * factor, mode=mode)
            np.testing.assert_array_equal(result.predictions, model.predict(table * factor))
            assert not any(count.any() for count in result.overflow_count)
            assert result.overflow_rate == 0
        for layer, low, high in zip(
            model.integer_network_.layers,
            result.accumulator_min,
            result.accumulator_max,
            strict=True,
        ):
            assert (layer.accumulator_range[:, 0] <= low).all()
            assert (high <= layer.accumulator_range[:, 1]).all()


def test_narrow_registers_overflow(fitted):
    rates = [fitted.simulate(X, n_accum_bits=bits).overflow_rate for bits in (8, 5, 3, 1)]
    assert rates[0] == 0 < rates[1] < rates[2] < rates[3]
    with pytest.raises(AccumulatorOverflowError, match="n_accum_bits=3"):
        fitted.simulate(X, n_accum_bits=3, mode="raise")


def test_accumulator_mode_can_be_set_after_fit():
    model = classifier((16, 8)).fit(X, Y)
    exact = model.predict(X), model.score(X, Y)
    for mode in ("wrap", "saturate", "raise"):
        model.set_params(accumulator_mode=mode)
        np.testing.assert_array_equal(model.predict(X), exact[0])
        assert model.score(X, Y) == exact[1]
    model.set_params(n_accum_bits=3)
    with pytest.raises(AccumulatorOverflowError):
        model.score(X, Y)
    for mode in ("wrap", "saturate"):
        model.set_params(accumulator_mode=mode)
        simulated = model.simulate(X, n_accum_bits=3, mode=mode)
        np.testing.assert_array_equal(model.predict(X), simulated.predictions)
        assert (model.predict(X) != exact[0]).any()
    model.set_params(accumulator_mode="exact")
    np.testing.assert_array_equal(model.predict(X), exact[0])
    model.set_params(accumulator_mode="clip")
    with pytest.raises(ValueError, match="accumulator_mode.*clip"):
        model.predict(X)


def test_probabilities(fitted):
    proba = fitted.predict_proba(X)
    logits = fitted.decision_function(X)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(proba, expected, rtol=1e-10)
    np.testing.assert_allclose(np.log(proba), fitted.predict_log_proba(X), rtol=1e-9, atol=1e-12)
    binary = classifier().fit(X, Y == 1)
    np.testing.assert_allclose(
        binary.predict_proba(X)[:, 1], 1 / (1 + np.exp(-binary.decision_function(X)))
    )


def test_report_describes_the_fitted_network(fitted):
    model = clone(fitted).fit(X, Y)
    before = model.accumulator_report(X).to_dict()
    assert before["proven_bits"] == [
        int(layer.accumulator_bits.max()) for layer in model.integer_network_.layers
    ]
    assert before["overflows"] == [0, 0, 0] and before["dead_neurons"] == [0, 0, 0]
    # What is set for the next fit says nothing about this network.
    model.set_params(hidden_layer_sizes=(4,), n_a_bits=3, n_w_bits=4, n_hidden_neurons_multiplier=2)
    assert model.accumulator_report(X).to_dict() == before

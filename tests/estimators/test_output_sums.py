"""Several proven sums per logit, of activations of 1 bit, from `fit` to predictions."""

import pickle

import numpy as np
import oracles
import pytest
import torch
from samples import DIABETES, X, Y, assert_same_network, check_limits, classifier, regressor

from qnnprune import IntegerNetwork

SETTINGS = {"n_output_sums": 3, "n_a_bits": 1, "max_epochs": 8}
TARGETS = np.column_stack([DIABETES[1], -DIABETES[1]])
MODELS = {
    "three classes": (classifier, (X, Y), 3),
    "two classes": (classifier, (X, Y == 1), 1),
    "one target": (regressor, DIABETES, 1),
    "two targets": (regressor, (DIABETES[0], TARGETS), 2),
}


@pytest.fixture(scope="module", params=MODELS)
def fitted(request):
    """An estimator, its rows, and how many logits or target values it has."""
    make, (rows, y), n_logits = MODELS[request.param]
    return make((16,), n_accum_bits=4, **SETTINGS).fit(rows, y), rows, n_logits


def test_every_sum_is_proven_by_itself(fitted):
    model, _, n_logits = fitted
    output = model.integer_network_.layers[-1]
    assert (len(output.weight), output.n_sums, output.n_logits) == (3 * n_logits, 3, n_logits)
    check_limits(model, 2, 1, 1, 4, None, True)
    assert model.integer_network_.layers[0].thresholds.shape[1] == 1
    assert output.weight.any(axis=1).all()
    assert len(np.unique(output.weight, axis=0)) > n_logits, "the sums are all alike"


def test_predictions_are_those_of_a_loop_and_of_the_module(fitted):
    model, rows, n_logits = fitted
    network = model.integer_network_
    decision = network.decision(rows[:20])
    assert decision.tolist() == [oracles.decision(network, x) for x in rows[:20]]
    assert decision.shape == (20, n_logits)
    levels = torch.from_numpy(network.encoding.levels(rows))
    outputs = model.module_.double()(levels).detach().numpy()
    if not hasattr(model, "classes_"):
        y = DIABETES[1] if n_logits == 1 else TARGETS
        outputs = outputs * y.std(axis=0) + y.mean(axis=0)
    np.testing.assert_allclose(network.decision(rows), outputs, rtol=1e-5, atol=1e-5)


def test_the_report_counts_sums_and_simulation_has_a_register_for_each(fitted):
    model, rows, n_logits = fitted
    report = model.accumulator_report(rows)
    assert report.rows[-1]["neurons"] == 3 * n_logits and report.rows[-1]["overflows"] == 0
    assert f"3 sums for each of {n_logits} outputs" in report.summary
    result = model.simulate(rows, n_accum_bits=2)
    registers = oracles.Registers(model.integer_network_.layers, 2, "wrap")
    expected = [oracles.decision(model.integer_network_, x, store=registers) for x in rows]
    assert result.decision.tolist() == expected
    assert [counts.tolist() for counts in result.overflow_count] == registers.overflows


def test_it_is_saved_and_pickled(fitted, tmp_path):
    model, rows, _ = fitted
    model.integer_network_.save(tmp_path / "net.npz")
    expected = model.integer_network_.decision(rows)
    for network in (
        IntegerNetwork.load(tmp_path / "net.npz"),
        pickle.loads(pickle.dumps(model)).integer_network_,
    ):
        assert np.array_equal(network.decision(rows), expected)


def test_training_goes_on():
    model = classifier((16,), n_accum_bits=5, warm_start=True, **SETTINGS).fit(X, Y)
    for go_on in (model.fit, model.partial_fit):
        go_on(X, Y)
        check_limits(model, 2, 1, 1, 5, None, True)
    model.prune(X, Y, n_accum_bits=4)
    check_limits(model, 2, 1, 1, 4, None, True)
    assert model.integer_network_.layers[-1].n_sums == 3
    scale = model.module_.output.linear.weight_quant.tensor_quant.scale.reshape(3, 3)
    assert (scale == scale[0]).all()
    curve = model.narrow_accumulator(X, Y, max_epochs=2)
    check_limits(model, 2, 1, 1, curve.best, None, True)


def test_more_sums_learn_more_where_registers_are_narrow():
    def score(n_sums):
        settings = {"n_a_bits": 1, "activation": "relu", "max_epochs": 20}
        model = classifier((64,), n_accum_bits=2, n_output_sums=n_sums, **settings)
        return model.fit(X, Y).score(X, Y)

    assert score(8) > score(1) + 0.02


def test_one_sum_is_what_there_was_before():
    assert_same_network(classifier().fit(X, Y), classifier(n_output_sums=1).fit(X, Y))

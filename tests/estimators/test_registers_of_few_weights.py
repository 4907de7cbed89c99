"""Registers that hold one weight per neuron or a few, and what is said about them."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.exceptions import FewWeightsWarning

X = np.random.default_rng(0).normal(size=(400, 4))
FEW = "ignore::qnnprune.exceptions.FewWeightsWarning"


# A register of the width of a code holds the code, but not its negative.
@pytest.mark.filterwarnings(FEW)
@pytest.mark.parametrize(
    "widths",
    [
        {"n_accum_bits": 2},
        pytest.param({"n_a_bits": 8}, marks=pytest.mark.slow),
        pytest.param({"n_a_bits": 4, "n_accum_bits": 4}, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("falls", [False, True])
def test_labels_are_not_inverted_where_only_one_sign_fits(widths, falls):
    y = (X[:, 0] < 0) == falls
    for seed in range(2):
        net = PrunedNeuralNetClassifier((32,), random_state=seed, **widths).fit(X[:, :1], y)
        # One ramp is left of the feature, so its ends decide how good that can be.
        assert net.score(X[:, :1], y) > 0.9


@pytest.mark.filterwarnings(FEW)
@pytest.mark.parametrize("schedule", ["before_training", "after_training", "one_shot"])
def test_no_schedule_forces_a_sign_that_was_not_learned(schedule):
    # A sparse schedule used to fall back on weights that had never been trained.
    y = X[:, 0] < 0
    for seed in (4, 11, 12):
        net = PrunedNeuralNetClassifier(
            (32,), n_a_bits=8, pruning_schedule=schedule, max_epochs=40, random_state=seed
        ).fit(X[:, :1], y)
        assert net.score(X[:, :1], y) > 0.45


@pytest.mark.filterwarnings(FEW)
@pytest.mark.parametrize("slope", [-1, pytest.param(1, marks=pytest.mark.slow)])
def test_a_neuron_without_a_weight_that_fits_is_turned_around(slope):
    for seed in range(4):  # one weight in the hidden layer, of either sign
        net = PrunedNeuralNetRegressor(
            (1,), n_accum_bits=2, n_input_segments=1, max_epochs=30, random_state=seed
        ).fit(X[:, :1], slope * X[:, 0])
        assert np.corrcoef(net.predict(X[:, :1]), slope * X[:, 0])[0, 1] > 0.2


@pytest.mark.filterwarnings(FEW)
def test_partial_fit_keeps_signs_too():
    y = X[:, 0] < 0
    net = PrunedNeuralNetClassifier((32,), n_accum_bits=2, random_state=0)
    for _ in range(30):
        net.partial_fit(X[:, :1], y, classes=[False, True])
    assert net.score(X[:, :1], y) > 0.8


def test_widths_that_leave_few_weights_are_named_before_training():
    rows, labels = load_digits(return_X_y=True)
    net = PrunedNeuralNetClassifier((64,), n_w_bits=8, n_a_bits=8, max_epochs=1, random_state=0)
    with pytest.warns(FewWeightsWarning) as caught:
        make_pipeline(StandardScaler(), net).fit(rows, labels)
    assert len(caught) == 1 and caught[0].filename == __file__
    said = str(caught[0].message)
    assert "about 1 of its" in said and "layer 'hidden 1'" in said
    # (2**15 - 1) / 255 * 0.03087 * 1.2533 = 4.97 ordinary weights; (2**14 - 1) leave 2.5.
    # (2**8 - 1) / 15 * 0.35341 * 1.2533 = 7.5; of 5 bits 2.0.
    assert said.endswith(
        "Use n_accum_bits=15 or more, or n_w_bits=4 with n_a_bits and n_in_bits of 4."
    )
    report = str(net.accumulator_report())
    assert "Few weights are left per neuron: hidden 1 (1.0 of " in report


def test_a_count_that_leaves_few_weights_is_named():
    net = PrunedNeuralNetClassifier(
        (8,), n_w_bits=4, n_a_bits=4, n_hidden_neurons_multiplier=1, max_epochs=1
    )
    with pytest.warns(
        FewWeightsWarning, match=r"about 1 .*Use n_hidden_neurons_multiplier above 1"
    ):
        net.fit(X, X[:, 0] > 0)


def test_nothing_is_said_where_enough_fit_or_there_are_few_inputs():
    with warnings.catch_warnings():
        warnings.simplefilter("error", FewWeightsWarning)
        for bits in (5, 6, 8):
            net = PrunedNeuralNetClassifier((16,), n_accum_bits=bits, max_epochs=1).fit(
                X, X[:, 0] > 0
            )
            assert "Few weights" not in str(net.accumulator_report())
        tiny = PrunedNeuralNetRegressor(
            (1,), n_input_segments=1, n_w_bits=8, n_a_bits=8, n_accum_bits=32, max_epochs=1
        )
        tiny.fit(X[:, :1], X[:, 0])
        tiny.float_twin().set_params(n_accum_bits=2).fit(X[:, :1], X[:, 0])

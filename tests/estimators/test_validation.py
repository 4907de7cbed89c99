"""Bad parameters, bad data and calls before fit."""

import numpy as np
import pytest
import torch
from samples import DIABETES, NoTraining, X, Y, assert_unchanged, classifier, regressor, with_value
from scipy import sparse
from sklearn.exceptions import NotFittedError

BAD_PARAMETERS = [
    ({"n_w_bits": 1}, ["n_w_bits", "1"]),
    ({"n_w_bits": 9}, ["n_w_bits", "9"]),
    ({"n_w_bits": 2.5}, ["n_w_bits", "2.5"]),
    ({"n_a_bits": 0}, ["n_a_bits", "0"]),
    ({"n_a_bits": 9}, ["n_a_bits", "9"]),
    ({"n_in_bits": 0}, ["n_in_bits", "0"]),
    ({"n_in_bits": 9}, ["n_in_bits", "9"]),
    ({"n_accum_bits": 0}, ["n_accum_bits", "0"]),
    ({"n_accum_bits": 63}, ["n_accum_bits", "63"]),
    ({"n_output_sums": 0}, ["n_output_sums", "0"]),
    ({"n_output_sums": 65}, ["n_output_sums", "65"]),
    ({"n_output_sums": 2.0}, ["n_output_sums", "2.0"]),
    ({"n_input_segments": 0}, ["n_input_segments", "0"]),
    ({"n_input_segments": "many"}, ["n_input_segments", "many"]),
    ({"n_hidden_neurons_multiplier": 0}, ["n_hidden_neurons_multiplier", "0"]),
    ({"n_hidden_neurons_multiplier": float("nan")}, ["n_hidden_neurons_multiplier", "nan"]),
    (
        {"n_hidden_neurons_multiplier": 1, "n_w_bits": 4, "n_a_bits": 4, "n_accum_bits": 6},
        ["n_hidden_neurons_multiplier=1", "n_w_bits=4", "n_accum_bits=6", "multiplier=None"],
    ),
    ({"n_hidden_neurons_multiplier": 0.01}, ["n_hidden_neurons_multiplier=0.01", "28"]),
    ({"n_accum_bits": 3, "n_a_bits": 4, "n_in_bits": 1}, ["n_accum_bits=3", "n_a_bits=4", "Use"]),
    ({"n_accum_bits": 3, "n_in_bits": 5}, ["n_accum_bits=3", "n_in_bits=5", "Use"]),
    ({"hidden_layer_sizes": (0,)}, ["hidden_layer_sizes=(0,)", "positive integers"]),
    ({"hidden_layer_sizes": (8, 0)}, ["hidden_layer_sizes=(8, 0)"]),
    ({"hidden_layer_sizes": (2.5,)}, ["hidden_layer_sizes=(2.5,)"]),
    ({"hidden_layer_sizes": [[8]]}, ["hidden_layer_sizes=[[8]]"]),
    ({"hidden_layer_sizes": (True,)}, ["hidden_layer_sizes=(True,)"]),
    ({"hidden_layer_sizes": 0}, ["hidden_layer_sizes", "0"]),
    ({"activation": "gelu"}, ["activation", "gelu"]),
    ({"accumulator_mode": "clip"}, ["accumulator_mode", "clip"]),
    ({"pruning_schedule": "never"}, ["pruning_schedule", "never"]),
    ({"pruning_criterion": "l7"}, ["pruning_criterion", "l7"]),
    ({"neuron_sparsity": 1.0}, ["neuron_sparsity", "1.0"]),
    ({"neuron_sparsity": 0}, ["neuron_sparsity", "0"]),
    (
        {"pruning_schedule": "set", "pruning_criterion": "neuron_l2"},
        ["pruning_schedule='set'", "pruning_criterion='neuron_l2'", "Use another schedule"],
    ),
    ({"optimizer": "lbfgs"}, ["optimizer", "lbfgs"]),
    ({"optimizer": torch.optim.LBFGS}, ["optimizer", "LBFGS", "weight_decay"]),
    ({"max_epochs": 0}, ["max_epochs", "0"]),
    ({"batch_size": 0}, ["batch_size", "0"]),
    ({"lr": 0.0}, ["lr", "0.0"]),
    ({"validation_fraction": 1.0}, ["validation_fraction", "1.0"]),
    ({"callbacks": "progress"}, ["callbacks", "progress"]),
    ({"callbacks": ["progress"]}, ["callbacks", "progress"]),
    ({"class_weight": "fair"}, ["class_weight", "fair"]),
    ({"class_weight": {0: -1.0}}, ["class_weight", "-1"]),
    ({"class_weight": {0: 0.0, 1: 0.0, 2: 0.0}}, ["class_weight"]),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "texts"), BAD_PARAMETERS, ids=lambda v: str(v)[:60])
def test_bad_parameters(changes, texts):
    model = classifier(callbacks=[NoTraining()]).set_params(**changes)
    before = dict(vars(model))
    with pytest.raises(ValueError) as error:
        model.fit(X, Y)
    assert all(text in str(error.value) for text in texts), str(error.value)
    assert_unchanged(model, before)


BAD_DATA = [
    ((with_value(np.inf), Y), "infinity"),
    ((np.full((150, 2), np.inf, dtype=np.float16), Y), "infinity"),
    ((X + 1j, Y), "Complex"),
    ((np.arange(150).astype("M8[s]")[:, None], Y), "datetime64"),
    ((np.char.add(X.astype(str), "a").astype(object), Y), "string to float: '5.1a'"),
    ((X[:, 0], Y), "1D array"),
    ((X[:0], Y[:0]), "0 sample"),
    ((X[:, :0], Y), "0 feature"),
    ((X, Y[:-1]), "inconsistent numbers"),
    ((X, Y + 0.5), "continuous"),
    ((X, np.c_[Y, Y]), "1d array"),
    ((X, Y.astype(float) * np.nan), "NaN"),
    ((X, Y, -np.ones(150)), "[Nn]egative.*sample_weight"),
    ((X, Y, np.zeros(150)), "[Ss]ample.weight.*zero"),
    ((X, Y, np.full(150, np.nan)), "sample_weight.*NaN"),
    ((X, Y, np.ones(10)), "sample_weight"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "message"), BAD_DATA, ids=[m[:40] for _, m in BAD_DATA])
def test_bad_data_leaves_the_estimator_as_it_was(data, message):
    fresh = classifier(callbacks=[NoTraining()])
    used = classifier().fit(X, Y)
    used.set_params(callbacks=[NoTraining()])
    for model in (fresh, used):
        before = dict(vars(model))
        with pytest.raises(ValueError, match=message):
            model.fit(*data)
        assert_unchanged(model, before)


def test_early_stopping_on_few_rows():
    # Two rows to validate on cannot hold all three classes.
    classifier(early_stopping=True).fit(X[::10], Y[::10])


def test_errors_before_and_after_fit(fitted):
    model = classifier()
    for call in (model.predict, model.simulate, model.decision_function, model.accumulator_report):
        with pytest.raises(NotFittedError, match="not fitted"):
            call(X)
    with pytest.raises(NotFittedError, match="not fitted"):
        model.module_  # noqa: B018
    for method in (fitted.predict, fitted.simulate, fitted.accumulator_report):
        with pytest.raises(ValueError, match="3 features.*4 features"):
            method(X[:, :3])
        with pytest.raises(ValueError, match="infinity"):
            method(with_value(np.inf))
    with pytest.raises(ValueError, match="mode='clip'"):
        fitted.simulate(X, mode="clip")
    for bits in (0, 63, 4.0, True, "8"):
        with pytest.raises(ValueError, match=f"n_accum_bits={bits!r}"):
            fitted.simulate(X, n_accum_bits=bits)


def test_bad_regression_targets():
    X_d, y_d = DIABETES
    for y, message in [
        (np.full(442, np.nan), "NaN"), (np.full(442, np.inf), "infinity"),
        (np.full(442, "a"), "string|numeric"), (sparse.csr_matrix(y_d[:, None]), "[Ss]parse|dense"),
        (np.zeros((442, 2, 2)), "dim"),
    ]:  # fmt: skip
        with pytest.raises((ValueError, TypeError), match=message):
            regressor(callbacks=[NoTraining()]).fit(X_d, y)

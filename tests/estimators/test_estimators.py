"""The estimators as scikit-learn users meet them, and their proofs as outsiders check them."""

import copy
import io
import pickle
import tracemalloc
import warnings
from itertools import product
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skorch.callbacks import Callback

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.exceptions import AccumulatorOverflowError, AccumulatorProofError
from qnnprune.pruning.criteria import CRITERIA, NeuronCriterion
from qnnprune.pruning.schedules import SCHEDULES
from qnnprune.training.module import quantizer

X, Y = load_iris(return_X_y=True)
CANCER = load_breast_cancer(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)
X_INT = np.round(X * 10)  # whole numbers up to 79: exact in every dtype


def classifier(hidden=(8,), **settings):
    return PrunedNeuralNetClassifier(hidden, **({"max_epochs": 3, "random_state": 0} | settings))


def regressor(hidden=(8,), **settings):
    return PrunedNeuralNetRegressor(hidden, **({"max_epochs": 3, "random_state": 0} | settings))


@pytest.fixture(scope="module")
def fitted():
    return classifier((16, 8), max_epochs=20).fit(X, Y)


def arrays(model):
    """Everything that the integer network computes with."""
    network = model.integer_network_
    found = [network.encoding.thresholds]
    for layer in network.layers:
        found += [layer.weight, layer.input_range, layer.thresholds, layer.scale, layer.bias]
    return [a for a in found if a is not None]


def assert_same_network(a, b):
    for first, second in zip(arrays(a), arrays(b), strict=True):
        np.testing.assert_array_equal(first, second)


def differ(a, b):
    return any(
        x.shape != y.shape or (x != y).any() for x, y in zip(arrays(a), arrays(b), strict=True)
    )


# ------------------------------------------------------------- the proof


def width(low, high):
    """Bits that hold low..high: unsigned where nothing is negative, else two's complement."""
    n_bits = 1
    while high >= 2 ** (n_bits if low >= 0 else n_bits - 1) or low < -(2 ** (n_bits - 1)):
        n_bits += 1
    return n_bits


def check_limits(model, n_w_bits, n_a_bits, n_in_bits, n_accum_bits, multiplier, guarantee):
    for index, layer in enumerate(model.integer_network_.layers):
        weight = layer.weight.astype(int)
        assert np.abs(weight).max() <= 2 ** (n_w_bits - 1) - 1
        if multiplier is not None:
            n_in = n_a_bits if index else n_in_bits
            omega = (2**n_accum_bits - 1) // ((2**n_w_bits - 1) * (2**n_in - 1))
            assert np.count_nonzero(weight, axis=1).max() <= multiplier * omega
        if guarantee:
            ends = weight[:, :, None] * layer.input_range[None]
            low, high = ends.min(axis=2).sum(axis=1), ends.max(axis=2).sum(axis=1)
            assert max(map(width, low, high)) <= n_accum_bits
        # Neurons that make no difference are gone, but for one where all are such.
        if layer.thresholds is not None and len(weight) > 1:
            assert np.count_nonzero(weight, axis=1).min() >= 1


@pytest.mark.parametrize("n_accum_bits", [6, 7, 8, 10, 12])
@pytest.mark.parametrize("bits", [(2, 2), (3, 3), (4, 4), (2, 4), (4, 2)])
def test_limits_recomputed_from_the_arrays(bits, n_accum_bits):
    n_w_bits, n_a_bits = bits
    n_in_bits = {2: 3, 3: 2, 4: 4}[n_a_bits]
    X, y = CANCER[0][::4], CANCER[1][::4]
    fits = 0
    for multiplier, guarantee in product((None, 1, 4), (True, False)):
        model = classifier(
            (12, 6), n_w_bits=n_w_bits, n_a_bits=n_a_bits, n_in_bits=n_in_bits,
            n_accum_bits=n_accum_bits, n_hidden_neurons_multiplier=multiplier,
            accumulator_guarantee=guarantee, max_epochs=2,
        )  # fmt: skip
        omegas = [
            (2**n_accum_bits - 1) // ((2**n_w_bits - 1) * (2**n - 1)) for n in (n_in_bits, n_a_bits)
        ]
        if multiplier is not None and min(omegas) == 0:
            with pytest.raises(ValueError, match="n_hidden_neurons_multiplier"):
                model.fit(X, y)
            continue
        model.fit(X, y)
        check_limits(model, n_w_bits, n_a_bits, n_in_bits, n_accum_bits, multiplier, guarantee)
        fits += 1
    assert fits >= 2


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "hardtanh", "identity"])
def test_limits_hold_for_every_activation(activation):
    model = classifier((12, 6), activation=activation, n_accum_bits=6, max_epochs=15, lr=0.05)
    check_limits(model.fit(X, Y), 2, 2, 2, 6, None, True)


@pytest.mark.parametrize(
    ("n_w_bits", "n_a_bits", "n_in_bits"), [(2, 2, 1), (8, 2, 2), (2, 8, 1), (3, 3, 8), (8, 8, 8)]
)
@pytest.mark.parametrize("hidden", [(1,), (9,), (3, 1, 4)])
def test_smallest_legal_accumulator(n_w_bits, n_a_bits, n_in_bits, hidden):
    n_accum_bits = max(n_a_bits, n_in_bits)
    settings = {
        "n_w_bits": n_w_bits, "n_a_bits": n_a_bits, "n_in_bits": n_in_bits,
        "n_accum_bits": n_accum_bits,
    }  # fmt: skip
    model = classifier(hidden, **settings).fit(X, Y)
    check_limits(model, n_w_bits, n_a_bits, n_in_bits, n_accum_bits, None, True)
    too_narrow = classifier(hidden, **settings | {"n_accum_bits": n_accum_bits - 1})
    with pytest.raises(ValueError, match=f"n_accum_bits={n_accum_bits - 1}"):
        too_narrow.fit(X, Y)


def test_without_a_guarantee_only_the_count_holds():
    model = classifier(
        (32,), accumulator_guarantee=False, n_hidden_neurons_multiplier=4, n_accum_bits=8
    )
    report = model.fit(*CANCER).accumulator_report()
    assert model.integer_network_.layers[0].accumulator_bits.max() > 8
    assert "overflow of 8 bits is possible" in repr(report)


# ---------------------------------------------------- integer predictions


METHODS = [
    (schedule, criterion)
    for schedule, criterion in product(sorted(SCHEDULES), sorted(CRITERIA))
    if not (SCHEDULES[schedule].rewires and isinstance(CRITERIA[criterion], NeuronCriterion))
]


@pytest.mark.parametrize(("schedule", "criterion"), METHODS)
def test_every_method_is_proven_and_goes_on(schedule, criterion):
    settings = {"pruning_schedule": schedule, "pruning_criterion": criterion, "max_epochs": 8}
    counted = classifier(
        (16, 8), accumulator_guarantee=False, n_hidden_neurons_multiplier=2, n_accum_bits=6,
        **settings,
    )  # fmt: skip
    check_limits(counted.fit(X, Y), 2, 2, 2, 6, 2, False)
    model, same = (classifier((16, 8), n_accum_bits=5, **settings).fit(X, Y) for _ in range(2))
    check_limits(model, 2, 2, 2, 5, None, True)
    assert_same_network(model, same)
    assert criterion == "random" or model.score(X, Y) > 0.5
    copy = pickle.loads(pickle.dumps(model))
    for further in ("partial_fit", "fit"):
        for again in (model, copy):
            getattr(again.set_params(warm_start=True, n_accum_bits=4), further)(X, Y)
            check_limits(again, 2, 2, 2, 4, None, True)
    if criterion.startswith("neuron"):
        sizes = [len(layer.weight) for layer in model.integer_network_.layers]
        assert sizes[0] <= 8 and sizes[1] <= 4


@pytest.mark.parametrize("criterion", [c for c in sorted(CRITERIA) if c.startswith("neuron")])
def test_removed_neurons_leave_the_arrays(criterion):
    model = classifier((20, 10), pruning_criterion=criterion, neuron_sparsity=0.6, max_epochs=10)
    layers = model.fit(X, Y).integer_network_.layers
    # The module keeps them, with nothing that comes in or goes out.
    masks = [quantizer(linear).mask for linear in model.module_.linears]
    for rows, columns in zip(masks, masks[1:], strict=False):
        gone = rows.sum(dim=1) == 0
        assert gone.any() and not columns[:, gone].any()
    alive = [int(mask.any(dim=1).sum()) for mask in masks]
    assert alive == [8, 4, 3]
    # The arrays lose them, and those that nobody reads for other reasons.
    sizes = [len(layer.weight) for layer in layers]
    assert all(n - 1 <= size <= n for size, n in zip(sizes, alive, strict=True))
    assert model.integer_network_.hidden_layer_sizes == tuple(sizes[:-1])
    assert [layer.weight.shape[1] for layer in layers[1:]] == sizes[:-1]
    assert [row["neurons"] for row in model.accumulator_report().rows] == sizes
    levels = torch.from_numpy(model.integer_network_.encoding.levels(X))
    output = model.module_(levels).detach().numpy()
    assert np.isclose(output, model.decision_function(X), atol=1e-4).all(axis=1).mean() > 0.97


def test_random_weights_stay_the_same_while_training_goes_on():
    def signs(model):
        return [(q.mask > 0).numpy() for q in map(quantizer, model.module_.linears)]

    model = classifier((16, 8), pruning_criterion="random", n_accum_bits=4, random_state=None)
    before = signs(model.fit(X, Y))
    after = signs(model.partial_fit(X, Y))
    same, chance = (
        np.mean([(a & b).sum() / a.sum() for a, b in zip(before, masks, strict=True)])
        for masks in (after, [a[:, ::-1] for a in before])
    )
    assert same > chance + 0.2


def evaluate(network, x):
    """One row through the arrays, in Python integers."""
    codes = []
    for feature, value in enumerate(x):
        level = sum(float(value) >= t for t in network.encoding.thresholds[feature])
        steps = 2**network.encoding.n_bits - 1
        low = -(2 ** (network.encoding.n_bits - 1))
        n_segments = int(network.encoding.n_segments[feature])
        codes += [min(max(level - s * steps, 0), steps) + low for s in range(n_segments)] or [0]
    for layer in network.layers:
        sums = [sum(int(w) * c for w, c in zip(row, codes, strict=True)) for row in layer.weight]
        if layer.thresholds is None:
            return [a * s + b for a, s, b in zip(sums, layer.scale, layer.bias, strict=True)]
        reached = [sum(a >= t for t in row) for a, row in zip(sums, layer.thresholds, strict=True)]
        codes = [layer.output_low + n for n in reached]
    raise AssertionError("no output layer")


@pytest.mark.parametrize("n_bits", [2, 3, 4])
def test_predictions_equal_python_integers(n_bits):
    settings = {"n_w_bits": n_bits, "n_a_bits": n_bits}
    for factor in (1, 3, -100):
        model = classifier((8, 6), **settings).fit(X, Y)
        logits = np.array([evaluate(model.integer_network_, x) for x in X * factor])
        np.testing.assert_array_equal(model.predict(X * factor), Y_OF[logits.argmax(axis=1)])
        np.testing.assert_allclose(model.decision_function(X * factor), logits, rtol=1e-12)
    binary = classifier(**settings).fit(X, Y == 1)
    logits = np.array([evaluate(binary.integer_network_, x)[0] for x in X])
    np.testing.assert_array_equal(binary.predict(X), logits > 0)
    X_d, y_d = DIABETES
    values = regressor(**settings).fit(X_d, y_d)
    expected = [evaluate(values.integer_network_, x)[0] for x in X_d]
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


# -------------------------------------------------------------- labels


@pytest.mark.parametrize(
    "names",
    [
        [10, 20, 30],
        ["setosa", "versicolor", "virginica"],
        np.array(["a", "b", "c"], dtype=object),
        [-1.0, 0.0, 7.0],
        np.array([3, 200, 255], dtype=np.uint8),
        [False, True, True],
    ],
    ids=str,
)
def test_labels_come_back_as_they_went_in(names):
    names = np.asarray(names)
    y = names[Y]
    model, plain = classifier().fit(X, y), classifier().fit(X, np.unique(y, return_inverse=True)[1])
    np.testing.assert_array_equal(model.classes_, np.unique(names))
    predictions = model.predict(X)
    assert predictions.dtype == y.dtype
    np.testing.assert_array_equal(predictions, np.unique(names)[plain.predict(X)])
    np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
    assert model.score(X, y) == plain.score(X, np.unique(y, return_inverse=True)[1])


@pytest.mark.parametrize(
    "container",
    [list, pd.Series, lambda y: pd.Series(y, dtype="category"), pl.Series, lambda y: y[:, None]],
)
def test_label_containers(container):
    y = np.array(["a", "b", "c"])[Y]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a column vector is told to be raveled
        model = classifier().fit(X, container(y))
    assert_same_network(model, classifier().fit(X, y))
    assert set(model.predict(X)) <= {"a", "b", "c"}


def test_many_classes():
    y = np.arange(150) % 50 + 1000
    model = classifier((16,)).fit(X, y)
    assert model.predict_proba(X).shape == (150, 50) and model.n_outputs_ == 50
    assert np.isin(model.predict(X), y).all()


# ------------------------------------------------------------- X and y


def frame(names, make):
    return lambda X: make(dict(zip(names, X.T, strict=True)))


DTYPES = ["f2", "f4", "f8", "g", "i1", "i2", "i4", "i8", "u1", "u8", ">f8", ">i4"]
DENSE = {
    **{dtype: lambda X, dtype=dtype: X.astype(dtype) for dtype in DTYPES},
    "object": lambda X: X.astype(object),
    "list": lambda X: X.tolist(),
    "fortran": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "pandas": frame("abcd", pd.DataFrame),
    "pandas nullable": lambda X: pd.DataFrame(X).convert_dtypes(),
    "polars": frame("abcd", pl.DataFrame),
}
SPARSE = {
    f"{kind}_{shape}": getattr(sparse, f"{kind}_{shape}")
    for kind in ("csr", "csc", "coo")
    for shape in ("matrix", "array")
}


@pytest.mark.parametrize("name", [*DENSE, *SPARSE])
def test_any_kind_of_table(name):
    to_table = (DENSE | SPARSE)[name]
    plain = classifier().fit(X_INT, Y)
    model = classifier().fit(to_table(X_INT), Y)
    assert_same_network(model, plain)
    for rows in (slice(None), slice(0, 3)):  # few rows are encoded another way
        table = to_table(X_INT[rows])
        np.testing.assert_array_equal(
            model.decision_function(table), plain.decision_function(X_INT[rows])
        )
        np.testing.assert_array_equal(
            model.simulate(table, n_accum_bits=4).predictions,
            plain.simulate(X_INT[rows], n_accum_bits=4).predictions,
        )


def test_bool_tables():
    table = X_INT.mean(axis=0) < X_INT
    model = classifier().fit(table, Y)
    assert_same_network(model, classifier().fit(table.astype(float), Y))
    np.testing.assert_array_equal(model.predict(table[:2]), model.predict(table)[:2])


def test_read_only_input_is_left_alone():
    table, y = X.copy(), Y.copy()
    table.setflags(write=False)
    y.setflags(write=False)
    classifier(early_stopping=True).fit(table, y).predict(table)


@pytest.mark.parametrize("value", [1e300, 1e-300, np.finfo("f4").max, 1e305])
def test_extreme_values(value):
    table = np.clip((X - X.mean(axis=0)) / X.std(axis=0) / 4, -1, 1) * value
    model = classifier((16,), max_epochs=30).fit(table, Y)
    assert model.score(table, Y) > 0.8
    assert np.isfinite(model.decision_function(-table)).all()


def test_small_and_constant_tables():
    for table, y in [
        (X[[0, 60]], Y[[0, 60]]),  # two rows
        (X[:, :1], Y),  # one column
        (np.ones((30, 3)), np.arange(30) % 2),  # nothing to learn from
        (np.hstack([X, np.ones((150, 2))]), Y),  # constant columns
    ]:
        model = classifier().fit(table, y)
        assert np.isin(model.predict(table * 3 - 1), y).all()
        assert model.simulate(table - 7).overflow_rate == 0
        for layer in model.integer_network_.layers:
            assert layer.accumulator_bits.max() <= 8


def test_one_row_regression():
    X_d, y_d = DIABETES
    np.testing.assert_allclose(regressor().fit(X_d[:1], y_d[:1]).predict(X_d[:3]), y_d[0])


def test_large_sparse_tables_are_never_dense_as_a_whole():
    rng = np.random.default_rng(0)
    table = sparse.random(20_000, 400, 0.01, format="csr", random_state=rng)
    y = np.asarray(table[:, :200].sum(axis=1)).ravel() > 1
    model = classifier(max_epochs=1, n_input_segments=1).fit(table[:400], y[:400])
    tracemalloc.start()
    try:
        predictions = model.predict(table)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.8 * 20_000 * 400 * 8, "as much as the dense table"
    np.testing.assert_array_equal(predictions[-50:], model.predict(table[-50:].toarray()))


@pytest.mark.parametrize("early_stopping", [False, True])
def test_regression_targets(early_stopping):
    X_d, y_d = DIABETES
    settings = {"max_epochs": 40, "early_stopping": early_stopping}
    one = regressor((16,), **settings).fit(X_d, y_d)
    assert one.predict(X_d).shape == (442,) and one.n_outputs_ == 1
    assert one.score(X_d, y_d) > 0.3
    both = regressor((16,), **settings).fit(X_d, np.c_[y_d, -5e6 * y_d + 1e7])
    assert both.predict(X_d).shape == (442, 2) and both.n_outputs_ == 2
    assert both.score(X_d, np.c_[y_d, -5e6 * y_d + 1e7]) > 0.3


@pytest.mark.parametrize(("factor", "shift"), [(1e200, 0.0), (1e-200, 0.0), (1.0, 1e9)])
def test_regression_targets_of_any_size(factor, shift):
    X_d, y_d = DIABETES
    plain = regressor((16,), max_epochs=30).fit(X_d, y_d)
    model = regressor((16,), max_epochs=30).fit(X_d, y_d * factor + shift)
    scaled = (model.predict(X_d) - shift) / factor
    assert np.abs(scaled - y_d).mean() < np.abs(y_d - y_d.mean()).mean()
    assert np.corrcoef(scaled, plain.predict(X_d))[0, 1] > 0.9


@pytest.mark.parametrize("dtype", [int, bool, np.float32, object])
def test_regression_target_types(dtype):
    X_d, y_d = DIABETES
    y = (y_d > 100 if dtype is bool else y_d.round()).astype(dtype)
    model = regressor().fit(X_d, y)
    assert model.predict(X_d).dtype == np.float64
    assert_same_network(model, regressor().fit(X_d, y.astype(float)))


# ------------------------------------------------------------- weights


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("make", [classifier, regressor])
def test_weights_are_repetitions(make, early_stopping):
    times = np.random.default_rng(0).integers(0, 4, 150)
    settings = {"early_stopping": early_stopping}
    weighted = make(**settings).fit(X, Y, sample_weight=times)
    repeated = make(**settings).fit(np.repeat(X, times, axis=0), np.repeat(Y, times))
    assert_same_network(weighted, repeated)
    scaled = make(**settings).fit(X, Y, sample_weight=times * 4.0)
    assert_same_network(weighted, scaled)
    assert differ(weighted, make(**settings).fit(X, Y))


def test_rows_of_weight_zero_are_absent():
    weight = np.ones(150)
    weight[::2] = 0
    table = X.copy()
    table[::2] += 1000  # would be seen by the encoding
    assert_same_network(
        classifier().fit(table, Y, sample_weight=weight), classifier().fit(X[1::2], Y[1::2])
    )


def test_score_is_weighted(fitted):
    wrong = fitted.predict(X) != Y
    assert wrong.any()
    assert fitted.score(X, Y, sample_weight=wrong.astype(float)) == 0


COUNTS = np.array([8, 16, 32, 8])  # balanced weights 2, 1, 0.5, 2: exact in floats
Y4 = np.repeat([0, 1, 2, 3], COUNTS)
X4 = np.random.default_rng(0).integers(0, 6, (64, 3)) + Y4[:, None]


@pytest.mark.parametrize("class_weight", [{0: 2.0, 1: 1.0, 2: 0.5, 3: 2.0}, "balanced"])
def test_class_weights_are_sample_weights(class_weight):
    # Each distinct value bounds a segment, so weights do not move the encoding.
    settings = {"n_input_segments": 16, "max_epochs": 5}
    weight = np.array([2.0, 1.0, 0.5, 2.0])[Y4]
    model = classifier(class_weight=class_weight, **settings).fit(X4, Y4)
    assert_same_network(model, classifier(**settings).fit(X4, Y4, sample_weight=weight))
    assert differ(model, classifier(**settings).fit(X4, Y4))


def test_balanced_weights_with_a_class_of_weight_zero():
    model = classifier(class_weight="balanced").fit(X, Y, sample_weight=(Y != 2).astype(float))
    np.testing.assert_array_equal(model.classes_, [0, 1, 2])


def test_class_weights_with_named_classes():
    names = np.array(["a", "b", "c"])
    model = classifier(class_weight={"a": 5.0, "b": 1.0, "c": 1.0}).fit(X, names[Y])
    assert_same_network(model, classifier(class_weight={0: 5.0, 1: 1.0, 2: 1.0}).fit(X, Y))


# --------------------------------------------------------- determinism


@pytest.mark.parametrize("make", [classifier, regressor])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_same_seed_same_bits(make, early_stopping):
    settings = {"early_stopping": early_stopping}
    first = make(**settings).fit(X, Y)
    assert_same_network(first, make(**settings).fit(X, Y))
    assert_same_network(first, first.fit(X, Y))
    assert differ(first, make(**settings, random_state=1).fit(X, Y))
    order = np.random.default_rng(1).permutation(150)
    assert_same_network(first, make(**settings).fit(X[order], Y[order]))


def test_same_bits_whatever_the_number_of_threads():
    # Workers of a parallel search get fewer threads than the process that refits.
    n_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        single = classifier((16,)).fit(X, Y)
        torch.set_num_threads(2)
        assert_same_network(single, classifier((16,)).fit(X, Y))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(n_threads)


def test_random_state_objects():
    state = np.random.RandomState(3)
    first = classifier(random_state=state).fit(X, Y)
    assert differ(first, classifier(random_state=state).fit(X, Y))
    assert_same_network(first, classifier(random_state=np.random.RandomState(3)).fit(X, Y))


# --------------------------------------------------- warm start, partial fit


def test_warm_start_goes_on():
    settings = {"max_epochs": 10, "n_accum_bits": 5}
    model = classifier((16,), warm_start=True, **settings).fit(X, Y)
    loss = model.history_[-1]["train_loss"]
    mask = model.module_.linears[0].weight_quant.tensor_quant.mask.bool()
    assert not mask.all()
    model.fit(X, Y)
    assert model.history_[10]["train_loss"] < loss * 1.5
    # What is pruned stays pruned.
    assert not (model.module_.linears[0].weight_quant.tensor_quant.mask.bool() & ~mask).any()
    cold = classifier((16,), **settings).fit(X, Y)
    assert cold.history_[0]["train_loss"] > loss * 1.5


def test_rows_that_run_empty_bring_nothing_back_in_a_warm_start():
    def masks():
        return [linear.weight_quant.tensor_quant.mask.bool() for linear in model.module_.linears]

    for seed in range(6):
        settings = {"n_accum_bits": 3, "max_epochs": 20, "alpha": 0.1, "random_state": seed}
        model = classifier((12, 8), warm_start=True, **settings).fit(X, Y)
        before = masks()
        model.fit(X, Y)
        assert not any((now & ~then).any() for now, then in zip(masks(), before, strict=True))


def test_warm_start_narrows_the_accumulator():
    model = classifier((16,), warm_start=True).fit(X, Y)
    model.set_params(n_accum_bits=5).fit(X, Y)
    check_limits(model, 2, 2, 2, 5, None, True)


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_layer_sizes": (9,)}, {"hidden_layer_sizes": (8, 8)}, {"n_w_bits": 3},
        {"activation": "tanh"}, {"n_a_bits": 3}, {"n_in_bits": 4}, {"n_input_segments": 2},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_what_cannot_change_while_training_goes_on(method, changes):
    model = classifier(warm_start=True).fit(X, Y)
    before = dict(vars(model))
    model.set_params(**changes)
    with pytest.raises(ValueError, match=next(iter(changes))):
        getattr(model, method)(X, Y)
    model.set_params(**{key: before[key] for key in changes})
    assert_unchanged(model, before)


def test_warm_start_with_other_data():
    model = classifier(warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match="features"):
        model.fit(X[:, :2], Y)
    with pytest.raises(ValueError, match="not among classes"):
        model.fit(X, Y + 1)
    model.fit(X[:100], Y[:100])  # a class that is missing now is no error
    np.testing.assert_array_equal(model.classes_, [0, 1, 2])


def test_partial_fit_classifier_learns():
    model = classifier((16,))
    for epoch in range(25):
        order = np.random.default_rng(epoch).permutation(150)
        for batch in np.array_split(order, 2):
            model.partial_fit(X[batch], Y[batch], classes=[0, 1, 2])
    assert model.score(X, Y) > 0.9
    check_limits(model, 2, 2, 2, 8, None, True)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_pruned_weights_learn_in_partial_fit_alone(method):
    model = classifier((16,), n_accum_bits=4, alpha=0.0, warm_start=True).fit(X, Y)
    linear = model.module_.linears[0]
    pruned = ~linear.weight_quant.tensor_quant.mask.bool()
    before = linear.weight.detach().clone()
    model = copy.deepcopy(model)  # leaves the optimizer's moments, which move weights too
    getattr(model, method)(X, Y)
    moved = model.module_.linears[0].weight.detach() != before
    assert moved[~pruned].any()
    assert moved[pruned].any() == (method == "partial_fit")


def test_partial_fit_regressor_learns():
    X_d, y_d = DIABETES
    model = regressor((16,))
    for _ in range(20):
        model.partial_fit(X_d, y_d)
    assert model.score(X_d, y_d) > 0.3
    with pytest.raises(ValueError, match="2 outputs"):
        model.partial_fit(X_d, np.c_[y_d, y_d])


def test_partial_fit_classes():
    model = classifier()
    with pytest.raises(ValueError, match="classes"):
        model.partial_fit(X, Y)
    with pytest.raises(ValueError, match=r"not among classes.*2"):
        model.partial_fit(X, Y, classes=[0, 1])
    assert not hasattr(model, "classes_")
    model.partial_fit(X[:50], Y[:50], classes=[2, 1, 0])  # one class in this batch
    np.testing.assert_array_equal(model.classes_, [0, 1, 2])
    model.partial_fit(X[50:100], Y[50:100])  # and in this one, classes being known
    with pytest.raises(ValueError, match="classes"):
        model.partial_fit(X, Y, classes=[0, 1])
    assert model.predict(X[:3]).shape == (3,)


def test_partial_fit_after_fit_learns_at_lr():
    model = classifier((16,), max_epochs=20).fit(X, Y)
    before = model.module_.state_dict()["output.bias"].clone()
    model.set_params(lr=0.05).partial_fit(X, Y)
    assert (model.module_.state_dict()["output.bias"] - before).abs().max() > 1e-3


def test_history_goes_on_with_the_training():
    model = classifier((8,), max_epochs=3).fit(X, Y)
    first = list(model.history_)
    model.partial_fit(X, Y).partial_fit(X, Y).prune(X, Y, n_accum_bits=5, max_epochs=2)
    assert model.n_iter_ == len(model.history_) == 7 and model.history_[:3] == first
    assert [record["epoch"] for record in model.history_] == list(range(1, 8))
    assert model.fit(X, Y).n_iter_ == 3


def test_partial_fit_follows_set_params():
    model = classifier((16,)).partial_fit(X, Y, classes=[0, 1, 2])
    before = model.module_.state_dict()["output.bias"].clone()
    model.set_params(lr=1e-9).partial_fit(X, Y)
    assert (model.module_.state_dict()["output.bias"] - before).abs().max() < 1e-6
    for optimizer in ("sgd", "adam", "adamw"):
        model.set_params(optimizer=optimizer).partial_fit(X, Y)


# ------------------------------------------------- pickles and scikit-learn


def by_joblib(model):
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


COPIES = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "joblib": by_joblib,
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


@pytest.mark.parametrize("n_steps", [1, 10, 400])
def test_copies_of_fitted_estimators(n_steps):
    for make in (classifier, regressor):
        model = make(max_epochs=n_steps, batch_size=150).fit(X, Y)
        levels = torch.from_numpy(model.integer_network_.encoding.levels(X))
        output = model.module_(levels)
        for duplicate in COPIES.values():
            twin = duplicate(model)
            assert_same_network(twin, model)
            assert not twin.module_.training
            assert torch.equal(twin.module_(levels), output)
            np.testing.assert_array_equal(twin.predict(X), model.predict(X))
            assert twin.history_ == model.history_ and twin.get_params() == model.get_params()
            twin.partial_fit(X, Y)
        assert torch.equal(model.module_(levels), output), "a copy shares nothing"
        assert not hasattr(clone(model), "integer_network_")


def test_copies_before_fit_and_before_the_module_is_asked_for():
    for duplicate in COPIES.values():
        assert_same_network(duplicate(classifier()).fit(X, Y), classifier().fit(X, Y))
        model = classifier().fit(X, Y)
        duplicate(model).module_  # noqa: B018


def test_copies_train_on_with_the_same_moments():
    # The moments of the optimizer used to stay behind, so results depended on n_jobs.
    model = classifier(max_epochs=2).fit(X, Y)
    twins = [duplicate(model) for duplicate in COPIES.values()]
    model.partial_fit(X, Y)
    for twin in twins:
        assert_same_network(twin.partial_fit(X, Y), model)


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_pickles_of_the_first_version_are_refused(kind):
    with pytest.raises(ImportError, match=r"pickled by qnnprune 0\.1\.0.*integer_network_\.save"):
        pickle.loads((Path(__file__).parent / "data" / f"{kind}-0.1.0.pkl").read_bytes())


def test_grid_search_in_processes(fitted):
    grid = {"n_accum_bits": [5, 8], "n_w_bits": [2, 3]}
    for estimator in (classifier(), clone(fitted), copy.deepcopy(fitted)):
        estimator.set_params(hidden_layer_sizes=(8,), max_epochs=3)
        search = GridSearchCV(estimator, grid, cv=2, n_jobs=2).fit(X, Y)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_grid_search_over_the_accumulator_mode():
    grid = {"accumulator_mode": ["exact", "wrap", "saturate", "raise"]}
    search = GridSearchCV(classifier(), grid, cv=2).fit(X, Y)
    scores = search.cv_results_["mean_test_score"]
    assert np.ptp(scores) == 0 and scores[0] > 0


def test_cross_validate_returns_estimators():
    result = cross_validate(classifier(), X, Y, cv=3, return_estimator=True, n_jobs=2)
    for model, score in zip(result["estimator"], result["test_score"], strict=True):
        assert model.module_ is not None and 0 <= score <= 1
        assert model.predict(X).shape == (150,)


def test_halving_search():
    search = HalvingGridSearchCV(
        classifier(), {"n_accum_bits": [4, 6, 8]}, resource="max_epochs", max_resources=9, cv=2,
        random_state=0,
    ).fit(X, Y)  # fmt: skip
    assert search.best_estimator_.n_iter_ == search.best_estimator_.max_epochs == 9


def test_pipeline_with_a_column_transformer():
    table = pd.DataFrame(X, columns=list("abcd")).assign(kind=np.array(["x", "y", "z"])[Y])
    columns = ColumnTransformer(
        [("n", StandardScaler(), list("ab")), ("c", OneHotEncoder(), ["kind"])]
    )
    model = make_pipeline(columns, classifier((16,), max_epochs=30)).fit(table, Y)
    assert model.score(table, Y) > 0.95
    search = GridSearchCV(model, {"prunedneuralnetclassifier__n_accum_bits": [6]}, cv=2)
    assert search.fit(table, Y).best_score_ > 0.9


def test_meta_estimators():
    calibrated = CalibratedClassifierCV(classifier(), cv=2).fit(X, Y)
    assert calibrated.predict_proba(X).shape == (150, 3)
    bagged = BaggingClassifier(classifier(), n_estimators=2, random_state=0).fit(X, Y)
    assert bagged.predict_proba(X).shape == (150, 3)
    balanced = classifier(class_weight="balanced")
    BaggingClassifier(balanced, n_estimators=3, max_samples=10, random_state=0).fit(X, Y)


def test_permutation_importance():
    table = np.c_[X[:, 2], np.zeros(150)]
    model = classifier((16,), max_epochs=30).fit(table, Y)
    found = permutation_importance(model, table, Y, n_repeats=2, random_state=0)
    assert found.importances_mean[0] > 0.2 and found.importances_mean[1] == 0


def test_metadata_routing():
    weight = (Y != 2).astype(float)
    with config_context(enable_metadata_routing=True):
        model = classifier(max_epochs=20).set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        routed = cross_validate(
            model, X, Y, cv=2, params={"sample_weight": weight}, return_estimator=True
        )
        unasked = classifier(max_epochs=20).set_fit_request(sample_weight=False)
        unasked.set_score_request(sample_weight=True)
        plain = cross_validate(
            unasked, X, Y, cv=2, params={"sample_weight": weight}, return_estimator=True
        )
    for a, b in zip(routed["estimator"], plain["estimator"], strict=True):
        assert differ(a, b)
    for fold, model in enumerate(routed["estimator"]):
        assert not (model.predict(X) == 2).any(), "the class without weight"
        assert routed["test_score"][fold] > 0.3


def test_feature_names(fitted):
    table = pd.DataFrame(X, columns=["w", "x", "y", "z"])
    model = classifier().fit(table, Y)
    np.testing.assert_array_equal(model.feature_names_in_, table.columns)
    np.testing.assert_array_equal(model.integer_network_.feature_names, table.columns)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(table.rename(columns={"w": "unseen"}))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(table[["z", "y", "x", "w"]])
    model.fit(X, Y)
    assert not hasattr(model, "feature_names_in_") and model.n_features_in_ == 4


# ----------------------------------------------------------- bad input


class NoTraining(Callback):
    """Fails the test if training begins."""

    def on_train_begin(self, net, **kwargs):
        raise AssertionError("training has begun")


def assert_unchanged(model, before):
    after = dict(vars(model))
    assert after.keys() == before.keys()
    assert [key for key in before if after[key] is not before[key]] == []


BAD_PARAMETERS = [
    ({"n_w_bits": 1}, ["n_w_bits", "1"]),
    ({"n_w_bits": 9}, ["n_w_bits", "9"]),
    ({"n_w_bits": 2.5}, ["n_w_bits", "2.5"]),
    ({"n_a_bits": 1}, ["n_a_bits", "1"]),
    ({"n_a_bits": 9}, ["n_a_bits", "9"]),
    ({"n_in_bits": 0}, ["n_in_bits", "0"]),
    ({"n_in_bits": 9}, ["n_in_bits", "9"]),
    ({"n_accum_bits": 0}, ["n_accum_bits", "0"]),
    ({"n_accum_bits": 63}, ["n_accum_bits", "63"]),
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
    ({"hidden_layer_sizes": ()}, ["hidden_layer_sizes=()", "positive integers"]),
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


@pytest.mark.parametrize("device", ["nonsense", 7.5, f"cuda:{torch.cuda.device_count()}"])
def test_a_device_that_is_not_there(device):
    with pytest.raises(ValueError, match=f"device={device!r} is not available.*device='cpu'"):
        classifier(device=device, callbacks=[NoTraining()]).fit(X, Y)


def with_value(value):
    table = X.copy()
    table[3, 1] = value
    return table


BAD_DATA = [
    ((with_value(np.nan), Y), "NaN"),
    ((with_value(np.inf), Y), "infinity"),
    ((np.full((150, 2), np.inf, dtype=np.float16), Y), "infinity"),
    ((X + 1j, Y), "Complex"),
    ((np.arange(150).astype("M8[s]")[:, None], Y), "datetime64"),
    ((np.char.add(X.astype(str), "a").astype(object), Y), "string to float: '5.1a'"),
    ((X[:, 0], Y), "1D array"),
    ((X[:0], Y[:0]), "0 sample"),
    ((X[:, :0], Y), "0 feature"),
    ((X, Y[:-1]), "inconsistent numbers"),
    ((X, np.full(150, "only")), "only one class.*only"),
    ((X, Y + 0.5), "continuous"),
    ((X, np.c_[Y, Y]), "1d array"),
    ((X, Y.astype(float) * np.nan), "NaN"),
    ((X, Y, -np.ones(150)), "[Nn]egative.*sample_weight"),
    ((X, Y, np.zeros(150)), "[Ss]ample.weight.*zero"),
    ((X, Y, np.full(150, np.nan)), "sample_weight.*NaN"),
    ((X, Y, np.ones(10)), "sample_weight"),
    ((X, Y, (Y == 1).astype(float)), "only one class.*1"),
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


def test_huge_float16_values_are_not_infinite():
    table = (X * 8000).astype(np.float16)
    assert classifier().fit(table, Y).predict(table[:2]).shape == (2,)


def test_early_stopping_on_few_rows():
    # Two rows to validate on cannot hold all three classes.
    classifier(early_stopping=True).fit(X[::10], Y[::10])


def test_a_broken_proof_is_an_internal_error(monkeypatch):
    def keep_all(codes, magnitude, candidates, limits):
        return candidates

    monkeypatch.setattr("qnnprune.pruning.pruner.keep_what_fits", keep_all)
    for settings in ({"n_accum_bits": 4}, {"n_hidden_neurons_multiplier": 0.05}):
        model = classifier((16,), **settings)
        before = dict(vars(model))
        with pytest.raises(AccumulatorProofError, match="Layer 0"):
            model.fit(X, Y)
        assert_unchanged(model, before)


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
        with pytest.raises(ValueError, match="NaN"):
            method(with_value(np.nan))
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


# ------------------------------------------------------------ float twin


@pytest.mark.parametrize("make", [classifier, regressor])
def test_float_twin(make):
    model = make((16,), max_epochs=30, n_w_bits=3)
    twin = model.float_twin()
    assert is_classifier(twin) == is_classifier(model)
    assert twin.get_params() == model.get_params() and not hasattr(twin, "n_features_in_")
    twin.fit(X, Y)
    assert twin.score(X, Y) > 0.8
    assert not hasattr(twin, "integer_network_")
    weight = twin.module_.hidden[0].linear.weight.detach().numpy()
    assert len(np.unique(weight)) == weight.size, "neither quantized nor pruned"
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(twin)).predict(X), twin.predict(X))
    for name in ("simulate", "accumulator_report", "prune", "narrow_accumulator", "float_twin"):
        assert hasattr(model, name) and not hasattr(twin, name)


def test_float_twin_has_no_limits():
    # What an accumulator cannot hold is nothing to a float network.
    model = classifier(n_accum_bits=2, n_a_bits=8)
    with pytest.raises(ValueError):
        model.fit(X, Y)
    model.float_twin().fit(X, Y)


def test_float_twin_of_a_fitted_estimator_is_unfitted(fitted):
    twin = fitted.float_twin()
    with pytest.raises(NotFittedError):
        twin.predict(X)


# ------------------------------------------------------------------ device


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda():
    torch.cuda.manual_seed_all(1)
    before = torch.cuda.get_rng_state()
    model = classifier((16, 8), device="cuda", max_epochs=20, early_stopping=True).fit(X, Y)
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert model.score(X, Y) > 0.8
    check_limits(model, 2, 2, 2, 8, None, True)
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(restored.predict(X), model.predict(X))
    assert next(restored.module_.parameters()).device.type == "cpu"
    model.partial_fit(X, Y)
    model.set_params(device="cpu").partial_fit(X, Y)


def test_missing_labels_are_refused():
    X = np.arange(8.0).reshape(4, 2)
    with pytest.raises(ValueError, match="y contains None"):
        PrunedNeuralNetClassifier().fit(X, np.array(["a", None, "b", "a"], dtype=object))

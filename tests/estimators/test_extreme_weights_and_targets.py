"""Weights and targets near both ends of float64: only ratios of weights matter."""

import warnings

import numpy as np
import pytest

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor

rng = np.random.default_rng(0)
X = rng.normal(size=(200, 4))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
Z = X[:, 0] - X[:, 1]
UNEVEN = rng.integers(1, 9, 200) / 8  # exact at any power of two
EXTREME = [5e-324, 1e-308, 0.1, 1e308, np.finfo(float).max]
POWERS = [-1021, 1023]  # of two


@pytest.fixture(autouse=True)
def no_overflow():
    with warnings.catch_warnings(), np.errstate(over="warn", divide="warn", invalid="warn"):
        warnings.simplefilter("error", RuntimeWarning)
        yield


def classifier(**settings):
    return PrunedNeuralNetClassifier((8,), max_epochs=4, random_state=0, **settings)


def regressor(**settings):
    return PrunedNeuralNetRegressor((8,), max_epochs=4, random_state=0, **settings)


def assert_same(a, b):
    decide = "predict_proba" if hasattr(a, "classes_") else "predict"
    np.testing.assert_array_equal(getattr(a, decide)(X), getattr(b, decide)(X))


# ------------------------------------------------------------- weights


@pytest.mark.parametrize("value", EXTREME)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_equal_weights_are_as_none(value, early_stopping):
    settings, weight = {"early_stopping": early_stopping}, np.full(200, value)
    plain = classifier(**settings).fit(X, Y)
    assert plain.score(X, Y) > 0.9
    assert_same(classifier(**settings).fit(X, Y, sample_weight=weight), plain)
    by_class = classifier(class_weight={0: value, 1: value}, **settings)
    assert_same(by_class.fit(X, Y), plain)
    assert_same(by_class.fit(X, Y, sample_weight=weight), plain)
    plain = regressor(**settings).fit(X, Z)
    assert_same(regressor(**settings).fit(X, Z, sample_weight=weight), plain)


@pytest.mark.parametrize("power", POWERS)
def test_only_ratios_of_weights_matter(power):
    weight = np.ldexp(UNEVEN, power)
    plain, balanced = classifier(), classifier(class_weight="balanced")
    for model in (plain, balanced, regressor()):
        y = Y if hasattr(model, "class_weight") else Z
        assert_same(model.fit(X, y, sample_weight=weight), refit(model, y, UNEVEN))
    factors = {0: np.ldexp(0.5, power), 1: np.ldexp(0.375, power)}
    both = classifier(class_weight=factors).fit(X, Y, sample_weight=weight)
    assert_same(both, classifier(class_weight={0: 4, 1: 3}).fit(X, Y, sample_weight=UNEVEN))
    first = classifier().partial_fit(X, Y, classes=[0, 1], sample_weight=weight)
    assert_same(first, classifier().partial_fit(X, Y, classes=[0, 1], sample_weight=UNEVEN))


def refit(model, y, weight):
    return type(model)(**model.get_params()).fit(X, y, sample_weight=weight)


@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 1e-300, 1: 1e300}])
@pytest.mark.parametrize("small", [5e-324, 1e-10])
@pytest.mark.parametrize("large", [1.0, 1e308])
def test_weights_of_both_ends_in_one_fit(class_weight, small, large):
    weight = np.where(Y, small, large)
    model = classifier(class_weight=class_weight).fit(X, Y, sample_weight=weight)
    assert np.isfinite(model.decision_function(X)).all()
    if class_weight == "balanced" and large / small < 1e100:
        assert model.score(X, Y) > 0.8


@pytest.mark.parametrize("value", EXTREME)
def test_weights_of_scores(value):
    model, values = classifier().fit(X, Y), regressor().fit(X, Z)
    weight = np.full(200, value)
    assert model.score(X, Y, sample_weight=weight) == pytest.approx(model.score(X, Y), rel=1e-12)
    assert values.score(X, Z, weight) == pytest.approx(values.score(X, Z), rel=1e-12)


def test_the_score_is_accuracy_and_r_squared():
    model, values = classifier().fit(X, Y), regressor().fit(X, np.c_[Z, Y])
    right = model.predict(X) == Y
    assert model.score(X, Y) == right.mean()
    assert model.score(X, Y, UNEVEN) == pytest.approx(UNEVEN @ right / UNEVEN.sum())
    residual, y = np.c_[Z, Y] - values.predict(X), np.c_[Z, Y]
    around = y - np.average(y, axis=0, weights=UNEVEN)
    expected = 1 - (UNEVEN @ residual**2) / (UNEVEN @ around**2)
    assert values.score(X, y, UNEVEN) == pytest.approx(expected.mean())


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [({0: "a", 1: 1}, "finite and not negative"), ({0: None, 1: 1}, "finite and not negative"),
     ({0: np.inf, 1: 1}, "finite and not negative"), ({0: np.nan, 1: 1}, "finite")],
)  # fmt: skip
def test_class_weights_that_are_none(class_weight, message):
    with pytest.raises(ValueError, match=f"class_weight={{.*{message}"):
        classifier(class_weight=class_weight).fit(X, Y)


# ------------------------------------------------------------- targets


@pytest.mark.parametrize("power", [-1060, -1021, 500, 1022])
def test_targets_of_any_size(power):
    # The order of rows follows from the bits of their targets, so networks differ.
    plain, y = regressor().fit(X, Z), np.ldexp(Z / 8, power)
    model = regressor().fit(X, y)
    unit = np.ldexp(model.predict(X), -power) * 8
    assert np.corrcoef(unit, plain.predict(X))[0, 1] > 0.95
    assert 1 - np.mean((unit - Z) ** 2) / np.var(Z) == pytest.approx(model.score(X, y), abs=1e-3)
    assert model.score(X, y) == pytest.approx(plain.score(X, Z), abs=0.1)


def test_targets_of_both_ends_beside_each_other():
    y = np.c_[np.ldexp(Z / 8, 1022), np.ldexp(Z / 8, -1021), Z]
    model = regressor().fit(X, y)
    assert model.score(X, y) > 0.5
    again = model.partial_fit(X, y)
    assert np.isfinite(again.predict(X)).all() and again.score(X, y) > 0.5


def test_predictions_beyond_float64_are_its_ends():
    largest = np.finfo(float).max
    y = np.where(Y, largest, -largest)
    model = regressor().fit(X, y)
    assert np.abs(model.predict(X)).max() == largest  # more than the targets themselves
    assert model.score(X, y) > 0.3
    np.testing.assert_array_equal(model.integer_network_.predict(X), model.predict(X))
    np.testing.assert_array_equal(model.simulate(X).predictions, model.predict(X))
    assert np.isfinite(model.float_twin().fit(X, y).predict(X)).all()

"""Labels and regression targets of any kind."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from samples import DIABETES, X, Y, assert_same_network, classifier, regressor, slow_unless

from qnnprune import PrunedNeuralNetClassifier


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


def test_missing_labels_are_refused():
    X = np.arange(8.0).reshape(4, 2)
    with pytest.raises(ValueError, match="y contains None"):
        PrunedNeuralNetClassifier().fit(X, np.array(["a", None, "b", "a"], dtype=object))


def test_one_row_regression():
    X_d, y_d = DIABETES
    np.testing.assert_allclose(regressor().fit(X_d[:1], y_d[:1]).predict(X_d[:3]), y_d[0])


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


@pytest.mark.parametrize(
    ("factor", "shift"),
    slow_unless([(1e200, 0.0), (1e-200, 0.0), (1.0, 1e9)], lambda factor, shift: factor > 1),
)
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

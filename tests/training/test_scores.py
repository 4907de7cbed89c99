"""What early stopping goes by: `scoring`."""

import numpy as np
import pytest
from samples import CANCER, DIABETES, NoTraining, X, Y, classifier, differ, regressor
from sklearn.base import is_classifier
from sklearn.metrics import (
    balanced_accuracy_score,
    log_loss,
    make_scorer,
    mean_absolute_error,
    roc_auc_score,
)
from sklearn.model_selection import train_test_split

NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
TEXT = np.array(["benign", "malignant"])[CANCER[1]]


def stopped(make, X, y, **settings):
    """A fitted estimator, and the rows that it was scored on."""
    X, X_val, y, y_val = train_test_split(X, y, random_state=0)
    settings = {"early_stopping": True, "max_epochs": 6, "n_iter_no_change": 30} | settings
    return make(**settings).fit(X, y, X_val=X_val, y_val=y_val), X_val, y_val


def auc(model, X, y):
    return roc_auc_score(y, model.predict_proba(X)[:, 1])


def balanced(model, X, y):
    return balanced_accuracy_score(y, model.predict(X))


def entropy(model, X, y):
    return -log_loss(y, model.predict_proba(X))


@pytest.mark.parametrize(
    ("scoring", "data", "oracle"),
    [
        ("roc_auc", (CANCER[0], TEXT), auc),
        ("balanced_accuracy", (X, NAMES), balanced),
        ("neg_log_loss", (X, NAMES), entropy),
        ("loss", (X, NAMES), entropy),
        ("loss", (CANCER[0], TEXT), entropy),
        (make_scorer(balanced_accuracy_score), (X, Y), balanced),
        (entropy, (X, Y), entropy),
        (None, (X, NAMES), lambda model, X, y: np.mean(model.predict(X) == y)),
    ],
)
def test_the_score_is_what_the_fitted_classifier_gets(scoring, data, oracle):
    model, X_val, y_val = stopped(classifier, *data, scoring=scoring)
    # Float sums of the module may round to other codes than exact ones, at ties.
    assert model.best_validation_score_ == pytest.approx(oracle(model, X_val, y_val), abs=0.01)


def test_the_score_of_targets_is_in_their_units():
    scoring = "neg_mean_absolute_error"
    model, X_val, y_val = stopped(regressor, *DIABETES, scoring=scoring)
    expected = -mean_absolute_error(y_val, model.predict(X_val))
    assert model.best_validation_score_ == pytest.approx(expected, rel=1e-3)
    model, X_val, y_val = stopped(regressor, *DIABETES, scoring="loss")
    residual = (model.predict(X_val) - y_val) / train_test_split(*DIABETES, random_state=0)[2].std()
    assert model.best_validation_score_ == pytest.approx(-np.mean(residual**2), rel=1e-3)


def test_the_score_decides_which_epoch_is_kept():
    seen = []

    def rises_until_the_tenth(model, X, y):
        seen.append((is_classifier(model), model.predict(X).shape, y.shape))
        return -abs(len(seen) - 10)

    model = classifier(max_epochs=15, early_stopping=True, n_iter_no_change=30)
    model.set_params(scoring=rises_until_the_tenth).fit(X, NAMES)
    assert model.validation_scores_ == [-abs(epoch - 10) for epoch in range(1, 16)]
    assert model.best_epoch_ == 10 and model.best_validation_score_ == 0
    assert seen == [(True, (15,), (15,))] * 15


def test_no_score_at_all_is_what_early_stopping_went_by():
    model = classifier(early_stopping=True, max_epochs=8).fit(X, Y)
    accuracy = classifier(early_stopping=True, max_epochs=8, scoring="accuracy").fit(X, Y)
    assert accuracy.validation_scores_ == pytest.approx(model.validation_scores_)
    assert not differ(model, accuracy)
    with_none = classifier(early_stopping=True, max_epochs=8, scoring=None).fit(X, Y)
    assert not differ(model, with_none)


def test_rows_count_by_their_weight():
    weight, seen = 0.5 + np.arange(150) / 50, []

    def keep(model, X, y, sample_weight):
        seen.append((X, y, sample_weight))
        return 0.0

    model = classifier(early_stopping=True, max_epochs=2, scoring=keep, validation_fraction=0.3)
    model.fit(X, Y, sample_weight=weight)
    rows, labels, found = seen[-1]
    for row, label, value in zip(rows, labels, found, strict=True):
        same = (row == X).all(axis=1) & (label == Y)
        ratio = weight[same].mean() / value
        assert ratio == pytest.approx(weight[(rows[0] == X).all(axis=1)].mean() / found[0])
    balanced = classifier(early_stopping=True, scoring="f1_macro", class_weight="balanced")
    assert balanced.fit(X[:120], Y[:120]).best_validation_score_ >= 0


@pytest.mark.parametrize(
    ("make", "scoring", "data"),
    [
        (classifier, "roc_auc", (X, Y)),
        (classifier, "f1", (CANCER[0], TEXT)),
        (regressor, "accuracy", DIABETES),
        (regressor, "neg_log_loss", DIABETES),
        (classifier, "no_such_scorer", (X, Y)),
        (classifier, 3, (X, Y)),
    ],
)
def test_a_scorer_that_does_not_suit_is_refused_before_training(make, scoring, data):
    model = make(early_stopping=True, max_epochs="auto", scoring=scoring, callbacks=[NoTraining()])
    with pytest.raises(ValueError, match="scoring"):
        model.fit(*data)


def test_a_scorer_that_takes_no_weights_is_refused_where_rows_have_some():
    settings = {"early_stopping": True, "callbacks": [NoTraining()]}
    weight = 1.5 + Y
    with pytest.raises(ValueError, match="scoring.*takes no sample_weight"):
        classifier(scoring=balanced, **settings).fit(X, Y, sample_weight=weight)
    with pytest.raises(ValueError, match="scoring='neg_max_error'.*sample_weight"):
        regressor(scoring="neg_max_error", **settings).fit(X, Y, sample_weight=weight)


@pytest.mark.parametrize("value", [np.nan, -np.inf, "high", None, {"a": 1.0}])
def test_scores_are_finite_numbers(value):
    model = classifier(early_stopping=True, scoring=lambda model, X, y: value)
    with pytest.raises(ValueError, match="scoring.*one finite number"):
        model.fit(X, Y)
    assert not hasattr(model, "classes_")


def test_errors_of_ones_own_scorer_stay_as_they_are():
    def broken(model, X, y):
        raise TypeError("my own")

    with pytest.raises(TypeError, match="^my own$"):
        classifier(early_stopping=True, scoring=broken).fit(X, Y)


# --------------------------------------------------------- curves of a fit


def test_curves_without_early_stopping():
    model = classifier(max_epochs=5).fit(X, Y)
    assert model.loss_curve_ == [epoch["train_loss"] for epoch in model.history_]
    assert len(model.loss_curve_) == model.best_epoch_ == 5
    assert model.validation_scores_ is model.best_validation_score_ is None
    model.partial_fit(X, Y)
    assert len(model.loss_curve_) == model.best_epoch_ == 6


def test_infinite_patience_keeps_the_best_epoch_and_never_stops():
    settings = {"early_stopping": True, "max_epochs": 12, "tol": 2.0}
    model = classifier(n_iter_no_change=np.inf, **settings).fit(X, Y)
    assert model.n_iter_ == 12 and model.best_epoch_ >= 8
    assert not differ(model, classifier(n_iter_no_change=40, **settings).fit(X, Y))


def test_curves_of_unfitted_estimators():
    for name in ("loss_curve_", "validation_scores_", "best_epoch_", "best_validation_score_"):
        assert not hasattr(classifier(), name)


def test_curves_of_the_float_twin():
    model = classifier(early_stopping=True, max_epochs=6).float_twin().fit(X, Y)
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.validation_scores_[model.best_epoch_ - 1] == model.best_validation_score_

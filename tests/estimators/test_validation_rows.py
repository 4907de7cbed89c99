"""Validation rows that come with fit: `X_val`, `y_val` and `sample_weight_val`."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from samples import DIABETES, X, Y, classifier, differ, regressor
from sklearn import config_context
from sklearn.datasets import make_regression
from sklearn.metrics import d2_tweedie_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from trainings import Recorder, assert_proven, assert_same_state, make

from qnnprune.training.net import TrainingNet

NAMES = np.array(["setosa", "versicolor", "virginica"])
X_TRAIN, X_VAL, Y_TRAIN, Y_VAL = train_test_split(X, Y, random_state=0, stratify=Y)
WEIGHT = np.arange(len(Y_VAL)) % 3


def stopping(**changes):
    return make(**{"early_stopping": True, "n_iter_no_change": 40, "max_epochs": 12} | changes)


def test_the_score_of_an_epoch_is_that_of_the_validation_rows():
    weight = 0.5 + np.arange(len(Y_VAL)) / 7
    labels = NAMES[np.where(np.arange(len(Y_VAL)) % 3, Y_VAL, 0)]
    model = stopping().fit(
        X_TRAIN, NAMES[Y_TRAIN], X_val=X_VAL, y_val=labels, sample_weight_val=weight
    )
    expected = model.score(X_VAL, labels, sample_weight=weight)
    assert model.best_validation_score_ == pytest.approx(expected, abs=1e-9)
    assert expected != pytest.approx(model.score(X_VAL, labels)), "else this shows nothing"
    assert model.best_validation_score_ == model.validation_scores_[model.best_epoch_ - 1]
    assert_proven(model)


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_targets_are_scored_in_the_units_of_training(n_outputs):
    X, y = make_regression(300, 4, n_targets=n_outputs, noise=1.0, random_state=0)
    X_train, X_val, y_train, y_val = train_test_split(X, 1e4 + 100 * y, random_state=0)
    model = regressor((32,), early_stopping=True, max_epochs=20)
    model.fit(X_train, y_train, X_val=X_val, y_val=y_val)
    assert model.best_validation_score_ == pytest.approx(model.score(X_val, y_val), abs=1e-3)
    assert model.best_validation_score_ > 0.5


def test_rows_of_several_labels():
    labels = np.c_[Y == 0, Y > 1].astype(int)
    model = stopping().fit(X[::2], labels[::2], X_val=X[1::2], y_val=labels[1::2])
    expected = model.score(X[1::2], labels[1::2])
    assert model.best_validation_score_ == pytest.approx(expected, abs=0.02)
    with pytest.raises(ValueError, match="Of X_val.*shape"):
        stopping().fit(X, Y, X_val=X, y_val=labels)


def test_targets_of_other_losses():
    y = np.random.default_rng(0).poisson(np.exp(X[:, 0] - 4)).astype(float)
    model = regressor((16,), loss="poisson", early_stopping=True, max_epochs=20)
    model.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    expected = d2_tweedie_score(y[1::2], model.predict(X[1::2]), power=1)
    # Explained is what the mean of the training rows, or of these, leaves.
    assert model.best_validation_score_ == pytest.approx(expected, abs=0.05)
    with pytest.raises(ValueError, match="Of X_val"):
        model.fit(X, y, X_val=X, y_val=y - 1)


def test_all_training_rows_are_trained_on():
    recorder, plain = Recorder(), Recorder()
    stopping(callbacks=[recorder]).fit(X_TRAIN, Y_TRAIN, X_val=X_VAL, y_val=Y_VAL)
    without = make(max_epochs=12, callbacks=[plain]).fit(X_TRAIN, Y_TRAIN)
    assert_same_state(without, recorder.epochs[-1][1])
    np.testing.assert_array_equal(
        without.integer_network_.encoding.thresholds,
        stopping().fit(X_TRAIN, Y_TRAIN, X_val=9 * X_VAL, y_val=Y_VAL)
        .integer_network_.encoding.thresholds,
    )  # fmt: skip


def test_the_best_epoch_is_that_of_the_validation_rows():
    recorder = Recorder()
    wrong = (Y_VAL + 1) % 3
    model = stopping(max_epochs=20, callbacks=[recorder])
    model.fit(X_TRAIN, Y_TRAIN, X_val=X_VAL, y_val=wrong)
    pruned = [place for place, (holds, _) in enumerate(recorder.epochs) if holds]
    scores = model.validation_scores_
    assert model.best_epoch_ - 1 == max(pruned, key=lambda place: (scores[place], -place))
    assert_same_state(model, recorder.epochs[model.best_epoch_ - 1][1])


def test_weights_count_as_repeated_rows():
    weighted = stopping().fit(X_TRAIN, Y_TRAIN, X_val=X_VAL, y_val=Y_VAL, sample_weight_val=WEIGHT)
    repeated = stopping().fit(
        X_TRAIN, Y_TRAIN, X_val=X_VAL.repeat(WEIGHT, axis=0), y_val=Y_VAL.repeat(WEIGHT)
    )
    assert weighted.validation_scores_ == pytest.approx(repeated.validation_scores_)
    assert not differ(weighted, repeated)


def test_class_weights_leave_validation_rows_alone():
    model = stopping(class_weight={0: 1, 1: 1, 2: 50})
    model.fit(X_TRAIN, Y_TRAIN, X_val=X_VAL, y_val=Y_VAL)
    assert model.best_validation_score_ == pytest.approx(model.score(X_VAL, Y_VAL))


@pytest.mark.parametrize("to", [pd.DataFrame, sp.csr_matrix, np.ndarray.tolist])
def test_validation_rows_of_any_kind(to):
    expected = stopping().fit(X_TRAIN, Y_TRAIN, X_val=X_VAL, y_val=Y_VAL)
    model = stopping().fit(to(X_TRAIN), Y_TRAIN, X_val=to(X_VAL), y_val=Y_VAL.tolist())
    assert model.validation_scores_ == expected.validation_scores_


def test_raw_validation_rows():
    table = pd.DataFrame(X, columns=list("abcd")).assign(kind=np.array(["x", "y", "z"])[Y])
    table.loc[::7, "a"] = np.nan
    train, val = table.iloc[::2], table.iloc[1::2].copy()
    val.iloc[0, -1] = "unknown"
    model = stopping(max_epochs=30).fit(train, Y[::2], X_val=val, y_val=Y[1::2])
    assert model.best_validation_score_ == pytest.approx(model.score(val, Y[1::2]))
    assert model.best_validation_score_ > 0.9


def test_further_training_takes_them_too():
    model = stopping(warm_start=True).fit(X_TRAIN, Y_TRAIN, X_val=X_VAL, y_val=Y_VAL)
    model.fit(X_TRAIN, Y_TRAIN, X_val=X_VAL, y_val=Y_VAL)
    assert len(model.validation_scores_) == model.n_iter_ == 24
    assert model.best_epoch_ > 12
    model.set_params(early_stopping=False).fit(X_TRAIN, Y_TRAIN)
    assert np.isnan(model.validation_scores_[24:]).all() and model.best_epoch_ == 36
    assert model.best_validation_score_ is None


def test_a_pipeline_passes_them_on():
    scaled = MinMaxScaler().fit(X_TRAIN)
    expected = stopping().fit(
        scaled.transform(X_TRAIN), Y_TRAIN, X_val=scaled.transform(X_VAL), y_val=Y_VAL,
        sample_weight_val=WEIGHT,
    )  # fmt: skip
    with config_context(enable_metadata_routing=True):
        net = stopping().set_fit_request(X_val=True, y_val=True, sample_weight_val=True)
        model = make_pipeline(MinMaxScaler(), net, transform_input=["X_val"])
        model.fit(X_TRAIN, Y_TRAIN, X_val=X_VAL, y_val=Y_VAL, sample_weight_val=WEIGHT)
    assert model[-1].validation_scores_ == expected.validation_scores_
    assert not differ(model[-1], expected)


def test_a_grid_search_passes_them_on():
    search = GridSearchCV(stopping(), {"n_w_bits": [2, 3]}, cv=2)
    search.fit(X_TRAIN, Y_TRAIN, X_val=X_VAL, y_val=Y_VAL)
    best = search.best_estimator_
    assert best.best_validation_score_ == pytest.approx(best.score(X_VAL, Y_VAL))


def test_recipes_are_chosen_by_the_validation_rows(monkeypatch):
    seen = []

    def row_errors(net, table):
        seen.append(table)
        return original(net, table)

    original = TrainingNet.row_errors
    monkeypatch.setattr(TrainingNet, "row_errors", row_errors)
    X_train, X_val, y_train, y_val = train_test_split(*DIABETES, random_state=0)
    model = regressor((8,), early_stopping=True, max_epochs="auto")
    model.fit(X_train, y_train, X_val=X_val, y_val=y_val)
    standardised = (y_val - y_train.mean()) / y_train.std()
    for table in seen:
        np.testing.assert_allclose(np.sort(table.y[:, 0]), np.sort(standardised))
        levels = table.encoding.levels(X_val)[table.rows]
        np.testing.assert_array_equal(levels, table.levels(table.rows))
    assert len(seen) == 2 and len({id(table.encoding) for table in seen}) == 2


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"X_val": X_VAL}, "X_val is provided, but y_val was not provided"),
        ({"y_val": Y_VAL}, "y_val is provided, but X_val was not provided"),
        ({"sample_weight_val": WEIGHT}, "X_val and y_val were not provided"),
        ({"X_val": X_VAL[:, :3], "y_val": Y_VAL}, "Of X_val.* 3 features.* 4 features"),
        ({"X_val": X_VAL, "y_val": Y_VAL[1:]}, "Of X_val.*inconsistent numbers of samples"),
        ({"X_val": X_VAL, "y_val": Y_VAL + 1}, r"Of X_val.*labels that are not among.*\[3\]"),
        ({"X_val": X_VAL, "y_val": Y_VAL, "sample_weight_val": -WEIGHT}, "Of X_val.*Negative"),
        ({"X_val": X_VAL, "y_val": Y_VAL, "sample_weight_val": 0 * WEIGHT}, "Of X_val.*zero"),
        ({"X_val": X_VAL * np.inf, "y_val": Y_VAL}, "Of X_val.*infinity"),
    ],
)
def test_what_cannot_be_used_is_refused_before_training(given, message):
    recorder = Recorder()
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match=message):
        stopping(callbacks=[recorder]).fit(X_TRAIN, Y_TRAIN, **given)
    assert not recorder.epochs


def test_rows_that_nothing_would_use_are_refused():
    with pytest.raises(ValueError, match="X_val and y_val are passed to fit while.*early_stopping"):
        classifier().fit(X_TRAIN, Y_TRAIN, X_val=X_VAL, y_val=Y_VAL)


def test_outputs_of_validation_targets_are_counted():
    X, y = DIABETES
    with pytest.raises(ValueError, match="y has 2 outputs"):
        regressor(early_stopping=True).fit(X, y, X_val=X, y_val=np.c_[y, y])

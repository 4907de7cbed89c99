"""What a user's callbacks see: rows, labels, probabilities and targets as in skorch."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from samples import CANCER, DIABETES, X, Y, classifier, regressor
from sklearn.base import is_classifier, is_regressor
from sklearn.datasets import make_regression
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
)
from skorch.callbacks import BatchScoring, Callback, EpochScoring

NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]


class Spy(Callback):
    """Keeps what callbacks are given in the last epoch."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        self.X, self.y = X, y

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        self.datasets = {True: dataset_train, False: dataset_valid}
        self.batches = {True: [], False: []}

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        self.begun = batch

    def on_batch_end(self, net, batch=None, training=False, y_pred=None, **kwargs):
        for mine, theirs in zip(self.begun, batch, strict=True):
            np.testing.assert_array_equal(mine, theirs)
        self.batches[training].append((*batch, y_pred))

    def on_epoch_end(self, net, **kwargs):
        self.net, self.proba, self.predicted = net, net.predict_proba(self.X), net.predict(self.X)

    def seen(self, training):
        """X, y and predictions of a pass."""
        return [np.concatenate(part) for part in zip(*self.batches[training], strict=True)]


def spied(model, X, y, **fit):
    spy = Spy()
    return spy, model.set_params(callbacks=[spy]).fit(X, y, **fit)


def as_rows(X, y):
    """Rows with their labels or targets, in an order of their own."""
    X = X.toarray() if hasattr(X, "toarray") else np.asarray(X)
    return sorted(map(str, zip(X.tolist(), np.asarray(y).tolist(), strict=True)))


# --------------------------------------------------------- rows and labels


@pytest.mark.parametrize(
    "labels",
    [NAMES, Y * 10 + 7, np.array([2.0, -1.0, 0.0])[Y], NAMES.astype(object), Y == 1],
    ids=["text", "integers", "floats", "objects", "bools"],
)
@pytest.mark.parametrize("to", [np.asarray, sp.csr_matrix, np.float32], ids=lambda f: f.__name__)
def test_batches_and_datasets_hold_the_users_rows(labels, to):
    spy, model = spied(classifier(early_stopping=True), to(X), labels)
    assert as_rows(spy.X, spy.y) == as_rows(to(X), labels)
    everything = []
    for training in (True, False):
        X_seen, y_seen, proba = spy.seen(training)
        dataset = spy.datasets[training]
        assert len(dataset) == len(y_seen) == len(proba)
        assert as_rows(dataset.X, dataset.y) == as_rows(X_seen, y_seen)
        row, label = dataset[3]
        assert as_rows([row], [label]) == as_rows(dataset.X[[3]], dataset.y[[3]])
        everything += as_rows(X_seen, y_seen)
        assert proba.shape == (len(y_seen), len(np.unique(labels)))
        np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert sorted(everything) == as_rows(to(X), labels), "every row once"
    np.testing.assert_array_equal(spy.net.classes_, model.classes_)
    assert is_classifier(spy.net)


def test_equal_rows_are_seen_as_often_as_they_are_there():
    # Three rows, once they are merged.
    counts = [100, 151, 49]
    many, labels = np.repeat(X[::60], counts, axis=0), np.repeat(NAMES[::60], counts)
    spy, _ = spied(classifier(early_stopping=True), many, labels)
    assert len(spy.datasets[True]) == 270 and len(spy.datasets[False]) == 30
    seen = spy.seen(True)[1].tolist() + spy.seen(False)[1].tolist()
    assert sorted(seen) == labels.tolist()


def test_integer_weights_are_rows_that_are_there_as_often():
    weight = np.arange(150) % 4
    scoring = EpochScoring("accuracy", name="mine", on_train=True)
    spy, weighted = spied(classifier(), X, NAMES, sample_weight=weight)
    assert as_rows(*spy.seen(True)[:2]) == as_rows(X.repeat(weight, axis=0), NAMES.repeat(weight))
    weighted.set_params(callbacks=[scoring]).fit(X, NAMES, sample_weight=weight)
    repeated = classifier(callbacks=[scoring]).fit(X.repeat(weight, axis=0), NAMES.repeat(weight))
    assert [r["mine"] for r in weighted.history_] == [r["mine"] for r in repeated.history_]


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_targets_and_predictions_are_in_the_users_units(n_outputs):
    X, y = make_regression(200, 4, n_targets=n_outputs, noise=1.0, random_state=0)
    y = 1e6 + 1e3 * y
    spy, model = spied(regressor(early_stopping=True, max_epochs=20), X, y)
    parts = [spy.seen(training) for training in (True, False)]
    X_seen, y_seen, predicted = (np.concatenate(part) for part in zip(*parts, strict=True))
    assert as_rows(X_seen, y_seen) == as_rows(X, y), "exactly"
    assert predicted.shape == y_seen.shape
    assert 0.5 < r2_score(y_seen, predicted) < 1
    np.testing.assert_array_equal(spy.y, y)
    assert is_regressor(spy.net) and spy.predicted.shape == y.shape


# ------------------------------------------------------------- predictions


@pytest.mark.parametrize(("X", "y"), [(X, NAMES), CANCER], ids=["three", "two"])
def test_a_net_predicts_as_the_estimator_that_comes_of_it(X, y):
    spy, model = spied(classifier(max_epochs=6), X, y)
    np.testing.assert_allclose(spy.proba, model.predict_proba(X), atol=1e-5)
    assert np.mean(spy.predicted == model.predict(X)) > 0.99
    assert spy.net.score(X, y) == pytest.approx(model.score(X, y), abs=0.01)


def test_a_net_of_one_label_is_certain():
    labels = ["only"] * 150
    spy, model = spied(classifier(early_stopping=True), X, labels)
    np.testing.assert_array_equal(spy.proba, model.predict_proba(X))
    assert spy.net.score(X, labels) == model.history_[-1]["valid_score"] == 1


def test_a_regressors_net_predicts_as_the_estimator_that_comes_of_it():
    spy, model = spied(regressor(max_epochs=6), *DIABETES)
    np.testing.assert_allclose(spy.predicted, model.predict(DIABETES[0]), rtol=1e-4)
    assert spy.net.score(*DIABETES) == pytest.approx(model.score(*DIABETES), abs=1e-4)


@pytest.mark.parametrize(
    "convert",
    [
        pd.DataFrame, sp.csr_matrix, torch.from_numpy, np.ndarray.tolist,
        lambda X: torch.utils.data.TensorDataset(torch.from_numpy(X), torch.zeros(len(X))),
    ],
    ids=["DataFrame", "sparse", "tensor", "list", "dataset"],
)  # fmt: skip
def test_nets_take_rows_of_any_kind(convert):
    spy, _ = spied(classifier(), X, NAMES)
    np.testing.assert_array_equal(spy.net.predict_proba(convert(X)), spy.proba)


def test_unsigned_integers_are_rows_and_not_levels():
    pixels = (X * 30).astype(np.uint8)
    spy, model = spied(classifier(), pixels, NAMES)
    np.testing.assert_allclose(
        spy.net.predict_proba(pixels), model.predict_proba(pixels), atol=1e-5
    )


def test_nets_refuse_rows_of_another_width():
    spy, _ = spied(classifier(), X, NAMES)
    with pytest.raises(ValueError, match="3 features"):
        spy.net.predict(X[:, :3])


@pytest.mark.parametrize("training", [False, True])
def test_forward_keeps_the_order_of_the_rows(training):
    spy, _ = spied(classifier(batch_size=150), X, NAMES)
    forth = spy.net.forward(X, training=training)
    back = spy.net.forward(X[::-1].copy(), training=training)
    np.testing.assert_allclose(forth, back.flip(0), atol=1e-6)
    assert forth.std(dim=0).min() > 0.01


def test_the_loss_of_a_net_takes_labels_and_targets():
    spy, _ = spied(classifier(), X, NAMES)
    loss = spy.net.get_loss(spy.net.forward(X), NAMES)
    assert float(loss) == pytest.approx(log_loss(NAMES, spy.proba))
    data = make_regression(100, 3, n_targets=2, random_state=0)
    spy, _ = spied(regressor(), *data)
    loss = spy.net.get_loss(spy.net.forward(data[0]), torch.from_numpy(data[1]))
    expected = np.mean(((spy.predicted - data[1]) / data[1].std(axis=0)) ** 2)
    assert float(loss) == pytest.approx(expected)


# ------------------------------------------------------------------ scores


def scores_of(model, X, y, scoring, **settings):
    callback = EpochScoring(scoring, name="mine", lower_is_better=False, **settings)
    model.set_params(callbacks=[callback]).fit(X, y)
    return model, [record["mine"] for record in model.history_]


@pytest.mark.parametrize("caching", [True, False])
@pytest.mark.parametrize("scoring", ["accuracy", None, accuracy_score])
def test_accuracy_is_the_score_of_early_stopping(scoring, caching):
    model, scores = scores_of(
        classifier(early_stopping=True, max_epochs=6), X[:, 2:], NAMES, scoring, use_caching=caching
    )
    assert scores == pytest.approx([record["valid_score"] for record in model.history_])
    assert len(set(scores)) > 1


@pytest.mark.parametrize("caching", [True, False])
@pytest.mark.parametrize("scoring", ["r2", None, r2_score])
def test_r2_is_the_score_of_early_stopping(scoring, caching):
    model, scores = scores_of(
        regressor(early_stopping=True, max_epochs=6), *DIABETES, scoring, use_caching=caching
    )
    assert scores == pytest.approx([record["valid_score"] for record in model.history_])


@pytest.mark.parametrize("X", [X, np.repeat(X[::3], 3, axis=0)], ids=["different", "merged"])
def test_log_loss_is_the_validation_loss(X):
    labels = NAMES if X[1, 0] != X[0, 0] else np.repeat(NAMES[::3], 3)
    model, scores = scores_of(
        classifier(early_stopping=True, batch_size=1000), X, labels, "neg_log_loss"
    )
    assert scores == pytest.approx([-record["valid_loss"] for record in model.history_], rel=1e-5)


SCORERS = {
    "neg_log_loss": lambda y, p, c: -log_loss(y, p),
    "neg_brier_score": lambda y, p, c: -brier_score_loss(y, p[:, 1], pos_label=c[1]),
    "roc_auc": lambda y, p, c: roc_auc_score(y, p[:, 1]),
    "accuracy": lambda y, p, c: np.mean(y == c[p.argmax(axis=1)]),
}


@pytest.mark.parametrize("scoring", SCORERS)
def test_scores_of_two_classes(scoring):
    X, y = CANCER
    y = y if "brier" in scoring else np.array(["no", "yes"])[y]  # it takes no text
    model, scores = scores_of(classifier(), X, y, scoring, on_train=True, use_caching=False)
    expected = SCORERS[scoring](y, model.predict_proba(X), model.classes_)
    assert scores[-1] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("caching", [True, False])
@pytest.mark.parametrize("scoring", ["roc_auc_ovr", "roc_auc_ovo", "f1_macro", "neg_log_loss"])
def test_scores_of_three_classes(scoring, caching):
    # Of the rows that are held back, and of those that are trained on.
    for settings in ({"on_train": True}, {}):
        model, scores = scores_of(
            classifier(early_stopping=True), X, NAMES, scoring, use_caching=caching, **settings
        )
        assert np.isfinite(scores).all()


def test_scores_of_targets():
    X, y = DIABETES
    model, scores = scores_of(
        regressor(), X, y, "neg_mean_absolute_error", on_train=True, use_caching=False
    )
    assert -scores[-1] == pytest.approx(mean_absolute_error(y, model.predict(X)), rel=1e-4)


def test_targets_of_zero_stay_so():
    # Standardised and back, they come out a little below 0, which such scores refuse.
    def least(net, X, y):
        return float(y.min())

    y = (DIABETES[1] - DIABETES[1].min()) / 7
    _, scores = scores_of(regressor(early_stopping=True), DIABETES[0], y, least, on_train=True)
    assert y.min() == 0 and scores == [0, 0, 0]


@pytest.mark.parametrize("caching", [True, False])
def test_callables_score_labels(caching):
    def share_of_setosa(net, X, y):
        assert set(y) <= set(net.classes_) == set(NAMES)
        assert net.predict_proba(X).shape == (len(y), 3)
        return np.mean(y == "setosa")

    _, scores = scores_of(
        classifier(early_stopping=True), X, NAMES, share_of_setosa, use_caching=caching
    )
    assert scores == [pytest.approx(1 / 3)] * 3


@pytest.mark.parametrize("caching", [True, False])
@pytest.mark.parametrize("on_train", [True, False])
def test_batches_are_scored(on_train, caching):
    def scores(model, X, y, scoring):
        callback = BatchScoring(
            scoring, name="mine", on_train=on_train, use_caching=caching, lower_is_better=False
        )
        model.set_params(callbacks=[callback], early_stopping=True).fit(X, y)
        return model, [record["mine"] for record in model.history_]

    model, found = scores(classifier(max_epochs=6), X, NAMES, "accuracy")
    assert 0.5 < found[-1] <= 1
    if not on_train:
        assert found == pytest.approx([record["valid_score"] for record in model.history_])
    _, found = scores(regressor(max_epochs=6), *DIABETES, "neg_mean_absolute_error")
    assert 30 < -found[-1] < 150, "in the units of the target"

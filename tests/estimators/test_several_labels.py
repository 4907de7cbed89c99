"""Rows with several labels, as MLPClassifier takes them."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from samples import assert_same_network, classifier, differ
from sklearn.base import is_classifier
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import cross_val_score, cross_validate
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MultiLabelBinarizer, StandardScaler
from sklearn.utils.class_weight import compute_sample_weight
from skorch.callbacks import EpochScoring

from qnnprune import IntegerNetwork, PrunedNeuralNetClassifier

X, Y = make_multilabel_classification(300, 8, n_classes=4, random_state=1)


@pytest.fixture(scope="module")
def model():
    return classifier((16,), max_epochs=25).fit(X, Y)


def test_what_mlp_classifier_returns(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = MLPClassifier((16,), max_iter=300, random_state=0).fit(X, Y)
    np.testing.assert_array_equal(model.classes_, peer.classes_)
    assert model.n_outputs_ == peer.n_outputs_ == 4 and is_classifier(model)
    for ours, theirs in (
        (model.predict(X), peer.predict(X)),
        (model.predict_proba(X), peer.predict_proba(X)),
        (model.predict_log_proba(X), peer.predict_log_proba(X)),
    ):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    np.testing.assert_array_equal(model.predict(X), model.predict_proba(X) > 0.5)
    np.testing.assert_array_equal(model.predict(X), model.decision_function(X) > 0)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X))
    weight = np.arange(300.0)
    assert model.score(X, Y, weight) == accuracy_score(Y, model.predict(X), sample_weight=weight)
    gap = f1_score(Y, peer.predict(X), average="micro") - f1_score(
        Y, model.predict(X), average="micro"
    )
    assert gap < 0.05


def test_integers_report_and_float_twin(model):
    network = model.integer_network_
    assert network.outcome == "labels" and network.layers[-1].n_logits == 4
    np.testing.assert_array_equal(network.predict(X), model.predict(X))
    np.testing.assert_array_equal(network.predict_proba(X), model.predict_proba(X))
    assert network.score(X, Y) == model.score(X, Y)
    report = model.accumulator_report(X).to_dict()
    assert max(report["proven_bits"]) <= 8
    twin = classifier((16,), max_epochs=25).float_twin().fit(X, Y)
    assert twin.predict(X).shape == Y.shape and twin.score(X, Y) > 0.4 < model.score(X, Y)


@pytest.mark.parametrize(
    "container", [np.ndarray.tolist, pd.DataFrame, lambda y: y.astype(bool), lambda y: y * 1.0]
)
def test_containers(container):
    given = classifier().fit(X, container(Y))
    assert_same_network(given, classifier().fit(X, Y))
    assert given.predict(X).dtype == np.int64
    assert given.score(X, container(Y)) == given.score(X, Y)


def test_binarized_sets_of_labels_go_there_and_back():
    binarizer = MultiLabelBinarizer()
    sets = [{"abcd"[k] for k in np.flatnonzero(row)} for row in Y]
    y = binarizer.fit_transform(sets)
    found = binarizer.inverse_transform(classifier().fit(X, y).predict(X))
    assert len(found) == 300 and {label for row in found for label in row} <= set("abcd")


def test_weights_are_repeated_rows():
    counts = np.random.default_rng(0).integers(0, 3, 300)
    weighted = classifier().fit(X, Y, sample_weight=counts)
    repeated = np.repeat(np.arange(300), counts)
    assert_same_network(weighted, classifier().fit(X[repeated], Y[repeated]))


def test_balanced_weights_are_those_of_scikit_learn():
    balanced = classifier(class_weight="balanced").fit(X, Y)
    weight = compute_sample_weight("balanced", Y)
    by_hand = classifier().fit(X, Y, sample_weight=weight)
    np.testing.assert_allclose(balanced.decision_function(X), by_hand.decision_function(X))
    assert differ(balanced, classifier().fit(X, Y))


def test_labels_in_which_all_rows_agree_are_certain():
    y = np.c_[np.ones(300, int), Y[:, 0], np.zeros(300, int)]
    model = classifier().fit(X, y)
    far = np.r_[X, 1e3 * X, -X]
    np.testing.assert_array_equal(model.predict(far)[:, [0, 2]], np.tile([1, 0], (900, 1)))
    np.testing.assert_allclose(model.predict_proba(far)[:, [0, 2]] - [1, 0], 0, atol=1e-20)
    assert len(np.unique(model.decision_function(X)[:, 1])) > 1


def test_training_goes_on():
    model = classifier(warm_start=True).fit(X, Y)
    model.fit(X, Y)
    assert model.n_iter_ == 6
    constant = Y.copy()
    constant[:, 2] = 1
    with pytest.raises(ValueError, match=r"with, or without, the labels \[2\]"):
        model.fit(X, constant)
    with pytest.raises(ValueError, match="the same kind"):
        model.fit(X, Y[:, 0])
    with pytest.raises(ValueError, match="3 columns, but the labels are"):
        model.fit(X, Y[:, :3])
    np.testing.assert_array_equal(model.prune(X, Y, n_accum_bits=6).predict(X).shape, Y.shape)
    assert model.narrow_accumulator(X, Y, least=5, max_epochs=1).n_accum_bits[0] == 6


def test_partial_fit():
    model = classifier()
    for rows in np.array_split(np.arange(300), 3):
        model.partial_fit(X[rows], Y[rows])
    assert model.n_iter_ == 3 and model.predict(X).shape == (300, 4)
    with_classes = classifier()
    for rows in np.array_split(np.arange(300), 3):
        with_classes.partial_fit(X[rows], Y[rows], classes=np.arange(4))
    assert_same_network(model, with_classes)
    with pytest.raises(ValueError, match="differ from those of earlier calls"):
        model.partial_fit(X, Y, classes=np.arange(3))
    with pytest.raises(ValueError, match="numbers of the columns"):
        classifier().partial_fit(X, Y, classes=["a", "b", "c", "d"])
    # A batch in which all rows agree teaches nothing for certain.
    model.partial_fit(X[:5], np.ones((5, 4), int))
    assert np.isfinite(model.decision_function(X)).all() and model.score(X, Y) >= 0


def test_what_is_refused():
    with pytest.raises(ValueError, match="y has 4 columns, and the value 2.*MultiLabelBinarizer"):
        classifier().fit(X, Y + 1)
    with pytest.raises(ValueError, match="y has 2 columns, and the value 'no'"):
        classifier().fit(X, np.full((300, 2), "no"))
    with pytest.raises(ValueError, match=r"class_weight=\{0: 2\} is for labels of which each row"):
        classifier(class_weight={0: 2}).fit(X, Y)


def test_early_stopping_and_callbacks():
    """What callbacks see is what came, and what scores them is what early stopping goes by."""
    scores = [EpochScoring("accuracy", name="mine", lower_is_better=False)]
    model = classifier(early_stopping=True, max_epochs=8, callbacks=scores).fit(X, Y)
    for record in model.history_:
        assert record["mine"] == pytest.approx(record["valid_score"])
    assert len({record["valid_score"] for record in model.history_}) > 1


def test_recipes_are_tried():
    model = PrunedNeuralNetClassifier((16,), random_state=0).fit(X, Y)
    assert model.n_iter_ >= 20 and model.score(X, Y) > 0.4


def test_behind_a_scaler_and_in_cross_validation(model, tmp_path):
    pipeline = make_pipeline(StandardScaler(), classifier((16,), max_epochs=10)).fit(X, Y)
    network = IntegerNetwork.from_pipeline(pipeline)
    np.testing.assert_array_equal(network.predict(X), pipeline.predict(X))
    assert (cross_val_score(classifier((16,), max_epochs=10), X, Y, cv=2) > 0.2).all()
    scoring = ["f1_micro", "roc_auc", "accuracy"]
    scored = cross_validate(classifier(max_epochs=5), X, Y, cv=2, scoring=scoring)
    assert np.isfinite(scored["test_roc_auc"]).all()
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(restored.predict_proba(X), model.predict_proba(X))

"""Rows of a single label: a classifier that always predicts it, wherever it is deployed."""

import pickle
import shutil
import subprocess

import numpy as np
import pytest
from samples import NoTraining
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from qnnprune import IntegerNetwork, PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.export import register_skl2onnx, to_c, to_onnx, to_qonnx

X = np.random.default_rng(0).normal(size=(60, 3))
TWO, THREE = np.arange(60) % 2, np.arange(60) % 3
FAR = np.concatenate([X * 100, -X, X])  # of all kinds, also none like those trained on


def classifier(**settings):
    return PrunedNeuralNetClassifier((6, 4), max_epochs=2, random_state=0, **settings)


def regressor(**settings):
    return PrunedNeuralNetRegressor((6, 4), max_epochs=2, random_state=0, **settings)


CASES = {
    "integers": (np.full(60, 7), None, {}, 7),
    "text": (np.full(60, "only"), None, {}, "only"),
    "bool": (np.ones(60, dtype=bool), None, {}, True),
    "floats": (np.full(60, -1.0), None, {}, -1.0),
    "one of two has weight": (TWO, TWO == 1, {}, 1),
    "the other of two": (TWO, TWO == 0, {}, 0),
    "one of three has weight": (THREE, THREE == 1, {}, 1),
    "one class has weight": (TWO, None, {"class_weight": {0: 0, 1: 2}}, 1),
    "one class of three": (THREE, None, {"class_weight": {0: 0, 1: 0, 2: 1}}, 2),
    "held back rows": (np.full(60, 7), None, {"early_stopping": True}, 7),
    "whole neurons pruned": (np.full(60, 7), None, {"pruning_criterion": "neuron_l2"}, 7),
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    y, weight, settings, label = CASES[request.param]
    weight = None if weight is None else weight.astype(float)
    return classifier(**settings).fit(X, y, sample_weight=weight), y, label


def assert_certain(classes, label, predicted, probability):
    assert list(predicted) == [label] * len(predicted)
    assert probability.shape == (len(predicted), len(classes))
    expected = (np.asarray(classes) == label).astype(float)
    np.testing.assert_allclose(probability, np.tile(expected, (len(predicted), 1)), atol=1e-20)


def test_the_label_is_certain(case):
    model, y, label = case
    np.testing.assert_array_equal(model.classes_, np.unique(y))
    assert_certain(model.classes_, label, model.predict(FAR), model.predict_proba(FAR))
    assert np.isfinite(model.predict_log_proba(FAR)).all()
    assert np.ptp(model.decision_function(FAR), axis=0).max() == 0
    assert model.score(X, np.full(60, label)) == 1
    assert model.n_outputs_ == (1 if len(model.classes_) < 3 else 3)
    restored = pickle.loads(pickle.dumps(model))
    assert_certain(model.classes_, label, restored.predict(FAR), restored.predict_proba(FAR))


def test_registers_and_reports(case):
    model, _, label = case
    for mode in ("wrap", "saturate", "raise"):
        result = model.simulate(FAR, mode=mode)
        assert list(result.predictions) == [label] * len(FAR) and result.overflow_rate == 0
    narrow = model.simulate(FAR, n_accum_bits=1)
    assert list(narrow.predictions) == [label] * len(FAR)
    assert max(model.accumulator_report(X).to_dict()["proven_bits"]) <= 8
    assert "Proven for every input" in repr(model.accumulator_report())


def test_files(case, tmp_path):
    model, _, label = case
    path = tmp_path / "net.npz"
    model.integer_network_.save(path)
    network = IntegerNetwork.load(path)
    assert list(network.predict(FAR)) == [label] * len(FAR)
    np.testing.assert_array_equal(network.decision(FAR), model.integer_network_.decision(FAR))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_onnx(case, dtype):
    runtime = pytest.importorskip("onnxruntime")
    model, _, label = case
    session = runtime.InferenceSession(to_onnx(model, dtype=dtype).SerializeToString())
    labels, probability = session.run(None, {"X": FAR.astype(dtype)})
    assert_certain(model.classes_, label, labels, probability)
    for form in ("MultiThreshold", "Quant"):
        assert to_qonnx(model, thresholds_as=form).graph.node


@pytest.mark.parametrize("options", [{}, {"raw_scores": True}])
def test_onnx_of_a_pipeline(options):
    skl2onnx = pytest.importorskip("skl2onnx")
    runtime = pytest.importorskip("onnxruntime")
    register_skl2onnx()
    table = FAR.astype(np.float32)
    pipeline = make_pipeline(StandardScaler(), classifier()).fit(table, np.full(180, 7))
    options = {id(pipeline[-1]): {"zipmap": False, **options}}
    proto = skl2onnx.to_onnx(pipeline, table[:1], options=options)
    labels, scores = runtime.InferenceSession(proto.SerializeToString()).run(None, {"X": table})
    assert scores.shape == (180, 1) and list(labels) == [7] * 180


MAIN = """
#include <stdio.h>
#include "net.h"
int main(void) {{
    static const double x[{n}][3] = {{{rows}}};
    for (int i = 0; i < {n}; i++) printf("%d\\n", net_predict(x[i]));
    return 0;
}}
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_c(case, tmp_path):
    model, _, label = case
    to_c(model, tmp_path / "net.h", input="double", prefix="net")
    rows = ", ".join("{" + ", ".join(map(repr, row)) + "}" for row in FAR.tolist())
    (tmp_path / "main.c").write_text(MAIN.format(n=len(FAR), rows=rows))
    command = ["gcc", "-std=c99", "-Wall", "-Werror", "-fsanitize=undefined,address", "main.c"]
    subprocess.run([*command, "-o", "main"], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True)
    index = model.classes_.tolist().index(label)
    assert done.stdout.split() == [str(index)] * len(FAR)


def test_the_float_twin():
    for y, weight, settings, label in CASES.values():
        weight = None if weight is None else weight.astype(float)
        twin = classifier(**settings).float_twin().fit(X, y, sample_weight=weight)
        assert_certain(twin.classes_, label, twin.predict(FAR), twin.predict_proba(FAR))


def test_one_row():
    assert list(classifier().fit(X[:1], ["a"]).predict(FAR)) == ["a"] * len(FAR)


def test_training_goes_on():
    y = np.full(60, 7)
    model = classifier(warm_start=True).fit(X, y).fit(X, y).prune(X, y, n_accum_bits=6)
    assert_certain([7], 7, model.predict(FAR), model.predict_proba(FAR))
    curve = model.narrow_accumulator(X, y, max_epochs=1)
    assert set(curve.score) == {1.0} and list(model.predict(FAR)) == [7] * len(FAR)
    single = classifier().partial_fit(X, y, classes=[7]).partial_fit(X, y)
    assert_certain([7], 7, single.predict(FAR), single.predict_proba(FAR))


def test_batches_of_one_label_are_no_certainty():
    model = classifier().partial_fit(X[TWO == 0], TWO[TWO == 0], classes=[0, 1])
    assert np.ptp(model.decision_function(FAR)) > 0
    # What was certain learns from others.
    certain = classifier().fit(X, TWO, sample_weight=TWO.astype(float))
    assert np.ptp(certain.decision_function(FAR)) == 0
    assert np.ptp(certain.partial_fit(X, TWO).decision_function(FAR)) > 0


@pytest.mark.parametrize("y", [TWO, THREE])
def test_bags_of_one_label(y):
    bags = BaggingClassifier(classifier(), n_estimators=12, max_samples=2, random_state=0)
    bags.fit(X, y)
    kinds = set()
    for bag, rows in zip(bags.estimators_, bags.estimators_samples_, strict=True):
        labels = set(y[rows].tolist())
        kinds.add(len(labels))
        if len(labels) == 1:
            assert set(bag.predict(FAR)) == labels
    assert 1 in kinds
    probability = bags.predict_proba(FAR)
    assert probability.shape == (180, len(set(y)))
    np.testing.assert_allclose(probability.sum(axis=1), 1)


def test_other_meta_estimators():
    y = np.full(60, 7)
    assert cross_val_score(classifier(), X, y, cv=2).tolist() == [1.0, 1.0]
    calibrated = CalibratedClassifierCV(classifier().fit(X, TWO), cv=2)
    assert calibrated.fit(X, TWO).predict_proba(X).shape == (60, 2)
    assert clone(classifier().fit(X, y)).fit(X, TWO).classes_.tolist() == [0, 1]


def test_a_network_of_one_class_has_no_choice(tiny_network):
    network = tiny_network(np.random.default_rng(0), classes=np.array([7]))
    with pytest.raises(ValueError, match="its only class has a logit that may be positive"):
        to_c(network)


# --------------------------------------------- labels while training goes on


@pytest.mark.parametrize("method", ["fit", "prune"])
def test_labels_that_are_missing_now(method):
    model = classifier(warm_start=True).fit(X, np.array(["a", "b", "c"])[THREE])
    before = model.predict_proba(X)
    model.set_params(callbacks=[NoTraining()])
    for kept, lacking in ((THREE > 0, r"\['a'\]"), (THREE == 1, r"\['a', 'c'\]")):
        with pytest.raises(ValueError, match=f"y lacks the labels {lacking} of the last training"):
            getattr(model, method)(X[kept], np.array(["a", "b", "c"])[THREE[kept]])
    np.testing.assert_array_equal(model.predict_proba(X), before)
    model.set_params(callbacks=None).partial_fit(X[:1], ["a"])  # may come in any batch
    # As in scikit-learn, whose labels may come without weight.
    getattr(model, method)(
        X, np.array(["a", "b", "c"])[THREE], sample_weight=(THREE > 0).astype(float)
    )


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("make", [classifier, regressor])
def test_partial_fit_does_not_stop_early(make, fitted):
    classes = {"classes": [0, 1]} if make is classifier else {}
    model = make(early_stopping=True)
    if fitted:
        model.fit(X, TWO)
    model.set_params(callbacks=[NoTraining()])
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        model.partial_fit(X, TWO, **classes)
    model.set_params(early_stopping=False, callbacks=None).partial_fit(X, TWO, **classes)

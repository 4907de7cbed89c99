"""Sample weights and class weights."""

import numpy as np
import pytest
from samples import X, Y, assert_same_network, classifier, differ, regressor


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

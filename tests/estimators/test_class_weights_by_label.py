"""Keys of `class_weight` are labels, of whatever type."""

import numpy as np
import pytest

from qnnprune import PrunedNeuralNetClassifier

X = np.random.default_rng(0).normal(size=(60, 3))
INDEX = (X[:, 0] > 0).astype(int)

LABELS = {
    "digits in text": (["1", "2"], ["1", "2"]),
    "digits in text as objects": (np.array(["1", "2"], dtype=object), ["1", "2"]),
    "numpy text keys": (["1", "2"], np.array(["1", "2"])),
    "text": (["a", "b"], ["a", "b"]),
    "text of floats": (["0.5", "1e3"], ["0.5", "1e3"]),
    "integers": ([3, 7], [3, 7]),
    "small integers": (np.array([3, 7], dtype=np.int8), [3, 7]),
    "numpy integer keys": ([3, 7], np.array([3, 7], dtype=np.uint8)),
    "negative": ([-1, 1], [-1, 1]),
    "floats": ([3.0, 7.0], [3, 7]),
    "bool": ([False, True], [False, True]),
    "bool by integers": ([False, True], [0, 1]),
}


def fitted(labels, class_weight):
    net = PrunedNeuralNetClassifier((4,), max_epochs=2, random_state=0, class_weight=class_weight)
    return net.fit(X, np.asarray(labels)[INDEX])


@pytest.mark.parametrize("name", LABELS)
def test_any_label_is_a_key(name):
    labels, keys = LABELS[name]
    plain, even = fitted([0, 1], {0: 1, 1: 5}), fitted([0, 1], None)
    model = fitted(labels, dict(zip(keys, [1, 5], strict=True)))
    np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
    assert (model.predict_proba(X) != even.predict_proba(X)).any()
    # What is not there weighs 1; what is there too much is no matter.
    model = fitted(labels, {keys[1]: 5})
    np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
    model = fitted(labels, {**dict(zip(keys, [1, 5], strict=True)), "other": 9})
    np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))


@pytest.mark.parametrize(
    ("labels", "class_weight", "lacking"),
    [
        (["1", "2"], {1: 1, 2: 5}, r"\['1', '2'\]"),
        ([1, 2], {"1": 1, "2": 5}, r"\[1, 2\]"),
        (["a", "b"], {"a": 1, "c": 5}, r"\['b'\]"),
    ],
)
def test_keys_that_are_no_labels(labels, class_weight, lacking):
    with pytest.raises(ValueError, match=f"class_weight=.*no labels, while {lacking} have no"):
        fitted(labels, class_weight)

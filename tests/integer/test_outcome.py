"""What values of the output layer stand for: predictions, probabilities, files."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import mean_pinball_loss

from qnnprune import IntegerNetwork
from qnnprune.exceptions import InvalidNetworkFileError
from qnnprune.integer._consistency import check_network
from qnnprune.integer._outcome import decode, log_probabilities

DECISION = np.array([[0.5, -2.0, 0.0], [-1.0, 3.0, 1e-9]])


def network_of(tiny_network, outcome, classes=None, n_outputs=3):
    tiny = tiny_network(np.random.default_rng(0), n_outputs=n_outputs)
    return IntegerNetwork(
        tiny.encoding, tiny.layers, n_w_bits=3, n_accum_bits=8, classes=classes, outcome=outcome
    )


def test_predictions():
    labels = decode(DECISION, np.arange(3), "labels")
    assert labels.dtype == np.int64 and labels.tolist() == [[1, 0, 0], [0, 1, 1]]
    assert decode(DECISION, None, "quantiles").tolist() == [[-2, 0, 0.5], [-1, 1e-9, 3]]
    np.testing.assert_allclose(decode(DECISION, None, "log"), np.exp(DECISION))
    assert decode(DECISION[:, :1], None, "log").shape == (2,)
    assert decode(DECISION, None, "value") is not None
    np.testing.assert_array_equal(decode(DECISION, None), DECISION)


def test_exponentials_stay_positive_and_finite():
    ends = decode(np.array([[-1e300], [-800.0], [800.0], [np.inf]]), None, "log")
    assert (ends >= np.finfo(float).tiny).all() and np.isfinite(ends).all()


def test_probabilities_of_labels():
    found = np.exp(log_probabilities(DECISION, 3, "labels"))
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-DECISION)), rtol=1e-12)
    far = log_probabilities(np.array([[-1e4, 1e4]]), 2, "labels")
    np.testing.assert_allclose(far, [[-1e4, 0]])


@given(arrays(float, 4, elements=st.floats(-9, 9)), st.floats(-9, 9))
def test_sorting_quantiles_makes_their_pinball_losses_no_larger(values, y):
    levels = (0.05, 0.3, 0.5, 0.9)

    def total(quantiles):
        pairs = zip(quantiles, levels, strict=True)
        return sum(mean_pinball_loss([y], [value], alpha=level) for value, level in pairs)

    assert total(decode(values[None], None, "quantiles")[0]) <= total(values) + 1e-12


@pytest.mark.parametrize("outcome", ["labels", "log", "quantiles"])
def test_files_and_clones(tiny_network, outcome, tmp_path):
    network = network_of(tiny_network, outcome, np.arange(3) if outcome == "labels" else None)
    check_network(network)
    network.save(tmp_path / "net.npz")
    loaded = IntegerNetwork.load(tmp_path / "net.npz")
    X = np.random.default_rng(1).normal(size=(20, 3))
    np.testing.assert_array_equal(loaded.predict(X), network.predict(X))
    assert loaded.outcome == outcome and loaded.model_id == network.model_id
    np.testing.assert_array_equal(loaded.predict(X), loaded.decode(loaded.decision(X)))
    plain = network_of(tiny_network, None, network.classes)
    assert plain.model_id != network.model_id


def test_files_of_classes_and_values_name_no_outcome(tiny_network, tmp_path):
    for classes, outcome in ((None, "value"), (np.arange(3), "class")):
        network_of(tiny_network, None, classes).save(tmp_path / "net.npz")
        with np.load(tmp_path / "net.npz") as npz:
            assert "outcome" not in npz.files
        assert IntegerNetwork.load(tmp_path / "net.npz").outcome == outcome


@pytest.mark.parametrize(
    ("outcome", "classes", "n_outputs"),
    [
        ("labels", None, 3),
        ("labels", np.arange(2), 3),
        ("labels", np.arange(2), 1),
        ("log", np.arange(3), 3),
        ("quantiles", np.arange(3), 3),
        ("class", None, 3),
        ("something", None, 3),
    ],
)
def test_outcomes_that_fit_nothing_are_refused(tiny_network, outcome, classes, n_outputs, tmp_path):
    network = network_of(tiny_network, outcome, classes, n_outputs)
    with pytest.raises((ValueError, InvalidNetworkFileError)):
        network.save(tmp_path / "net.npz")
    with pytest.raises(ValueError, match="outcome|labels"):
        check_network(network)


def test_scores(tiny_network):
    X = np.random.default_rng(2).normal(size=(40, 3))
    labels = network_of(tiny_network, "labels", np.arange(3))
    y = labels.predict(X)
    y[:10, 1] = 1 - y[:10, 1]  # one wrong label makes a row wrong
    assert labels.score(X, y) == 0.75
    assert labels.score(X, y, np.r_[np.full(10, 3.0), np.ones(30)]) == 0.5
    quantiles = network_of(tiny_network, "quantiles")
    y = quantiles.predict(X)[:, 1]
    assert quantiles.score(X, y) < 1 and quantiles.score(X, quantiles.predict(X)) == 1


def test_scikit_learn_knows_of_several_labels(tiny_network):
    for outcome in ("labels", None):
        tags = network_of(tiny_network, outcome, np.arange(3)).__sklearn_tags__()
        assert tags.classifier_tags.multi_label == (outcome == "labels")

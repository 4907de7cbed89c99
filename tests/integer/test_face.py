"""A network beside scikit-learn: a fitted estimator, and the last step of a pipeline."""

import numpy as np
import pytest
from samples import DIABETES, classifier, regressor
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.validation import check_is_fitted

X, Y = load_iris(return_X_y=True, as_frame=True)
BINARY = (Y > 0).map({False: "no", True: "yes"})


@pytest.fixture(scope="module", params=["three classes", "two classes", "one class"])
def model(request):
    y = {"three classes": Y, "two classes": BINARY, "one class": ["x"] * 150}[request.param]
    return classifier().fit(X, y)


def test_probabilities_are_those_of_the_estimator(model):
    network = model.integer_network_
    for name in ("predict", "predict_proba", "predict_log_proba", "decision_function", "decision"):
        expected = getattr(model, "decision_function" if name == "decision" else name)(X)
        found = getattr(network, name)(X)
        np.testing.assert_array_equal(found.reshape(expected.shape), expected)
    probabilities = network.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert probabilities.shape == (150, len(model.classes_))


def test_a_fitted_estimator_that_stays_as_it_is(model):
    network = model.integer_network_
    assert is_classifier(network) and not is_regressor(network)
    check_is_fitted(network)
    assert clone(network) is network
    assert network.fit(X[:3], None) is network
    assert network.get_params() == {}
    assert network.set_params() is network
    with pytest.raises(ValueError, match="no parameters, so .*'depth'"):
        network.set_params(depth=3)
    np.testing.assert_array_equal(network.classes_, model.classes_)
    np.testing.assert_array_equal(network.feature_names_in_, model.feature_names_in_)
    assert network.n_features_in_ == 4


def test_the_last_step_of_a_pipeline():
    model = make_pipeline(StandardScaler(), classifier()).fit(X.to_numpy(), BINARY)
    network = model[-1].integer_network_
    pipeline = make_pipeline(model[0], network)
    check_is_fitted(pipeline)
    np.testing.assert_array_equal(pipeline.predict(X.to_numpy()), model.predict(X.to_numpy()))
    np.testing.assert_array_equal(
        pipeline.predict_proba(X.to_numpy()), model.predict_proba(X.to_numpy())
    )
    np.testing.assert_array_equal(pipeline.classes_, ["no", "yes"])
    unfitted = make_pipeline(FunctionTransformer(), network).fit(X.to_numpy())
    np.testing.assert_array_equal(unfitted.predict(X.to_numpy()), network.predict(X.to_numpy()))


def test_scores_are_those_of_scikit_learn():
    weight = np.random.default_rng(0).random(150)
    network = classifier().fit(X, Y).integer_network_
    predicted = network.predict(X)
    assert network.score(X, Y) == accuracy_score(Y, predicted)
    assert network.score(X, Y, weight) == pytest.approx(
        accuracy_score(Y, predicted, sample_weight=weight)
    )
    assert len(cross_val_score(network, X, Y, cv=3)) == 3
    for y in (DIABETES[1], np.c_[DIABETES[1], -(DIABETES[1] ** 2)]):
        network = regressor().fit(DIABETES[0], y).integer_network_
        predicted = network.predict(DIABETES[0])
        assert network.score(DIABETES[0], y) == pytest.approx(r2_score(y, predicted))


def test_a_regressor_has_no_classes():
    network = regressor().fit(*DIABETES).integer_network_
    assert is_regressor(network) and not is_classifier(network)
    assert not hasattr(network, "classes_") and not hasattr(network, "feature_names_in_")
    with pytest.raises(ValueError, match="regressor and has no classes"):
        network.predict_proba(DIABETES[0])


def test_a_report_of_the_network_alone(model):
    network = model.integer_network_
    report, full = network.accumulator_report(X), model.accumulator_report(X)
    for name in ("omega", "nonzeros_max", "proven_bits", "observed_bits", "overflows"):
        assert report.to_dict()[name] == full.to_dict()[name]
    assert "Proven for every input" in report.summary


def test_the_id_is_that_of_the_contents(tmp_path):
    first, second = (classifier(random_state=seed).fit(X, Y).integer_network_ for seed in (0, 1))
    assert first.model_id != second.model_id
    first.save(tmp_path / "n.npz")
    loaded = type(first).load(tmp_path / "n.npz")
    assert loaded.model_id == first.model_id and len(loaded.model_id) == 64
    with np.load(tmp_path / "n.npz") as file:
        assert file["model_id"] == first.model_id

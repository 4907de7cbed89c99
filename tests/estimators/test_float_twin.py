"""The float twins."""

import pickle

import numpy as np
import pytest
from samples import X, Y, classifier, regressor
from sklearn.base import is_classifier
from sklearn.exceptions import NotFittedError


@pytest.mark.parametrize("make", [classifier, regressor])
def test_float_twin(make):
    model = make((16,), max_epochs=30, n_w_bits=3)
    twin = model.float_twin()
    assert is_classifier(twin) == is_classifier(model)
    assert twin.get_params() == model.get_params() and not hasattr(twin, "n_features_in_")
    twin.fit(X, Y)
    assert twin.score(X, Y) > 0.8
    assert not hasattr(twin, "integer_network_")
    weight = twin.module_.hidden[0].linear.weight.detach().numpy()
    assert len(np.unique(weight)) == weight.size, "neither quantized nor pruned"
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(twin)).predict(X), twin.predict(X))
    for name in ("simulate", "accumulator_report", "prune", "narrow_accumulator", "float_twin"):
        assert hasattr(model, name) and not hasattr(twin, name)


def test_float_twin_has_no_limits():
    # What an accumulator cannot hold is nothing to a float network.
    model = classifier(n_accum_bits=2, n_a_bits=8)
    with pytest.raises(ValueError):
        model.fit(X, Y)
    model.float_twin().fit(X, Y)


def test_float_twin_of_a_fitted_estimator_is_unfitted(fitted):
    twin = fitted.float_twin()
    with pytest.raises(NotFittedError):
        twin.predict(X)

"""scikit-learn's own checks, without expected failures."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor

_SMALL = {"hidden_layer_sizes": (32,), "max_epochs": 12}
_ESTIMATORS = [PrunedNeuralNetClassifier(**_SMALL), PrunedNeuralNetRegressor(**_SMALL)]


# scikit-learn skips one check unless SCIPY_ARRAY_API is set, and says so by a warning.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(_ESTIMATORS)
def test_sklearn_checks(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.slow
@parametrize_with_checks([e.float_twin() for e in _ESTIMATORS])
def test_sklearn_checks_of_float_twins(estimator, check):
    check(estimator)

"""scikit-learn's own checks, without expected failures."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor

_SMALL = {"hidden_layer_sizes": (32,), "max_epochs": 20}
_CLASSIFIER, _REGRESSOR = PrunedNeuralNetClassifier(**_SMALL), PrunedNeuralNetRegressor(**_SMALL)
_SUMS = {"n_output_sums": 2, "n_a_bits": 1, "activation": "relu"}
_OTHERS = [
    _REGRESSOR,
    _CLASSIFIER.float_twin(),
    _REGRESSOR.float_twin(),
    PrunedNeuralNetClassifier(**_SMALL, **_SUMS),
    PrunedNeuralNetRegressor(**_SMALL, **_SUMS),
]


# scikit-learn skips one check unless SCIPY_ARRAY_API is set, and says so by a warning.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([_CLASSIFIER])
def test_sklearn_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(_OTHERS)
def test_sklearn_checks_of_the_others(estimator, check):
    check(estimator)

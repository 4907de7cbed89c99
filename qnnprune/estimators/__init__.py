"""The scikit-learn face: the two estimators."""

from ._classifier import PrunedNeuralNetClassifier
from ._narrowing import NarrowingCurve
from ._regressor import PrunedNeuralNetRegressor

__all__ = ["NarrowingCurve", "PrunedNeuralNetClassifier", "PrunedNeuralNetRegressor"]

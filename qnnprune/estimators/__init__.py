"""The scikit-learn face: the two estimators, and their twins in floats."""

from ._classifier import FloatTwinClassifier, PrunedNeuralNetClassifier
from ._narrowing import NarrowingCurve
from ._regressor import FloatTwinRegressor, PrunedNeuralNetRegressor

__all__ = [
    "FloatTwinClassifier",
    "FloatTwinRegressor",
    "NarrowingCurve",
    "PrunedNeuralNetClassifier",
    "PrunedNeuralNetRegressor",
]

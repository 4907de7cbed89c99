"""The scikit-learn face: the two estimators, and their twins in floats."""

from ._classifier import PrunedNeuralNetClassifier
from ._float_twin import FloatTwinClassifier, FloatTwinRegressor
from ._narrowing import NarrowingCurve
from ._regressor import PrunedNeuralNetRegressor

__all__ = [
    "FloatTwinClassifier",
    "FloatTwinRegressor",
    "NarrowingCurve",
    "PrunedNeuralNetClassifier",
    "PrunedNeuralNetRegressor",
]

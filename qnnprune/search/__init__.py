"""Searches: for trade-offs between score and cost, on Optuna, and over a grid, as one training."""

from ._front import ParetoFront, Trial
from ._grid import PrunedNeuralNetSearchCV
from ._search import pareto_search
from ._space import SPACE

__all__ = ["SPACE", "ParetoFront", "PrunedNeuralNetSearchCV", "Trial", "pareto_search"]

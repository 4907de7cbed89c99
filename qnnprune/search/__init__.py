"""The search for trade-offs between score and cost, on Optuna."""

from ._front import ParetoFront, Trial
from ._search import pareto_search
from ._space import SPACE

__all__ = ["SPACE", "ParetoFront", "Trial", "pareto_search"]

"""Pruned neural networks in integers, with proven narrow accumulators.

Scikit-learn estimators that train with Brevitas quantization-aware training, prune
every neuron until its sum provably fits a few bits, and predict in integer arithmetic.
"""

from ._version import __version__
from .integer import IntegerGraph, IntegerNetwork

__all__ = [
    "IntegerGraph",
    "IntegerNetwork",
    "PrunedNeuralNetClassifier",
    "PrunedNeuralNetRegressor",
    "__version__",
    "prove",
    "show_versions",
]

# The estimators need scikit-learn; IntegerNetwork needs numpy alone.
_LAZY = {
    "PrunedNeuralNetClassifier": ".estimators",
    "PrunedNeuralNetRegressor": ".estimators",
    "prove": ".audit",
    "show_versions": "._show_versions",
}


def __getattr__(name):
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])

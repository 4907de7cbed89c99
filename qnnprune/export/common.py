"""What all targets share: getting the integer network, and naming a missing extra."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from ..integer import IntegerNetwork

__all__ = ["integer_network_of", "require"]


def integer_network_of(model) -> IntegerNetwork:
    """The integer network of a fitted estimator, or `model` if it is one.

    Parameters
    ----------
    model : IntegerNetwork, PrunedNeuralNetClassifier or PrunedNeuralNetRegressor

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is neither.
    """
    if isinstance(model, IntegerNetwork):
        return model
    if isinstance(getattr(model, "integer_network_", None), IntegerNetwork):
        return model.integer_network_
    if not hasattr(type(model), "accumulator_report"):
        raise TypeError(
            f"{model!r} is neither an IntegerNetwork nor a fitted qnnprune estimator. Of a "
            "pipeline, pass its last step; qnnprune.export.onnx converts whole pipelines."
        )
    from sklearn.exceptions import NotFittedError

    raise NotFittedError(f"This {type(model).__name__} is not fitted yet: call fit first.")


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency.

    Raises
    ------
    ImportError
        If it is missing; the message names the extra that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{module} is missing: pip install 'qnnprune[{extra}]' installs it."
        ) from error

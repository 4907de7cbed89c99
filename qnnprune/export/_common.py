"""What all targets share: getting the integer network, and naming a missing extra."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from ..integer import IntegerGraph, IntegerNetwork
from ..integer._folding import is_pipeline

__all__ = ["integer_network_of", "require"]


def integer_network_of(model) -> IntegerNetwork:
    """The integer network of a fitted estimator or pipeline, or `model` if it is one.

    Parameters
    ----------
    model : IntegerNetwork, PrunedNeuralNetClassifier, PrunedNeuralNetRegressor or Pipeline
        A pipeline ends in one of these; its other steps are folded into the network.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is none of these, or a float twin.
    ValueError
        If a step of a pipeline cannot be folded.
    """
    if isinstance(model, IntegerNetwork):
        return model
    if isinstance(model, IntegerGraph):
        raise TypeError(
            f"An IntegerGraph is not taken here: its operations, from '{model.operations[0].name}' on, "
            "go to to_onnx, to_qonnx, to_c, compile_fhe and encrypted_cost alone."
        )
    if isinstance(getattr(model, "integer_network_", None), IntegerNetwork):
        return model.integer_network_
    if is_pipeline(model):
        last = model
        while is_pipeline(last):
            last = last.steps[-1][1]
        integer_network_of(last)  # says what is wrong with it
        return IntegerNetwork.from_pipeline(model)
    # Exporting a loaded network needs numpy alone.
    from sklearn.exceptions import NotFittedError

    from ..estimators._float_twin import Float
    from ..estimators._prediction import IntegerPrediction

    if isinstance(model, Float):
        raise TypeError(
            f"A {type(model).__name__} has no integers to export: pass the quantized estimator."
        )
    if not isinstance(model, IntegerPrediction):
        raise TypeError(
            f"A {type(model).__name__} is neither an IntegerNetwork nor a qnnprune estimator, nor "
            "a scikit-learn pipeline that ends in one."
        )
    raise NotFittedError(f"This {type(model).__name__} is not fitted yet: call fit first.")


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency.

    Raises
    ------
    ImportError
        If that fails; the message says how to install `extra` without changing the versions
        of other packages.
    """
    try:
        return import_module(module)
    except ImportError as error:
        file, where = "constraints.txt", ""
        if extra in ("fhe", "serve"):
            file, where = "constraints-fhe.txt", " in an environment of its own (numpy below 2)"
        raise ImportError(
            f"{module} is missing ({error}): pip install -c {file} 'qnnprune[{extra}]' installs "
            f"it{where}. {file}, in qnnprune's source, holds the tested versions; without it pip "
            "may replace packages that you have."
        ) from error

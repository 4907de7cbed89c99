"""The parts of a network that takes the raw rows of a fitted pipeline.

Nothing here imports scikit-learn: a fitted pipeline is known by its ``steps``, and the estimator
at its end by its ``integer_network_``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..encoding.folding import folded
from ._layer import IntegerLayer

__all__ = ["is_pipeline", "parts_of_pipeline"]


def is_pipeline(model) -> bool:
    """Whether a model has steps, as scikit-learn's pipelines have."""
    return isinstance(getattr(model, "steps", None), list)


def parts_of_pipeline(pipeline) -> dict:
    """The arguments of an ``IntegerNetwork`` that predicts what a fitted pipeline predicts.

    Parameters
    ----------
    pipeline : sklearn.pipeline.Pipeline

    Raises
    ------
    TypeError
        If the pipeline does not end in a fitted estimator of this package.
    ValueError
        If a step cannot be folded.
    """
    if not is_pipeline(pipeline):
        raise TypeError(
            f"pipeline is a {type(pipeline).__name__}, which has no steps: pass a fitted pipeline, "
            "of a search its best_estimator_."
        )
    steps, last = _flat(pipeline)
    network = last if hasattr(last, "layers") else getattr(last, "integer_network_", None)
    if network is None:
        raise TypeError(
            f"The last step of pipeline is a {type(last).__name__}, and no fitted estimator of "
            "qnnprune: end the pipeline in one, and call fit first."
        )
    if network.encoding.is_date.any():
        raise ValueError(
            f"The last step of pipeline, a {type(last).__name__}, takes dates: they cannot be "
            "folded. Make them numbers before the pipeline."
        )
    n_features, names = _raw_columns(steps, network)
    encoding, places = folded(steps, network.encoding, n_features, names)
    first = _reading(network.layers[0], places, encoding.input_range)
    return {
        "encoding": encoding,
        "layers": [first, *network.layers[1:]],
        "n_w_bits": network.n_w_bits,
        "n_accum_bits": network.n_accum_bits,
        "classes": network.classes,
        "feature_names": names,
        "outcome": network.outcome,
    }


def _flat(pipeline, path: str = "") -> tuple[list, Any]:
    """The steps of pipelines within pipelines, and the last one of all."""
    steps = [(path + name, step) for name, step in pipeline.steps]
    (name, last), before = steps[-1], steps[:-1]
    if not is_pipeline(last):
        return before, last
    more, last = _flat(last, f"{name} > ")
    return before + more, last


def _raw_columns(steps: list, network) -> tuple[int, np.ndarray | None]:
    """Number and names of the columns that the first step was fitted on."""
    for _, step in steps:
        if hasattr(step, "n_features_in_"):
            names = getattr(step, "feature_names_in_", None)
            return step.n_features_in_, None if names is None else np.array(list(names))
    return network.n_features_in, network.feature_names


def _reading(layer: IntegerLayer, places: np.ndarray, input_range: np.ndarray) -> IntegerLayer:
    """A first layer with its inputs in another order; -1 is one that it had not, of weight 0."""
    weight = np.pad(layer.weight, ((0, 0), (0, 1)))[:, places]
    return replace(layer, weight=weight, input_range=input_range)

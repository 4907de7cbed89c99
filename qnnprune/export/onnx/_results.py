"""What an ONNX model puts out: labels and probabilities, or values."""

from __future__ import annotations

import numpy as np

from ..._utils import plain_labels
from ...integer._outcome import LOG_RANGE
from ._graph import Graph, Tensor

__all__ = [
    "add_label",
    "add_labels",
    "add_outputs",
    "add_probabilities",
    "add_values",
    "label_tensor",
]


def add_outputs(graph: Graph, classes, logits: str, shape, outcome: str) -> dict[str, Tensor]:
    """Add what scikit-learn's converters put out; return type and shape of each."""
    float32 = np.dtype(np.float32)
    if classes is None:
        values = add_values(graph, logits, outcome, shape[0])
        variable = graph.add("Cast", values, to=float32, output="variable")
        return {variable: Tensor(float32, [None, *shape])}
    labels = label_tensor(classes)
    if outcome == "labels":
        label = add_labels(graph, logits, "label")
        scores = graph.add("Sigmoid", logits)
        probabilities = graph.add("Cast", scores, to=float32, output="probabilities")
        return {
            label: Tensor(labels.dtype, [None, *shape]),
            probabilities: Tensor(float32, [None, *shape]),
        }
    binary = shape[0] < len(labels)
    label = add_label(graph, logits, labels, binary, "label")
    scores = add_probabilities(graph, logits, binary)
    probabilities = graph.add("Cast", scores, to=float32, output="probabilities")
    return {
        label: Tensor(labels.dtype, [None]),
        probabilities: Tensor(float32, [None, len(labels)]),
    }


def add_values(graph: Graph, logits: str, outcome: str, n_values: int) -> str:
    """Predicted values from those of the output layer."""
    if outcome == "log":
        return graph.add("Exp", graph.add("Clip", logits, *map(np.float64, LOG_RANGE)))
    if outcome == "quantiles":
        return graph.add("TopK", logits, np.array([n_values]), n_unread=1, axis=1, largest=0)
    return logits


def add_labels(graph: Graph, logits: str, output: str) -> str:
    """1 for every label whose logit is positive, else 0."""
    return graph.add("Cast", _is_positive(graph, logits), to=np.dtype(np.int64), output=output)


def _is_positive(graph: Graph, logits: str) -> str:
    return graph.add("Greater", logits, np.float64(0))


def label_tensor(classes) -> np.ndarray:
    """Labels as ONNX has them: int64, or str in an object array."""
    labels = plain_labels(classes)
    if labels is not None and labels.dtype.kind == "U":
        return labels.astype(object)
    if labels is None or not _are_whole(labels):
        raise ValueError(
            f"The labels {list(classes)[:5]} are neither whole numbers of at most 64 bits nor strings, "
            "and ONNX models have no others: fit on such labels, for example y.astype(str)."
        )
    return labels.astype(np.int64)


def _are_whole(labels: np.ndarray) -> bool:
    """Whether all are integers that int64 holds; the bounds are exact in Python's integers."""
    values = labels.tolist()
    whole = labels.dtype.kind != "f" or all(value.is_integer() for value in values)
    return whole and min(values) >= -(2**63) and max(values) < 2**63


def add_label(graph: Graph, logits: str, labels: np.ndarray, binary: bool, output: str) -> str:
    if binary:
        positive = graph.add("Squeeze", _is_positive(graph, logits), np.array([1]))
        index = graph.add("Cast", positive, to=np.dtype(np.int64))
    else:
        index = graph.add("ArgMax", logits, axis=1, keepdims=0)
    return graph.add("Gather", labels, index, output=output)


def add_probabilities(graph: Graph, logits: str, binary: bool) -> str:
    """Softmax in float64; the first of two classes has the logit 0, as in ``predict_proba``."""
    if binary:
        logits = graph.add("Pad", logits, np.array([0, 1, 0, 0]), np.float64(0))
    return graph.add("Softmax", logits, axis=1)

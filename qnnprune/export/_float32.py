"""Integers that float32 holds: what a target that computes in it can carry."""

from __future__ import annotations

import numpy as np

from ..integer import IntegerGraph
from ..integer._operations import Add, Operation, Sums

__all__ = ["LARGEST_FLOAT32_INTEGER", "check_sums_of_graph"]

LARGEST_FLOAT32_INTEGER = 2**24  # up to here float32 holds every integer


def check_sums_of_graph(network: IntegerGraph) -> None:
    """Refuse a graph whose sums could leave the integers that float32 holds, in any order.

    Parameters
    ----------
    network : IntegerGraph

    Raises
    ------
    ValueError
        The message names the layer.
    """
    for operation in network.operations:
        largest = _largest(operation, [network.ranges[i] for i in operation.inputs])
        if largest > LARGEST_FLOAT32_INTEGER:
            raise ValueError(
                f"The sums of layer '{operation.name}' could reach {largest}, and the float32 of "
                f"ONNX and QONNX holds all integers only up to {LARGEST_FLOAT32_INTEGER}. Use "
                "narrower weights or codes."
            )


def _largest(operation: Operation, ranges) -> int:
    """A bound on all sums on the way, whatever the order of the terms; 0 where nothing is added."""
    if isinstance(operation, Add):
        parts = zip(ranges, operation.factors, strict=True)
        return int(sum(np.abs(part * factor).max() for part, factor in parts))
    if not isinstance(operation, Sums):
        return 0
    largest = np.abs(operation.input_range(ranges[0])).max(axis=2)
    weight = np.abs(operation.matrix.astype(np.int64))
    parts = weight.reshape(operation.groups, -1, weight.shape[1])
    return int(np.einsum("gow,gw->go", parts, largest).max())

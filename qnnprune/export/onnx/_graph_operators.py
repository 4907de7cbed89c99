"""An integer graph in standard ONNX operators: convolutions, pools and branches.

Integers travel as float32, which holds all of them up to 2**24: every sum is exact, in whatever
order a runtime adds up.
"""

from __future__ import annotations

import numpy as np

from ...integer import IntegerGraph
from ...integer._operations import Add, Concat, Flatten, MaxPool, Operation, Sums, Thresholds
from ...integer._windows import Window
from .._float32 import check_sums_of_graph
from ._graph import Graph
from ._operators import count_reached

__all__ = ["add_decision", "pads_of_all_axes", "per_channel", "window_attributes"]


def add_decision(graph: Graph, network: IntegerGraph, x: str) -> str:
    """Add the whole network to a graph.

    Parameters
    ----------
    graph : Graph
    network : IntegerGraph
    x : str
        Name of the inputs, float32 of shape (n_rows, *network.input.shape).

    Returns
    -------
    str
        Name of the values, float64, the same bits as ``network.decision``.

    Raises
    ------
    ValueError
        If a sum of products could leave the integers that float32 holds.
    """
    check_sums_of_graph(network)
    names = [_add_codes(graph, network, x)]
    for place, operation in enumerate(network.operations, start=1):
        ranges = [network.ranges[i] for i in operation.inputs]
        n_axes = len(network.shapes[place]) - 1
        names.append(_add(graph, operation, [names[i] for i in operation.inputs], ranges, n_axes))
    exact = graph.add("Cast", names[-1], to=np.dtype(np.float64))
    scale, bias = (per_channel(v, n_axes) for v in (network.scale, network.bias))
    return graph.add("Add", graph.add("Mul", exact, scale), bias)


def per_channel(values: np.ndarray, n_axes: int) -> np.ndarray:
    """(n, n_channels) or (n_channels,) values so that they meet the channels of a result."""
    return values.reshape(*values.shape, *[1] * n_axes)


def _add_codes(graph: Graph, network: IntegerGraph, x: str) -> str:
    source = network.input
    if source.thresholds is None:
        return x
    return _add_steps(graph, x, source, source.thresholds, len(source.shape) - 1)


def _add_steps(graph: Graph, value: str, steps, thresholds: np.ndarray, n_axes: int) -> str:
    """``first + slope * count`` of thresholds in float32; equal channels share theirs."""
    parts = [thresholds, steps.first[:, None], steps.slope[:, None]]
    if all((part == part[:1]).all() for part in parts):
        parts = [part[:1] for part in parts]
    thresholds, first, slope = (per_channel(part.T.astype(np.float32), n_axes) for part in parts)
    count = graph.add("Cast", count_reached(graph, value, thresholds), to=np.dtype(np.float32))
    return graph.add("Add", graph.add("Mul", count, slope[0]), first[0])


def _add(graph: Graph, operation: Operation, names, ranges, n_axes: int) -> str:
    value = names[0]
    if isinstance(operation, Sums):
        return _add_sums(graph, operation, value)
    if isinstance(operation, Thresholds):
        low, high = ranges[0].T[:, :, None]
        reachable = np.clip(operation.thresholds, low, high + 1)
        return _add_steps(graph, value, operation, reachable, n_axes)
    if isinstance(operation, MaxPool):
        return graph.add("MaxPool", value, **window_attributes(operation.window))
    if isinstance(operation, Flatten):
        return graph.add("Flatten", value, axis=1)
    if isinstance(operation, Concat):
        return graph.add("Concat", *names, axis=1)
    return _add_branches(graph, operation, names)


def _add_branches(graph: Graph, operation: Add, names) -> str:
    parts = zip(names, operation.factors, strict=True)
    scaled = [n if k == 1 else graph.add("Mul", n, np.float32(k)) for n, k in parts]
    return graph.add("Sum", *scaled)


def _add_sums(graph: Graph, operation: Sums, value: str) -> str:
    weight, window = operation.weight.astype(np.float32), operation.window
    if window is None:
        return graph.add("MatMul", value, weight.T)
    options = window_attributes(window)
    if window.is_padded and operation.outside:
        value = graph.add("Pad", value, pads_of_all_axes(window), np.float32(operation.outside))
        options["pads"] = [0] * len(options["pads"])
    return graph.add("Conv", value, weight, group=operation.groups, **options)


def pads_of_all_axes(window: Window) -> np.ndarray:
    """Of ``Pad``: rows and channels have none."""
    return np.array([0, 0, *window.padding] * 2)


def window_attributes(window: Window) -> dict:
    """Of ``Conv`` and ``MaxPool``."""
    return {
        "kernel_shape": list(window.size),
        "strides": list(window.stride),
        "pads": list(window.padding) * 2,
        "dilations": list(window.dilation),
    }

"""Whether the parts of an integer graph fit together: what its proof takes for granted."""

from __future__ import annotations

import numpy as np

from ._inputs import CodedInput
from ._operations import Add, Concat, Flatten, MaxPool, Operation, Sums, Thresholds

__all__ = ["check_ends", "check_graph"]

_LARGEST = 2**53  # up to here float64 holds all integers


def check_graph(graph) -> None:
    """Refuse a graph that contradicts itself.

    Parameters
    ----------
    graph : IntegerGraph

    Raises
    ------
    ValueError
        If an operation reads what comes later, shapes or numbers of channels do not match,
        thresholds are not ascending, a sum may leave float64, or the output is not finite.
    """
    _check_input(graph.input)
    _require(graph.operations, "it has no operations")
    names = [o.name for o in graph.operations if isinstance(o, (Sums, Add))]
    _require(len(names) == len(set(names)), f"layers of sums share names: {sorted(names)}")
    for place, operation in enumerate(graph.operations, start=1):
        _require(operation.inputs, f"'{operation.name}' reads nothing")
        _require(all(0 <= i < place for i in operation.inputs), f"'{operation.name}' reads ahead")
    shapes = [graph.input.shape]
    for operation in graph.operations:
        incoming = [shapes[i] for i in operation.inputs]
        _check_operation(operation, incoming)
        shapes.append(operation.shape(incoming))
        _require(all(n > 0 for n in shapes[-1]), f"'{operation.name}' puts out nothing")
    _check_ranges(graph)
    _check_output(graph, shapes[-1])


def check_ends(ends, shape: tuple[int, ...]) -> None:
    """Refuse an input and an output that contradict themselves.

    Parameters
    ----------
    ends : IntegerGraph, or anything else with input, scale, bias and classes
    shape : tuple of int
        Of one row of the output.

    Raises
    ------
    ValueError
    """
    _check_input(ends.input)
    _check_output(ends, shape)


def _require(condition, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)


def _check_input(source: CodedInput) -> None:
    shape = source.shape
    _require(1 <= len(shape) <= 3 and all(n > 0 for n in shape), f"input has shape {shape}")
    right = source.range.shape == (shape[0], 2) and (source.range[:, 0] <= source.range[:, 1]).all()
    _require(right, f"input.range is not one range for each of {shape[0]} channels")
    if source.thresholds is not None:
        _check_steps("input", source, shape[0])


def _check_steps(where: str, steps, n_channels: int) -> None:
    thresholds = steps.thresholds
    right = (
        thresholds.ndim == 2 and len(thresholds) == n_channels and 1 <= thresholds.shape[1] <= 255
    )
    _require(right, f"{where}: thresholds has shape {thresholds.shape} for {n_channels} channels")
    _require((thresholds[:, 1:] >= thresholds[:, :-1]).all(), f"{where}: thresholds not ascending")
    for name in ("first", "slope"):
        value = getattr(steps, name)
        right = value.shape == (n_channels,) and np.abs(value).max() <= 2**14
        _require(right, f"{where}: {name} is not {n_channels} codes")
    far = steps.first + steps.slope * thresholds.shape[1]
    _require(np.abs(far).max() < 2**15, f"{where}: codes leave int16")


def _check_operation(operation: Operation, incoming: list) -> None:
    where, shape = f"'{operation.name}'", incoming[0]
    if isinstance(operation, Sums):
        _check_sums(where, operation, shape)
    elif isinstance(operation, Thresholds):
        _check_steps(where, operation, shape[0])
    elif isinstance(operation, MaxPool):
        _check_window(where, operation.window, shape)
        half = zip(operation.window.padding, operation.window.spans, strict=True)
        _require(all(p < span for p, span in half), f"{where} has windows outside its input")
    elif isinstance(operation, Add):
        right = len(operation.factors) == len(incoming) and len(set(incoming)) == 1
        _require(right, f"{where} adds up values of shapes {incoming}")
    elif isinstance(operation, Concat):
        _require(len({s[1:] for s in incoming}) == 1, f"{where} puts shapes {incoming} together")
    else:
        _require(isinstance(operation, Flatten), f"{where} is no known operation")


def _check_sums(where: str, operation: Sums, shape: tuple) -> None:
    weight, groups = operation.weight, operation.groups
    _require(weight.dtype.kind == "i" and weight.size, f"{where}: weight has dtype {weight.dtype}")
    right = groups >= 1 and shape[0] == weight.shape[1] * groups and len(weight) % groups == 0
    _require(right, f"{where}: weight has shape {weight.shape}, but {shape[0]} channels come in")
    if operation.window is None:
        _require(weight.ndim == 2 and len(shape) == 1 and groups == 1, f"{where} is not linear")
    else:
        _check_window(where, operation.window, shape)
        right = operation.window.size == weight.shape[2:]
        _require(right, f"{where}: its window has size {operation.window.size}")


def _check_window(where: str, window, shape: tuple) -> None:
    sides = (window.size, window.stride, window.dilation)
    right = all(len(side) == len(shape) - 1 and min(side) >= 1 for side in sides)
    right &= len(window.padding) == len(shape) - 1 and min(window.padding, default=0) >= 0
    _require(len(shape) > 1 and right, f"{where}: a window of size {window.size} on shape {shape}")


def _check_ranges(graph) -> None:
    for operation, codes in zip(graph.operations, graph.ranges[1:], strict=True):
        _require(np.abs(codes).max() < _LARGEST, f"'{operation.name}' can leave 53 bits")


def _check_output(graph, shape: tuple) -> None:
    for name in ("scale", "bias"):
        value = getattr(graph, name)
        right = value.shape == (shape[0],) and np.isfinite(value).all()
        _require(right, f"{name} is not {shape[0]} finite numbers")
    if graph.classes is not None:
        right = len(shape) == 1 and len(graph.classes) in (max(shape[0], 2), shape[0])
        _require(right, f"classes {graph.classes!r} do not fit outputs of shape {shape}")

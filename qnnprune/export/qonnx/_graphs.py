"""An integer graph in QONNX's operators: convolutions, pools and branches."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from ...integer import IntegerGraph
from ...integer._operations import Add, Concat, Flatten, MaxPool, Operation, Sums, Thresholds
from .._float32 import check_sums_of_graph
from ..onnx._graph_operators import pads_of_all_axes, per_channel, window_attributes
from ._forms import Form, integer_type

__all__ = ["add_graph"]

_PREFIXES = {
    Sums: "accumulator",
    Thresholds: "codes",
    MaxPool: "maxima",
    Flatten: "flat",
    Add: "accumulator",
    Concat: "joined",
}


def add_graph(form: Form, network: IntegerGraph) -> None:
    """Add the whole network to a form.

    Raises
    ------
    ValueError
        If a sum could leave the integers that float32 holds; the message names the layer.
    """
    check_sums_of_graph(network)
    ends = int(network.input.range[:, 0].min()), int(network.input.range[:, 1].max())
    walk = _Walk(form, network, [form.add_input(network.input.shape, *ends)])
    for place, operation in enumerate(network.operations, start=1):
        walk.names.append(walk.add(place, operation))
    form.add_affine(walk.names[-1], network.scale, network.bias, network.shapes[-1])


class _Walk:
    """Operations of a network, one after the other; `names` are those of the values so far."""

    def __init__(self, form: Form, network: IntegerGraph, names: list[str]):
        self.form, self.network, self.names = form, network, names

    def add(self, place: int, operation: Operation) -> str:
        """The name of the result."""
        values = [self.names[i] for i in operation.inputs]
        shape, kind = self.network.shapes[place], _type_of(self.network.ranges[place])
        label = re.sub(r"\W", "_", operation.name)
        name = f"{_PREFIXES[type(operation)]}_{label}"
        if isinstance(operation, Sums):
            return self._add_sums(operation, values[0], (f"weight_{label}", name), shape, kind)
        if isinstance(operation, Thresholds):
            return self._add_codes(operation, values[0], (label, name), shape)
        if isinstance(operation, Add):
            return self._add_branches(operation, values, name, shape)
        if isinstance(operation, MaxPool):
            window = window_attributes(operation.window)
            return self.form.add_arranged("MaxPool", values, shape, name, kind, **window)
        op = "Flatten" if isinstance(operation, Flatten) else "Concat"
        return self.form.add_arranged(op, values, shape, name, kind, axis=1)

    def _add_sums(self, operation: Sums, codes: str, names, shape, kind: str) -> str:
        largest = int(np.abs(operation.weight.astype(np.int64)).max())
        n_w_bits = max(2, largest.bit_length() + 1)
        window = operation.window
        if window is None:
            return self.form.add_product(codes, operation.weight, n_w_bits, names, kind)
        if window.is_padded and operation.outside:
            codes = self._add_border(operation, codes, f"padded_{names[1]}")
            window = replace(window, padding=(0,) * len(window.size))
        weight, groups = operation.weight, operation.groups
        return self.form.add_convolution(
            codes, weight, window, groups, n_w_bits, names, shape, kind
        )

    def _add_border(self, operation: Sums, codes: str, name: str) -> str:
        """Codes within a border of the code of 0, where that is another number."""
        source = operation.inputs[0]
        n_channels, *axes = self.network.shapes[source]
        axes = [n + 2 * p for n, p in zip(axes, operation.window.padding, strict=True)]
        kind = _type_of(np.vstack([self.network.ranges[source], [[operation.outside] * 2]]))
        operands = [codes, pads_of_all_axes(operation.window), np.float32(operation.outside)]
        return self.form.add_arranged("Pad", operands, (n_channels, *axes), name, kind)

    def _add_codes(self, operation: Thresholds, value: str, names, shape) -> str:
        low, high = self.network.ranges[operation.inputs[0]].T[:, :, None]
        thresholds = np.clip(operation.thresholds, low, high + 1)
        first, slope = operation.first, operation.slope
        if (slope == 1).all() and (first == first[0]).all():
            return self.form.add_codes(value, thresholds, int(first[0]), shape, names)
        label, name = names
        count = self.form.add_codes(value, thresholds, 0, shape, (label, f"count_{label}"))
        first, slope = (per_channel(v, len(shape) - 1) for v in (first, slope))
        ends = np.stack([0 * slope, slope * thresholds.shape[1]])
        slope = self.form.constant(f"slope_{label}", slope, _type_of(slope))
        kind = _type_of(ends)
        stepped = self.form.add("Mul", count, slope, shape, f"stepped_{label}", kind)
        kind = _type_of(ends + first)
        first = self.form.constant(f"first_{label}", first, _type_of(first))
        return self.form.add("Add", stepped, first, shape, name, kind)

    def _add_branches(self, operation: Add, values, name: str, shape) -> str:
        """Branches added up, one after the other."""
        total, ends = self._branch(operation, 0, values[0], name)
        for k, value in enumerate(values[1:], start=1):
            part, more = self._branch(operation, k, value, name)
            ends = ends + more
            label = name if k == len(values) - 1 else f"part_{name}"
            total = self.form.add("Add", total, part, shape, label, _type_of(ends))
        return total

    def _branch(self, operation: Add, k: int, value: str, name: str) -> tuple[str, np.ndarray]:
        """A branch times its factor, and the range of that per channel."""
        source, factor = operation.inputs[k], operation.factors[k]
        ends = np.sort(self.network.ranges[source] * factor, axis=1)
        if factor == 1:
            return value, ends
        constant = self.form.constant(f"factor_{name}", factor, _type_of(np.array([factor])))
        shape, label = self.network.shapes[source], f"times_{name}"
        return self.form.add("Mul", value, constant, shape, label, _type_of(ends)), ends


def _type_of(integers: np.ndarray) -> str:
    """The narrowest type that holds some integers."""
    return integer_type(int(integers.min()), int(integers.max()))

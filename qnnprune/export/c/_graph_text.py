"""The header of an integer graph as it grows: tables, functions, and the types of values."""

from __future__ import annotations

import numpy as np

from ...integer import IntegerGraph
from ...integer._operations import Sums
from ._source import c_type
from ._tables import narrowest

__all__ = ["GraphText"]

_LINE = 24  # numbers per line of a table


class GraphText:
    """The header of a graph as it grows.

    Attributes
    ----------
    flash_bytes, ram_bytes : int
        Bytes of tables, and of buffers on the stack.
    """

    def __init__(self, network: IntegerGraph, prefix: str):
        self.network, self.p = network, prefix
        self.parts: list[str] = []
        self.flash_bytes = self.ram_bytes = 0
        self.types = [self._type_of(place) for place in range(len(network.shapes))]

    def _type_of(self, place: int) -> np.dtype:
        """Of the values of a place; that of a sum holds all parts of it too."""
        ranges = self.network.ranges[place]
        if place and isinstance(operation := self.network.operations[place - 1], Sums):
            ranges = _with_parts(operation, self.network.ranges[operation.inputs[0]])
        dtype = narrowest(ranges, signed=True)
        if dtype.itemsize > 4:
            name = self.network.operations[place - 1].name
            raise ValueError(f"Sums of layer '{name}' can leave int32_t: use narrower codes.")
        return dtype

    def table(self, name: str, values: np.ndarray, dtype) -> str:
        """A constant array; return its name."""
        dtype, flat = np.dtype(dtype), np.asarray(values).ravel()
        self.flash_bytes += dtype.itemsize * flat.size
        texts = [_literal(value) for value in flat.astype(dtype).tolist()]
        suffix = "f" if dtype == np.float32 else ""
        texts = [t + suffix if t[-1].isdigit() else t for t in texts]
        lines = [", ".join(texts[i : i + _LINE]) for i in range(0, len(texts), _LINE)]
        body = ",\n    ".join(lines)
        name = f"{self.p}_{name}"
        self.parts.append(
            f"static const {c_type(dtype)} {name}[{flat.size}] = {{\n    {body}\n}};\n"
        )
        return name

    def function(self, name: str, takes: str, lines, comment: str, result: str = "void") -> None:
        """A function, with a comment above it."""
        head = [f"/* {comment} */", f"static inline {result} {self.p}_{name}({takes})", "{"]
        self.parts.append("\n".join([*head, *(f"    {line}" for line in lines), "}", ""]))


def _with_parts(operation: Sums, ranges: np.ndarray) -> np.ndarray:
    """Range of all partial sums, in any order."""
    parts = operation.matrix.reshape(operation.groups, -1, operation.matrix.shape[1])
    ends = parts[..., None].astype(np.int64) * operation.input_range(ranges)[:, None]
    low, high = np.minimum(ends.min(axis=3), 0).sum(2), np.maximum(ends.max(axis=3), 0).sum(2)
    return np.stack([low.ravel(), high.ravel()], axis=1)


def _literal(value) -> str:
    if isinstance(value, float):
        return "INFINITY" if value == np.inf else f"{value!r}"
    return str(value)

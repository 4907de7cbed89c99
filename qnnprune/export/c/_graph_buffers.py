"""Buffers of results, used again once nothing reads them any more."""

from __future__ import annotations

from math import prod

from ...integer import IntegerGraph
from ...integer._operations import Flatten
from ._graph_text import GraphText
from ._source import c_type

__all__ = ["Buffers"]


class Buffers:
    """Memory of results; what nothing reads any more is used again."""

    def __init__(self, text: GraphText):
        self.text, self.last = text, _last_readers(text.network)
        self.free: list[int] = []
        self.sizes: list[dict[str, int]] = []  # of each buffer, values by type
        self.of: dict[int, int] = {}

    def take(self, place: int) -> str:
        """A pointer for the result of a place."""
        slot = self.free.pop() if self.free else len(self.sizes)
        if slot == len(self.sizes):
            self.sizes.append({})
        kind, size = c_type(self.text.types[place]), prod(self.text.network.shapes[place])
        self.sizes[slot][kind] = max(size, self.sizes[slot].get(kind, 0))
        self.of[place] = slot
        return f"b{slot}.of_{kind}"

    def leave(self, place: int, sources) -> None:
        """Free what the operation of a place was the last to read."""
        done = {self.of[i] for i in sources if self.last[i] == place and i in self.of}
        self.free += sorted(done)

    def declared(self) -> list[str]:
        """One union per buffer."""
        members = (
            " ".join(f"{kind} of_{kind}[{n}];" for kind, n in sorted(sizes.items()))
            for sizes in self.sizes
        )
        return [f"union {{ {text} }} b{slot};" for slot, text in enumerate(members)]

    @property
    def n_bytes(self) -> int:
        """Of all buffers."""
        width = {"int8_t": 1, "int16_t": 2, "int32_t": 4}
        return sum(max(width[kind] * n for kind, n in sizes.items()) for sizes in self.sizes)


def _last_readers(network: IntegerGraph) -> dict[int, int]:
    """The place that reads each place last; what is read through a flattening counts."""
    last = dict.fromkeys(range(len(network.shapes)), 0)
    for place in range(len(network.operations), 0, -1):
        operation = network.operations[place - 1]
        until = last[place] if isinstance(operation, Flatten) else place
        for source in operation.inputs:
            last[source] = max(last[source], until)
    return last

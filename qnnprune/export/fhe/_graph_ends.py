"""What stays in the clear of an integer graph: inputs to codes, last integers to labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..._files import write_whole
from ...integer import IntegerGraph
from ...integer._graph_arrays import arrays_of_ends, ends_from
from ...integer._graph_checks import check_ends
from ...integer._inputs import CodedInput
from ...integer._outcome import decode, scaled
from ...integer._storage import load_parsed, pack, unpack
from ._graph_lookups import LookupGraph

__all__ = ["GraphEnds"]

_FILE = "graph.npz"


@dataclass(frozen=True, eq=False)
class GraphEnds:
    """The two ends of a graph, and nothing of what lies between them.

    Attributes
    ----------
    input : CodedInput
    scale, bias : float64 arrays of shape (n_channels,)
    constant : int64 array of shape (n_channels, ...)
        What the integers that come back lack of the graph's last ones.
    classes : array of shape (n_classes,), or None
    """

    input: CodedInput
    scale: np.ndarray
    bias: np.ndarray
    constant: np.ndarray
    classes: np.ndarray | None = None

    @property
    def n_copies(self) -> int:
        """How often codes are sent: once, as what reads them has one width."""
        return 1

    @staticmethod
    def of(graph: IntegerGraph, lookups: LookupGraph) -> GraphEnds:
        """The ends of `graph`, whose middle is `lookups`."""
        constant = np.broadcast_to(-lookups.last_offset, graph.shapes[-1])
        return GraphEnds(graph.input, graph.scale, graph.bias, constant, graph.classes)

    def codes(self, X) -> np.ndarray:
        """What is encrypted, int64 of shape (n_rows, ...)."""
        # Concrete reads some arrays of other layouts in the wrong order.
        return np.ascontiguousarray(self.input.codes(X), dtype=np.int64)

    def decision(self, sums) -> np.ndarray:
        """What the module puts out, float64 of the shape of `sums`."""
        return scaled(np.asarray(sums) + self.constant, self.scale, self.bias)

    def predictions(self, sums) -> np.ndarray:
        """What `IntegerGraph.predict` gives."""
        decision = self.decision(sums)
        return decision if self.classes is None else decode(decision, self.classes)

    def save(self, folder: Path) -> None:
        """Write ``graph.npz``."""
        arrays = arrays_of_ends(self) | {"constant": self.constant.astype("<i8")}
        write_whole(folder / _FILE, pack(arrays))

    @staticmethod
    def are_in(folder: Path) -> bool:
        """Whether `save` wrote to a folder."""
        return (folder / _FILE).exists()

    @staticmethod
    def load(folder: Path) -> GraphEnds:
        """Read what `save` wrote.

        Raises
        ------
        OSError
            If the file is missing.
        InvalidNetworkFileError
            If it is damaged.
        """
        return load_parsed(folder / _FILE, _parsed, "ends of an integer graph")


def _parsed(data: bytes) -> GraphEnds:
    arrays = unpack(data)
    n_axes = arrays["constant"].ndim
    parts = ends_from(arrays, constant=("<i8", n_axes))
    ends = GraphEnds(**parts, constant=arrays["constant"])
    check_ends(ends, ends.constant.shape)
    return ends

"""Layers as C runs them: sparse weights, the types of sums, and thresholds as narrow as can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...integer import IntegerLayer, OutputLayer
from ._tables import Comparison, SparseWeight, compare, narrowest, spaced_size, sparse_weight

__all__ = ["CHiddenLayer", "CLayer", "COutputLayer", "buffer_sizes", "c_layers"]

_MOST_SUM_BITS = 31  # and a sign: what 32-bit machines add in one step


@dataclass(frozen=True)
class CLayer:
    """One layer as C runs it.

    Attributes
    ----------
    shape : tuple of int
        (neurons, inputs).
    n_kept : int
        Weights that are not 0.
    weight : SparseWeight
    sum_range : tuple of int
        What every sum, and every part of one, lies within, inclusive: the proof.
    sum_type : numpy dtype
    """

    shape: tuple[int, int]
    n_kept: int
    weight: SparseWeight
    sum_range: tuple[int, int]
    sum_type: np.dtype

    @property
    def is_spaced(self) -> bool:
        """Whether codes lie apart."""
        return self.weight.layout == "step"

    @property
    def n_cells(self) -> int:
        """Bytes of the codes that come in, as the layer reads them."""
        return spaced_size(self.shape[1]) if self.is_spaced else self.shape[1]

    @property
    def tables(self) -> dict[str, np.ndarray]:
        """The layer's tables, by the names that C gives them."""
        if self.weight.layout == "digit":
            return {"packed": self.weight.place}
        place = "step" if self.is_spaced else "index"
        tables = {"count": self.weight.count, place: self.weight.place}
        return tables if self.weight.value is None else {**tables, "weight": self.weight.value}


@dataclass(frozen=True)
class CHiddenLayer(CLayer):
    """A hidden layer as C runs it.

    Attributes
    ----------
    thresholds : Comparison
        With shape (neurons, 2**n_bits - 1).
    """

    thresholds: Comparison

    @property
    def tables(self) -> dict[str, np.ndarray]:
        """The layer's tables, by the names that C gives them."""
        return {**super().tables, "threshold": self.thresholds.thresholds}


@dataclass(frozen=True)
class COutputLayer(CLayer):
    """The output layer as C runs it.

    Attributes
    ----------
    start : int64 array of shape (neurons,)
        What sums begin with.
    n_sums : int
        Sums that are added up to each value.
    total_range : tuple of int
        What such a total, and every part of it, lies within, inclusive.
    """

    start: np.ndarray
    n_sums: int
    total_range: tuple[int, int]

    @property
    def n_values(self) -> int:
        """Logits or target values."""
        return self.shape[0] // self.n_sums

    @property
    def total_type(self) -> np.dtype:
        """The narrowest type that holds the totals."""
        return narrowest(self.total_range)

    @property
    def tables(self) -> dict[str, np.ndarray]:
        """The layer's tables, by the names that C gives them."""
        start = {"start": self.start.astype(self.sum_type)} if self.start.any() else {}
        return {**super().tables, **start}


def c_layers(layers, constant: np.ndarray, *, packed: bool) -> list[CLayer]:
    """Layers as C runs them, the first with the inputs that it is given.

    Parameters
    ----------
    layers : sequence of HiddenLayer, and an OutputLayer at the end
        Simplified.
    constant : int64 array of shape (n_out,)
        What the output layer's sums begin with.
    packed : bool
        Whether weights may be packed, which runs slower.

    Raises
    ------
    ValueError
        If a sum needs more than 32 bits.
    """
    *hidden, output = layers
    found: list[CLayer] = []
    for index, layer in enumerate(hidden):
        ranges = layer.accumulator_range
        thresholds = compare(layer.thresholds, ranges[:, :1], ranges[:, 1:])
        found.append(CHiddenLayer(**_sums(index, layer, ranges, packed), thresholds=thresholds))
    return [*found, _output_layer(len(hidden), output, constant, packed)]


def _output_layer(index: int, output: OutputLayer, constant, packed: bool) -> COutputLayer:
    ranges = output.accumulator_range + constant[:, None]
    low, high = output.added_up(
        np.stack([ranges.min(axis=1, initial=0), ranges.max(axis=1, initial=0)])
    )
    return COutputLayer(
        **_sums(index, output, ranges, packed),
        start=constant,
        n_sums=output.n_sums,
        total_range=(int(low.min()), int(high.max())),
    )


def _sums(index: int, layer: IntegerLayer, ranges: np.ndarray, packed: bool) -> dict:
    low, high = int(ranges[:, 0].min(initial=0)), int(ranges[:, 1].max(initial=0))
    if max(-low - 1, high).bit_length() > _MOST_SUM_BITS:
        raise ValueError(
            f"Layer {index} has sums of {low} to {high}, but the C code adds in at most 32 bits: "
            "n_accum_bits=32 with accumulator_guarantee=True fits."
        )
    return {
        "shape": layer.weight.shape,
        "n_kept": int(np.count_nonzero(layer.weight)),
        "weight": sparse_weight(layer.weight, packed=packed),
        "sum_range": (low, high),
        "sum_type": narrowest([low, high]),
    }


def buffer_sizes(layers: Sequence[CLayer], *, encodes: bool) -> list[int]:
    """Bytes of the two buffers of codes that the layers take turns with; 0 for one not needed.

    Parameters
    ----------
    layers : sequence of CLayer
    encodes : bool
        False where the first layer's codes come from the caller.
    """
    sizes = [max(1, layer.n_cells) for layer in layers]  # C has no empty arrays
    sizes[0] *= encodes or layers[0].is_spaced
    return [max(sizes[::2]), max(sizes[1::2], default=0)]

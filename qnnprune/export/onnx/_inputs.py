"""What a graph takes: one matrix of numbers, or one typed column for each feature.

ONNX has no null.  A gap is NaN in a float, and an empty string in a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...encoding import InputEncoding
from ...encoding._frames import label
from ._graph import Graph, Tensor

__all__ = ["Block", "Columns", "Matrix", "gap_mark", "inputs_of"]

_LARGEST_WHOLE = 2**53  # up to here float64 holds every integer


class Block(NamedTuple):
    """Numbers of one type.

    Attributes
    ----------
    values : str
        Name of the values, of shape (n_features, n_samples): transposed, so that all rows meet
        one threshold at a time.
    features : int64 array of shape (n_features,)
    thresholds : array of shape (n_features, n_thresholds)
        Of the type of the values.
    """

    values: str
    features: np.ndarray
    thresholds: np.ndarray


class Matrix:
    """All features as one array of numbers; a category is a number too.

    Parameters
    ----------
    encoding : InputEncoding
    name : str
        Of the array, of shape (n_samples, n_features).
    dtype : numpy dtype
        Of the array: float32 or float64.
    """

    def __init__(self, encoding: InputEncoding, name: str, dtype: np.dtype):
        self.encoding, self.name, self.dtype = encoding, name, dtype

    @property
    def inputs(self) -> dict[str, Tensor]:
        """Types and shapes by name."""
        return {self.name: Tensor(self.dtype, [None, self.encoding.n_features])}

    def blocks(self, graph: Graph, features: np.ndarray) -> list[Block]:
        """The numbers, some features of which are `features`."""
        every, values = np.arange(self.encoding.n_features), graph.add("Transpose", self.name)
        return [Block(values, every, self.encoding.thresholds_for(self.dtype))]

    def column(self, graph: Graph, feature: int) -> str:
        """The values of a categorical feature: float64 of shape (n_samples, 1)."""
        if self.encoding.categories[feature].dtype.kind == "U":
            raise ValueError(
                f"Column {feature} holds text, and skl2onnx hands over numbers alone: "
                "qnnprune.export.to_onnx takes such columns."
            )
        values = graph.add("Gather", self.name, np.array([feature]), axis=1)
        return graph.add("Cast", values, to=np.dtype(np.float64))


class Columns:
    """One input for each feature, of shape (n_samples, 1), named as the feature.

    A feature that may hold anything, as no code depends on it, has none.

    Parameters
    ----------
    encoding : InputEncoding
    names : sequence of str, or None
        Of the features.
    dtype : numpy dtype
        Of numbers: float32 or float64.  Dates and categories that are numbers are float64.

    Raises
    ------
    ValueError
        If two features have one name, or categories are integers that float64 does not hold.
    """

    def __init__(self, encoding: InputEncoding, names: Sequence[str] | None, dtype: np.dtype):
        self.encoding, self.dtype = encoding, dtype
        places = range(encoding.n_features)
        given = [""] * encoding.n_features if names is None else [str(name) for name in names]
        self.names = [name or f"x{place}" for place, name in zip(places, given, strict=True)]
        twice = {name for name in self.names if self.names.count(name) > 1}
        if twice:
            raise ValueError(
                f"Several columns have the name {min(twice)!r}, and inputs of ONNX models need "
                "different ones: fit on other names."
            )
        for place, known in enumerate(encoding.categories):
            _check_whole(known, label(place, names))

    @property
    def inputs(self) -> dict[str, Tensor]:
        """Types and shapes by name."""
        taken = np.flatnonzero(~self.encoding.is_ignored).tolist()
        return {self.names[place]: Tensor(self._type(place), [None, 1]) for place in taken}

    def _type(self, feature: int) -> np.dtype:
        known = self.encoding.categories[feature]
        if known is not None and known.dtype.kind == "U":
            return np.dtype(object)
        is_number = known is None and not self.encoding.is_date[feature]
        return self.dtype if is_number else np.dtype(np.float64)

    def blocks(self, graph: Graph, features: np.ndarray) -> list[Block]:
        """The numbers and dates among `features`, those of one type together."""
        thresholds = {np.dtype(np.float64): self.encoding.thresholds, self.dtype: self._own()}
        found = []
        for dtype, rows in thresholds.items():
            chosen = np.array([f for f in features if self._type(f) == dtype], dtype=np.int64)
            if len(chosen):
                names = [self.names[feature] for feature in chosen]
                whole = graph.add("Concat", *names, axis=1) if len(names) > 1 else names[0]
                found.append(Block(graph.add("Transpose", whole), chosen, rows[chosen]))
        return found

    def _own(self) -> np.ndarray:
        """The thresholds of numbers: in a frame, blocks count as float32 only as a whole."""
        encoding = self.encoding
        thresholds = encoding.thresholds_for(self.dtype)
        if encoding.single_thresholds is None or self.dtype != np.float32:
            return thresholds
        others = [self._type(f) != np.float32 for f in range(encoding.n_features)]
        plain = InputEncoding(encoding.thresholds, encoding.n_segments, encoding.n_bits)
        doubles, mixed = plain.thresholds_for(np.float32), encoding.blocks[others]
        # A level that float64 lacks counts as the one below it.
        last = [np.searchsorted(row, row, side="right") - 1 for row in encoding.thresholds]
        singles = np.take_along_axis(thresholds, np.array(last), axis=1)
        return np.where(np.isin(encoding.blocks, mixed)[:, None], doubles, singles)

    def column(self, graph: Graph, feature: int) -> str:
        """The values of a categorical feature: text or float64, of shape (n_samples, 1)."""
        return self.names[feature]


def _check_whole(known, where: str) -> None:
    if known is None or known.dtype.kind not in "iu" or not len(known):
        return
    if max(-int(known.min()), int(known.max())) > _LARGEST_WHOLE:
        raise ValueError(
            f"{where} has categories beyond 2**53, which float64 inputs of ONNX models do not "
            "hold: make them text before fit."
        )


def gap_mark(known: np.ndarray) -> str:
    """The text that stands for a gap: the empty one, unless that is a category."""
    mark = ""
    while mark in known:
        mark = f"<{mark or 'missing'}>"
    return mark


def inputs_of(encoding: InputEncoding, names, dtype: np.dtype) -> Matrix | Columns:
    """A matrix ``X`` where all features are numbers, else a column for each."""
    has_dates = (encoding.is_date & ~encoding.is_ignored).any()
    if has_dates or any(known is not None for known in encoding.categories):
        return Columns(encoding, names, dtype)
    return Matrix(encoding, "X", dtype)

"""Sums of products of integer codes: exact ranges, widths and the inputs that reach them.

Every sum starts at 0 or at its bias, and adds its products in an order that nobody knows.  The
largest value on the way is the sum of all positive terms, so the range of *partial* sums is

    Σ max(0, w lo, w hi) + max(0, bias)        Σ min(0, w lo, w hi) + min(0, bias)

and that of the finished sum is the same without the zeros.  Both are reached by one input: each
code at the end where its product is largest (or smallest).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..accumulators import accumulator_bits

__all__ = ["Operands", "Sums"]

_EXACT = 2.0**53  # up to here float64 holds all integers


@dataclass(frozen=True, eq=False)
class Operands:
    """Ranges of the codes that enter the sums, zero point subtracted.

    Attributes
    ----------
    low, high : float64 arrays of the shape of the layer's input
        Integers, inclusive.
    zero_point : int
        What was subtracted from the stored codes.
    """

    low: np.ndarray
    high: np.ndarray
    zero_point: int = 0


@dataclass(eq=False)
class Sums:
    """All sums of one layer.

    Attributes
    ----------
    name, op : str
        Of the node or module.
    cases : tuple of Operands
        More than one where a zero point is only known within limits: its ends.
    weight : float64 array of shape (n_groups, n_terms, n_out)
        Integers, zero point subtracted.
    bias : float64 array of shape (n_groups, n_out)
        Integers that the same register holds; 0 where there are none.
    arrange : callable
        ``arrange(tensor, padding)`` puts the layer's input in the shape (batch, n_groups,
        n_positions, n_terms).
    orders : tuple of integer arrays of shape (n_terms,)
        Orders of the terms in which kernels may store them.
    weight_zero : integer array that broadcasts against `weight`
        What was subtracted from the stored weights.
    signed : bool
        Whether stored codes can be negative.
    """

    name: str
    op: str
    cases: tuple[Operands, ...]
    weight: np.ndarray
    bias: np.ndarray
    arrange: Callable
    orders: tuple[np.ndarray, ...]
    weight_zero: np.ndarray | int = 0
    signed: bool | None = None

    def __post_init__(self):
        if self.signed is None:
            self.signed = any((c.low + c.zero_point).min(initial=0) < 0 for c in self.cases)

    @property
    def n_terms(self) -> int:
        """Products per sum, without the bias."""
        return self.weight.shape[1]

    @property
    def neurons(self) -> int:
        """Rows of weights, of all groups: output channels of a convolution."""
        return self.weight.shape[0] * self.weight.shape[2]

    @property
    def exact(self) -> bool:
        """Whether float64 holds every integer on the way."""
        largest = max(
            max(abs(c.low).max(initial=0), abs(c.high).max(initial=0)) for c in self.cases
        )
        norm = abs(self.weight).sum(axis=1).max(initial=0)
        return bool(largest * norm + abs(self.bias).max(initial=0) < _EXACT)

    @cached_property
    def totals(self) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest finished sum, of shape (batch, n_groups, n_positions, n_out)."""
        return self._extremes(partial=False)

    @cached_property
    def partials(self) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest sum on the way, in any order; shaped like `totals`."""
        return self._extremes(partial=True)

    def _extremes(self, partial: bool):
        lows, highs = zip(*(self.ends(case, partial) for case in self.cases), strict=True)
        return np.minimum.reduce(lows), np.maximum.reduce(highs)

    def ends(self, case: Operands, partial: bool) -> tuple[np.ndarray, np.ndarray]:
        """`partials` or `totals` of one case."""
        low, high = self.arrange(case.low, 0), self.arrange(case.high, 0)
        plus, minus = np.maximum(self.weight, 0), np.minimum(self.weight, 0)
        bias = self.bias[:, None]
        if partial:
            above, below = np.maximum(high, 0), np.minimum(low, 0)
            first, last = below @ plus + above @ minus, above @ plus + below @ minus
            return first + np.minimum(bias, 0), last + np.maximum(bias, 0)
        if case.low is case.high:
            total = low @ self.weight + bias
            return total, total
        return low @ plus + high @ minus + bias, high @ plus + low @ minus + bias

    def _by_neuron(self, ends) -> np.ndarray:
        low, high = (np.moveaxis(e, (1, 3), (0, 1)).reshape(self.neurons, -1) for e in ends)
        return np.stack([low.min(axis=1), high.max(axis=1)], axis=1).astype(np.int64)

    @cached_property
    def sum_range(self) -> np.ndarray:
        """Exact range of each neuron's finished sums: int64 array of shape (neurons, 2)."""
        return self._by_neuron(self.totals)

    @cached_property
    def partial_range(self) -> np.ndarray:
        """Exact range of each neuron's sums on the way: int64 array of shape (neurons, 2)."""
        return self._by_neuron(self.partials)

    @cached_property
    def bits(self) -> np.ndarray:
        """Width that each neuron needs, partial sums included, in bits."""
        return accumulator_bits(self.partial_range)

    @cached_property
    def input_range(self) -> tuple[int, int]:
        """Smallest and largest code that enters, zero point subtracted."""
        return (
            int(min(case.low.min(initial=0) for case in self.cases)),
            int(max(case.high.max(initial=0) for case in self.cases)),
        )

    def column(self, neuron: int) -> tuple[int, int]:
        """Group and column of a neuron."""
        return divmod(neuron, self.weight.shape[2])

    def of_neuron(self, neuron: int) -> Sums:
        """The sums of one neuron alone."""
        group, column = self.column(neuron)
        part = slice(group, group + 1), slice(column, column + 1)

        def arrange(tensor, padding):
            return self.arrange(tensor, padding)[:, part[0]]

        weight, bias = self.weight[part[0], :, part[1]], self.bias[part]
        return replace(self, weight=weight, bias=bias, arrange=arrange, weight_zero=0)

    def reaching_codes(self, neuron: int, largest: bool, case: Operands, place, weight):
        """An input of this layer at which all products of one sum are at their ends.

        Parameters
        ----------
        neuron : int
        largest : bool
            The upper ends, else the lower ones.
        case : Operands
        place : tuple of (int, int)
            Batch and position of the sum.
        weight : array of shape (n_terms,)
            Of this neuron, as the register sees it.

        Returns
        -------
        int64 array of the shape of the layer's input
            Stored codes: zero point included.
        """
        batch, position = place
        indices = np.arange(case.low.size).reshape(case.low.shape)
        indices = self.arrange(indices, -1)[batch, self.column(neuron)[0], position].astype(
            np.int64
        )
        inside, high = indices >= 0, (weight > 0) == largest
        ends = np.where(high, case.high.flat[indices], case.low.flat[indices])
        codes = case.low.astype(np.int64).ravel()
        codes[indices[inside]] = ends[inside].astype(np.int64)
        return codes.reshape(case.low.shape) + case.zero_point

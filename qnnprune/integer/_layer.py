"""Layers in integers: sums of products, and what hidden and output neurons make of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from operator import index
from typing import ClassVar, TypeVar

import numpy as np

from .._utils import state_without_caches
from ..accumulators import accumulator_bits, accumulator_range
from ..encoding._encoding import shifted
from ..encoding._thresholds import ThresholdCounter

__all__ = ["AnyLayer", "HiddenLayer", "IntegerLayer", "OutputLayer", "Scratch"]

AnyLayer = TypeVar("AnyLayer", bound="IntegerLayer")


class Scratch:
    """Memory that one block after another computes in: fresh pages cost more than the sums."""

    def __init__(self):
        self._arrays: dict = {}

    def array(self, name: str, shape: tuple[int, int], dtype) -> np.ndarray:
        """An array with any contents, the same memory for the same name and dtype."""
        size, key = shape[0] * shape[1], (name, dtype)
        if key not in self._arrays or self._arrays[key].size < size:
            self._arrays[key] = np.empty(size, dtype)
        return self._arrays[key][:size].reshape(shape)


@dataclass(frozen=True, eq=False)
class IntegerLayer:
    """Sums of products of integer codes: what hidden and output layers have in common.

    Attributes
    ----------
    weight : int8 array of shape (n_out, n_in)
        Signed, symmetric; a pruned weight is 0.
    input_range : int64 array of shape (n_in, 2)
        Smallest and largest code of each input, inclusive.
    """

    weight: np.ndarray
    input_range: np.ndarray

    def __post_init__(self):
        # One row has many possible strides, and hashes of copies see them.
        object.__setattr__(self, "weight", np.array(self.weight, order="C"))

    @cached_property
    def accumulator_range(self) -> np.ndarray:
        """Exact range of every sum, inclusive: int64 array of shape (n_out, 2)."""
        return accumulator_range(self.weight, self.input_range)

    @cached_property
    def accumulator_bits(self) -> np.ndarray:
        """Proven width of every accumulator, in bits: int64 array of shape (n_out,)."""
        return accumulator_bits(self.accumulator_range)

    @cached_property
    def _blas_weight(self) -> np.ndarray:
        largest = np.abs(self.input_range).max(axis=1, initial=0)
        bound = (np.abs(self.weight.astype(np.int64)) @ largest).max(initial=0)
        dtype = np.float32 if bound < 2**24 else np.float64
        return np.ascontiguousarray(self.weight.T.astype(dtype))

    def accumulate(self, codes: np.ndarray, scratch: Scratch | None = None) -> np.ndarray:
        """Exact sums of products.

        Parameters
        ----------
        codes : integer array of shape (n_samples, n_in)
        scratch : Scratch, optional
            Where to compute; the next call with it overwrites the result.

        Returns
        -------
        float32 or float64 array of shape (n_samples, n_out)
            Integer values, exact.
        """
        scratch, weight = scratch or Scratch(), self._blas_weight
        values = scratch.array("codes", codes.shape, weight.dtype)
        np.copyto(values, codes)
        sums = scratch.array("sums", (len(codes), weight.shape[1]), weight.dtype)
        return np.matmul(values, weight, out=sums)

    def with_inputs(self: AnyLayer, columns) -> AnyLayer:
        """The same layer with some of its inputs, or all of them in another order.

        Parameters
        ----------
        columns : index array, boolean array or slice

        Returns
        -------
        IntegerLayer
            Of the same type.
        """
        return replace(self, weight=self.weight[:, columns], input_range=self.input_range[columns])

    def __getstate__(self):
        return state_without_caches(self)

    def __setstate__(self, state):
        self.__dict__.update(state)


@dataclass(frozen=True, eq=False)
class HiddenLayer(IntegerLayer):
    """A layer whose neurons put out codes: how many thresholds their sums reach.

    Attributes
    ----------
    weight, input_range : arrays
        As in `IntegerLayer`.
    thresholds : int64 array of shape (n_out, 2**a - 1)
        Ascending in each row.
    output_low : int
        Code of a neuron that reaches no threshold.
    scale, bias : None
        Of output layers alone.
    """

    thresholds: np.ndarray
    output_low: int

    scale: ClassVar[None] = None
    bias: ClassVar[None] = None

    def __post_init__(self):
        object.__setattr__(self, "output_low", index(self.output_low))

    @cached_property
    def slope(self) -> np.ndarray:
        """Steps of the output code for one step of the sum, int64 array of shape (n_out,).

        -1 where they are not the same over the whole range of the sum: where a neuron is more
        than an affine map.  0 of a neuron that never changes.
        """
        low, high = self.accumulator_range.T[:, :, None]
        span, before = high - low, (self.thresholds <= low).sum(axis=1, keepdims=True)
        passed = (self.thresholds > low) & (self.thresholds <= high)
        n_passed = passed.sum(axis=1, keepdims=True)
        slope = n_passed // np.maximum(span, 1)
        place = np.arange(self.thresholds.shape[1]) - before
        even = self.thresholds == low + 1 + place // np.maximum(slope, 1)
        affine = (n_passed == slope * span) & (even | ~passed).all(axis=1, keepdims=True)
        return np.where(affine, slope, -1)[:, 0]

    @cached_property
    def passes_on(self) -> np.ndarray:
        """Neurons that only hand one code on, by an affine map: bool array of shape (n_out,)."""
        return (np.count_nonzero(self.weight, axis=1) == 1) & (self.slope > 0)

    @cached_property
    def _counter(self) -> ThresholdCounter:
        return ThresholdCounter(self.thresholds, self._blas_weight.dtype)

    def requantize(self, acc: np.ndarray) -> np.ndarray:
        """Output codes.

        Parameters
        ----------
        acc : array of shape (n_samples, n_out)
            Integer values.

        Returns
        -------
        int8 array of shape (n_samples, n_out)
        """
        return shifted(self._counter.count(acc), self.output_low)

    def with_neurons(self, rows) -> HiddenLayer:
        """The same layer with some of its neurons.

        Parameters
        ----------
        rows : index array, boolean array or slice

        Returns
        -------
        HiddenLayer
        """
        return replace(self, weight=self.weight[rows], thresholds=self.thresholds[rows])


@dataclass(frozen=True, eq=False)
class OutputLayer(IntegerLayer):
    """The last layer, whose sums become logits or target values by an affine map.

    With L logits, row ``s * L + j`` of `weight` is sum s of logit j.  Each sum respects the
    accumulator by itself; they are added up where scale and bias are applied.

    Attributes
    ----------
    weight, input_range : arrays
        As in `IntegerLayer`.
    scale, bias : float64 arrays of shape (n_logits,)
        The affine map.
    thresholds, output_low : None
        Of hidden layers alone.
    """

    scale: np.ndarray
    bias: np.ndarray

    thresholds: ClassVar[None] = None
    output_low: ClassVar[None] = None

    def decision(self, acc: np.ndarray) -> np.ndarray:
        """Logits or target values: ``added_up(acc) * scale + bias`` in float64.

        Parameters
        ----------
        acc : array of shape (n_samples, n_out)
            Integer values.

        Returns
        -------
        float64 array of shape (n_samples, n_logits)
        """
        return self.affine(self.added_up(acc.astype(np.float64)))

    def affine(self, totals: np.ndarray) -> np.ndarray:
        """Logits or target values from the totals of each logit's sums.

        Parameters
        ----------
        totals : array of shape (n_samples, n_logits)
            Integer values.

        Returns
        -------
        float64 array of shape (n_samples, n_logits)
        """
        with np.errstate(over="ignore"):
            values = totals.astype(np.float64)
            values *= self.scale
            values += self.bias
            return values

    @cached_property
    def totals(self) -> IntegerLayer:
        """A layer whose sums are the totals: the weights of each logit's sums, added up.

        Where nobody looks at the single sums, this gives their exact totals in one product.
        """
        weight = self.added_up(self.weight.T.astype(np.int64)).T
        return IntegerLayer(weight, self.input_range)

    @property
    def n_logits(self) -> int:
        """Count of logits, or of target values."""
        return len(self.scale)

    @property
    def n_sums(self) -> int:
        """Sums that are added to one logit, a count."""
        return len(self.weight) // len(self.scale)

    @property
    def total_range(self) -> np.ndarray:
        """Range that holds the total of each logit's sums, inclusive: int64 of shape (n_logits, 2).

        It holds every part of a total too, in any order of addition.
        """
        return self.added_up(self.accumulator_range.T).T

    def added_up(self, acc: np.ndarray) -> np.ndarray:
        """Sums of the sums of each logit, exact.

        Parameters
        ----------
        acc : array of shape (n_samples, n_out)
            Integer values, in a type that holds their sums.

        Returns
        -------
        array of shape (n_samples, n_logits)
            Of the same type.
        """
        if self.n_sums == 1:
            return acc
        return acc.reshape(len(acc), self.n_sums, self.n_logits).sum(axis=1)

"""One layer in integers: sums of products, and thresholds that they reach."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from ..accumulators import accumulator_bits, accumulator_range
from ..encoding._encoding import shifted
from ..encoding._thresholds import ThresholdCounter

__all__ = ["IntegerLayer", "Scratch"]


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
    """One layer of the integer network; all arrays hold integer codes.

    Attributes
    ----------
    weight : int8 array of shape (n_out, n_in)
        Signed, symmetric; a pruned weight is 0.
    input_range : int64 array of shape (n_in, 2)
        Smallest and largest code of each input, inclusive.
    thresholds : int64 array of shape (n_out, 2**a - 1), or None
        Ascending in each row.  None on the output layer.
    output_low : int or None
        Code of a neuron that reaches no threshold.  None on the output layer.
    scale, bias : float64 arrays of shape (n_out,), or None
        The output layer's affine map.  None on hidden layers.
    """

    weight: np.ndarray
    input_range: np.ndarray
    thresholds: np.ndarray | None = None
    output_low: int | None = None
    scale: np.ndarray | None = None
    bias: np.ndarray | None = None

    @cached_property
    def accumulator_range(self) -> np.ndarray:
        """int64 array of shape (n_out, 2): the exact range of every sum, inclusive."""
        return accumulator_range(self.weight, self.input_range)

    @cached_property
    def accumulator_bits(self) -> np.ndarray:
        """int64 array of shape (n_out,): the proven width of every accumulator, in bits."""
        return accumulator_bits(self.accumulator_range)

    @cached_property
    def _blas_weight(self) -> np.ndarray:
        largest = np.abs(self.input_range).max(axis=1, initial=0)
        bound = (np.abs(self.weight.astype(np.int64)) @ largest).max(initial=0)
        dtype = np.float32 if bound < 2**24 else np.float64
        return np.ascontiguousarray(self.weight.T.astype(dtype))

    @cached_property
    def _counter(self) -> ThresholdCounter:
        return ThresholdCounter(self.thresholds, self._blas_weight.dtype)

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

    def requantize(self, acc: np.ndarray) -> np.ndarray:
        """Output codes of a hidden layer.

        Parameters
        ----------
        acc : array of shape (n_samples, n_out)
            Integer values.

        Returns
        -------
        int8 array of shape (n_samples, n_out)
        """
        return shifted(self._counter.count(acc), self.output_low)

    def __getstate__(self):
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def __setstate__(self, state):
        self.__dict__.update(state)

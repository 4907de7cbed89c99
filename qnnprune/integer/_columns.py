"""Layers as `predict` runs them: one row a neuron, one column a row of X.

In memory either the values of a neuron lie side by side or those of a row of X, whatever the
product of matrices prefers.  Sums are compared with one threshold after another in the narrowest
type that the proof allows: int8 where they fit 8 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from ..encoding._thresholds import RowThresholds, count_into
from ._layer import HiddenLayer, IntegerLayer, Scratch
from ._products import Products

__all__ = ["ColumnLayer"]

_COMPARED = 7  # thresholds: beyond, a table of the layer is faster


class ColumnLayer:
    """A layer in the form in which it runs fastest.

    Parameters
    ----------
    layer : IntegerLayer
    many_rows : int
        As in `Products`.
    """

    def __init__(self, layer: IntegerLayer, many_rows: int):
        self.layer, self.products = layer, Products(layer, many_rows)
        self.dtype = self.float_dtype = layer._blas_weight.dtype
        self.thresholds: Sequence[np.ndarray] | None = None
        # Sums of any order stay below 2**24, where float32 ends to hold every integer.
        if self.dtype == np.float32:
            self._narrow(layer)

    def _narrow(self, layer: IntegerLayer):
        """Choose the type of sums that are looked at, and turn thresholds into it."""
        low, high = layer.accumulator_range.T
        if not isinstance(layer, HiddenLayer) or layer.thresholds.shape[1] > _COMPARED:
            if _narrowest(int(low.min()), int(high.max())) == np.int8:
                self.dtype = np.dtype(np.int8)
            return
        # Beyond its range a threshold is always reached, or never.
        near = np.clip(layer.thresholds, low[:, None], high[:, None] + 1)
        self.dtype = _narrowest(int(low.min()), max(int(high.max()), int(near.max())))
        narrow = near.T.astype(self.dtype)
        self.thresholds, self.row_thresholds = list(narrow[:, :, None]), RowThresholds(narrow)

    def sums(self, codes: np.ndarray, scratch: Scratch) -> np.ndarray:
        """Exact sums of products, in the type `dtype`; see `Products.sums`."""
        return self.products.sums(codes, self.dtype, scratch)

    def outputs(self, codes, scratch: Scratch, name: str, sums=None) -> np.ndarray:
        """Output codes of a hidden layer from its input codes.

        Parameters
        ----------
        codes : int8 array of shape (n_in, n)
        scratch, name
            As in `codes`.
        sums : array of shape (n_out, n), optional
            Where they are known already.

        Returns
        -------
        int8 array of shape (n_out, n)
        """
        if sums is None:
            found = self.products.codes(codes, scratch)
            if found is not None:
                return found
            sums = self.sums(codes, scratch)
        return self.codes(sums, scratch, name)

    def codes(self, sums: np.ndarray, scratch: Scratch, name: str) -> np.ndarray:
        """Output codes of a hidden layer from its sums.

        Parameters
        ----------
        sums : array of shape (n_out, n)
            Of the type `dtype` within the proven range; of another type, any sums.
        scratch : Scratch
            Where to compute.
        name : str
            Of the memory for the codes.

        Returns
        -------
        int8 array of shape (n_out, n)
            In memory as the sums are.
        """
        layer = cast(HiddenLayer, self.layer)
        if self.thresholds is None or sums.dtype != self.dtype:
            return np.ascontiguousarray(layer.requantize(sums.T.astype(self.float_dtype)).T)
        if sums.flags.c_contiguous:
            count = scratch.array(name, sums.shape, np.uint8)
            count_into(sums, self.thresholds, count, scratch)
        else:
            count = scratch.array(name, sums.shape[::-1], np.uint8)
            self.row_thresholds.count_into(sums.T, count, scratch)
            count = count.T
        np.add(count, np.uint8(layer.output_low % 256), out=count)
        return count.view(np.int8)


def _narrowest(least: int, most: int) -> np.dtype:
    """The smallest signed type that holds both; none is larger than 2**24."""
    return np.promote_types(np.min_scalar_type(min(least, -1)), np.min_scalar_type(-most - 1))

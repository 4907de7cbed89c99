"""Products of a layer's weights and a block of codes: the same integers in each of three ways.

==============  ====================================================================
way             why it is exact
==============  ====================================================================
int8            products of int8 are added up in int32 (`_int8`)
packed floats   three sums that are proven to fit 8 bits share the 24 of one float32
plain floats    every partial sum is an integer below 2**24 (float32) or 2**53
==============  ====================================================================
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..accumulators import accumulator_range
from ._int8 import Int8Layer, torch_with_int8
from ._layer import IntegerLayer, Scratch

__all__ = ["Products", "many_rows"]

_FIELDS, _FIELD_BITS = 3, 8  # sums in one float32
_FEW_ROWS = 64  # up to here one call of BLAS is fastest
# Products of a code and a weight from which on int8 is faster; to turn a code into a float costs
# as much as so many of them.
_MANY_PRODUCTS, _CONVERSION = 2**22, 32


def many_rows(layers: Sequence[IntegerLayer]) -> int:
    """Rows from which on int8 is faster, in all layers of a network.

    Threads of torch and of BLAS would wait for each other where they take turns.
    """
    n_products = max(x.weight.shape[1] * (len(x.weight) + _CONVERSION) for x in layers)
    return -(-_MANY_PRODUCTS // max(1, n_products))


class Products:
    """Sums of products of one layer.

    Parameters
    ----------
    layer : IntegerLayer
    many_rows : int
        From so many rows on products are in int8, where they can be.
    """

    def __init__(self, layer: IntegerLayer, many_rows: int):
        self.many_rows = many_rows
        self.float_weight = np.ascontiguousarray(layer._blas_weight.T)
        self.int8, self.packed_weight = None, None
        is_small = self.float_weight.dtype == np.float32
        if is_small and layer.weight.shape[1] and np.abs(layer.weight).max(initial=0) <= 127:
            self.int8 = Int8Layer(layer)
        if is_small and _fits_fields(layer):
            self.packed_weight = _packed(self.float_weight)

    def sums(self, codes: np.ndarray, dtype, scratch: Scratch) -> np.ndarray:
        """Exact sums, each of which `dtype` must hold.

        Parameters
        ----------
        codes : int8 array of shape (n_in, n)
            In memory by row or by column.
        dtype : numpy dtype
            A real type.
        scratch : Scratch
            Where to compute; the next call with it overwrites the result.

        Returns
        -------
        array of shape (n_out, n)
            In memory by row or by column.
        """
        n, int8 = codes.shape[1], self._int8_of(codes)
        if int8 is not None:
            sums = int8.sums(codes, dtype, scratch)
        elif self.packed_weight is not None and n > _FEW_ROWS:
            sums = self._unpacked(_multiplied(self.packed_weight, codes, scratch), scratch)
        else:
            sums = _multiplied(self.float_weight, codes, scratch)
        return _converted(sums, dtype, scratch)

    def codes(self, codes: np.ndarray, scratch: Scratch) -> np.ndarray | None:
        """Output codes of a hidden layer in one operation, where there is one.

        Parameters
        ----------
        codes : int8 array of shape (n_in, n)
            In memory by row or by column.
        scratch : Scratch

        Returns
        -------
        int8 array of shape (n_out, n), in memory by column, or None
        """
        int8 = self._int8_of(codes)
        if int8 is None or int8.line is None:
            return None
        return int8.codes(codes, scratch)

    def _int8_of(self, codes) -> Int8Layer | None:
        usable = codes.shape[1] >= self.many_rows and torch_with_int8() is not None
        return self.int8 if usable else None

    def _unpacked(self, packed: np.ndarray, scratch: Scratch) -> np.ndarray:
        """Sums of all fields, from the lowest to the highest."""
        rest = _converted(packed, np.dtype(np.int32), scratch)
        fields = scratch.array("fields", (_FIELDS, rest.size), np.int8)
        for place, field in enumerate(fields.reshape(_FIELDS, *rest.shape)):
            if place:  # what the sum below, from -128 to 127, has taken from this one is given back
                np.add(rest, 2 ** (_FIELD_BITS - 1), out=rest)
                np.right_shift(rest, _FIELD_BITS, out=rest)
            np.copyto(field, rest, casting="unsafe")  # the last byte
        return fields.reshape(-1, rest.shape[1])[: len(self.float_weight)]


def _fits_fields(layer: IntegerLayer) -> bool:
    """Whether every partial sum of every neuron, in any order, fits a field."""
    least, most = layer.input_range.T
    # A partial sum lacks some of the inputs, as if their codes were 0.
    reach = np.stack([np.minimum(least, 0), np.maximum(most, 0)], axis=1)
    low, high = accumulator_range(layer.weight, reach).T
    return bool(low.min() >= -(2 ** (_FIELD_BITS - 1)) and high.max() < 2 ** (_FIELD_BITS - 1))


def _packed(weight: np.ndarray) -> np.ndarray:
    """Weights of three neurons in each row: those of the second and third times 2**8 and 2**16."""
    n_rows = -(-len(weight) // _FIELDS)
    fields = np.zeros((_FIELDS, n_rows, weight.shape[1]), weight.dtype)
    fields.reshape(-1, weight.shape[1])[: len(weight)] = weight
    factors = 2.0 ** (_FIELD_BITS * np.arange(_FIELDS))
    return np.tensordot(factors, fields, axes=1).astype(weight.dtype)


def _multiplied(weight: np.ndarray, codes: np.ndarray, scratch: Scratch) -> np.ndarray:
    by_row = codes.flags.c_contiguous
    values = scratch.array("values", codes.shape if by_row else codes.shape[::-1], weight.dtype)
    values = values if by_row else values.T
    np.copyto(values, codes)
    sums = scratch.array("floats", (len(weight), codes.shape[1]), weight.dtype)
    return np.matmul(weight, values, out=sums)


def _converted(sums: np.ndarray, dtype, scratch: Scratch) -> np.ndarray:
    if sums.dtype == dtype:
        return sums
    by_row = sums.flags.c_contiguous
    converted = scratch.array("converted", sums.shape if by_row else sums.shape[::-1], dtype)
    converted = converted if by_row else converted.T
    np.copyto(converted, sums, casting="unsafe")
    return converted

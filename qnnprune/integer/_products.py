"""Products of a layer's weights and a block of codes: the same integers in each of three ways.

==============  ====================================================================
way             why it is exact
==============  ====================================================================
int8 of torch   products of int8 are added up in int32
packed floats   three sums that are proven to fit 8 bits share the 24 of one float32
plain floats    every partial sum is an integer below 2**24 (float32) or 2**53
==============  ====================================================================

torch is taken where it is imported already and the processor multiplies int8 in hardware: it is
not imported for this, as that takes longer than most predictions.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache

import numpy as np

from ..accumulators import accumulator_range
from ._layer import IntegerLayer, Scratch

__all__ = ["Products", "int8_product"]

_FIELDS, _FIELD_BITS = 3, 8  # sums in one float32
_FEW_ROWS = 64  # up to here one call of BLAS is fastest
_MANY_ROWS = 256  # from here on it pays that torch prepares a product for each new shape
_PROCESS = os.getpid()


class Products:
    """Sums of products of one layer.

    Parameters
    ----------
    layer : IntegerLayer
    """

    def __init__(self, layer: IntegerLayer):
        self.float_weight = np.ascontiguousarray(layer._blas_weight.T)
        self.int8_weight, self.packed_weight = None, None
        is_small = self.float_weight.dtype == np.float32
        n_out, n_in = layer.weight.shape
        if is_small and n_in > 1 and np.abs(layer.weight).max() <= 127:
            # A matrix of one row or column has ambiguous strides, which torch misreads.
            self.int8_weight = np.zeros((max(n_out, 2), n_in), np.int8)
            self.int8_weight[:n_out] = layer.weight
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
        """
        n_out, n = len(self.float_weight), codes.shape[1]
        product = int8_product() if n >= _MANY_ROWS else None
        if product is not None and self.int8_weight is not None:
            out = scratch.array("int32", (len(self.int8_weight), n), np.int32)
            sums = product(self.int8_weight, codes, out)[:n_out]
        elif self.packed_weight is not None and n > _FEW_ROWS:
            sums = self._unpacked(_multiplied(self.packed_weight, codes, scratch), scratch)
        else:
            sums = _multiplied(self.float_weight, codes, scratch)
        return _converted(sums, dtype, scratch)

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
    converted = scratch.array("converted", sums.shape, dtype)
    np.copyto(converted, sums, casting="unsafe")
    return converted


def int8_product() -> Callable | None:
    """A function (weight, codes, out) that multiplies int8 into int32; None where there is none.

    A process that was forked has none: torch's threads stayed behind.
    """
    torch = sys.modules.get("torch")
    if torch is None or os.getpid() != _PROCESS:
        return None
    is_half_imported = getattr(torch.__spec__, "_initializing", False)
    return None if is_half_imported else _product_of(torch)


@cache
def _product_of(torch) -> Callable | None:
    def product(weight, codes, out):
        tensors = map(torch.from_numpy, (weight, codes))
        torch._int_mm(*tensors, out=torch.from_numpy(out))
        return out

    try:
        usable = torch.cpu._is_vnni_supported() and _is_exact(product)
    except (AttributeError, RuntimeError, TypeError):  # a torch that has it not
        return None
    return product if usable else None


def _is_exact(product) -> bool:
    """Whether extremes come out as integers have it: some processors saturate in between."""
    ends = np.array([-128, -127, 127, 1], dtype=np.int8)
    left, right = np.resize(ends, (16, 64)), np.resize(ends[::-1], (64, 32))
    expected = left.astype(np.int64) @ right.astype(np.int64)
    found = [product(left, each, np.empty((16, 32), np.int32)) for each in (right, right.copy("F"))]
    return all(np.array_equal(each, expected) for each in found)

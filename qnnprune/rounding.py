"""Thresholds on a coarse grid, so that low bits of a sum need not be looked at.

Where every threshold of a neuron is a multiple of ``2**r``, its output follows from
``acc >> r`` alone: exactly, for every sum.  On encrypted values, where a lookup costs 2 to 3
times more with each bit of its input, that makes a wide accumulator nearly as cheap as a
narrow one.  Rounding after training was measured to cost as little accuracy as training
with rounded sums.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from .integer import IntegerLayer

__all__ = ["round_thresholds"]


def round_thresholds(
    layers: Iterable[IntegerLayer], n_rounding_bits: int
) -> tuple[IntegerLayer, ...]:
    """Move every threshold to the nearest multiple of ``2**n_rounding_bits``.

    Thresholds that every sum reaches, or none, stay so.  Weights do not change, nor does
    any proven width.

    Parameters
    ----------
    layers : iterable of IntegerLayer
    n_rounding_bits : int
        0 changes nothing.

    Returns
    -------
    tuple of IntegerLayer

    Examples
    --------
    >>> layer = IntegerLayer(np.array([[1]]), np.array([[-8, 7]]), np.array([[-8, 1, 6]]), -2)
    >>> round_thresholds([layer], 2)[0].thresholds
    array([[-8,  0,  8]])
    """
    step = 2**n_rounding_bits
    return tuple(
        layer if layer.thresholds is None else replace(layer, thresholds=_rounded(layer, step))
        for layer in layers
    )


def _rounded(layer: IntegerLayer, step: int) -> np.ndarray:
    low, high = layer.accumulator_range.T[:, :, None]
    thresholds = layer.thresholds
    nearest = (thresholds + step // 2) // step * step
    nearest = np.where(thresholds <= low, thresholds // step * step, nearest)
    return np.where(thresholds > high, -(-thresholds // step) * step, nearest)

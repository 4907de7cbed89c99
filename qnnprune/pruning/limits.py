"""The two limits on a neuron, and which of its weights fit them.

A row keeps its highest-ranked weights as long as they fit a count and the exact worst-case
range of the accumulator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._utils import plain_number
from ..accumulators import accumulator_range

__all__ = ["LayerLimits", "keep_what_fits", "largest", "register_bounds"]


@dataclass(frozen=True)
class LayerLimits:
    """The two limits on every neuron of one layer.

    Attributes
    ----------
    input_range : integer array of shape (n_in, 2)
        Codes of each input, inclusive.
    n_accum_bits : int or None
        Width that the exact range must fit, in bits; None: no such limit.
    budget : int or None
        Nonzero weights a neuron may keep; None: no such limit.
    """

    input_range: np.ndarray
    n_accum_bits: int | None = None
    budget: int | None = None

    def __post_init__(self):
        for name in ("n_accum_bits", "budget"):
            object.__setattr__(self, name, plain_number(getattr(self, name)))

    @property
    def holds_both_signs(self) -> bool:
        """Whether each input fits the register alone, with a weight of 1 and with one of -1."""
        least, most, _ = register_bounds(self)
        low, high = self.input_range.min(initial=0), self.input_range.max(initial=0)
        return bool(least <= min(low, -high) and max(high, -low) <= most)


def keep_what_fits(
    codes: np.ndarray, magnitude: np.ndarray, candidates: np.ndarray, limits: LayerLimits
) -> np.ndarray:
    """Walk every row by falling magnitude and keep each weight that still fits.

    The walk goes on past a weight that does not fit: a smaller one may.

    Parameters
    ----------
    codes : integer-valued array of shape (n_out, n_in)
        Weight codes, with the sign that they have in the integer network.
    magnitude : float array of shape (n_out, n_in)
        What is ranked: larger goes first.
    candidates : bool array of shape (n_out, n_in)
        Weights that may be kept.
    limits : LayerLimits

    Returns
    -------
    bool array of shape (n_out, n_in)
        In a row that loses no nonzero candidate all candidates stay, those that round
        to 0 too; otherwise just the nonzero ones that fit.

    Examples
    --------
    >>> limits = LayerLimits(np.array([[-4, 3]] * 3), n_accum_bits=5)
    >>> keep_what_fits(np.array([[3, -2, 1]]), np.array([[3.0, 2.0, 1.0]]),
    ...                np.ones((1, 3), bool), limits)
    array([[ True, False,  True]])
    """
    kept = np.array(candidates)
    codes = codes * kept
    full = np.flatnonzero(~_fits_whole(codes, limits))
    if not len(full):
        return kept
    codes, magnitude = codes[full], magnitude[full]
    low, high = limits.input_range.T.astype(codes.dtype)
    ends = codes * low, codes * high
    count = np.count_nonzero(codes, axis=1)
    order = np.argsort(np.where(codes != 0, -magnitude, np.inf), axis=1)[:, : count.max()]
    top, bottom = (np.take_along_axis(f(*ends), order, axis=1) for f in (np.maximum, np.minimum))
    nonzero = np.arange(order.shape[1]) < count[:, None]
    fits = np.zeros(codes.shape, dtype=bool)
    np.put_along_axis(fits, order, _walk(nonzero, top, bottom, limits), axis=1)
    kept[full] = fits
    return kept


def register_bounds(limits: LayerLimits) -> tuple[float, float, float]:
    """Least and most that a sum may reach, and the count; two's complement even for
    sums that are never negative, since a later weight may make them so."""
    bits = limits.n_accum_bits
    half = np.inf if bits is None else 2 ** (bits - 1)
    return -half, half - 1, np.inf if limits.budget is None else limits.budget


def _fits_whole(codes, limits) -> np.ndarray:
    """Rows that respect the limits as they are."""
    least, most, budget = register_bounds(limits)
    low, high = accumulator_range(codes, limits.input_range).T
    fits = (low >= least) & (high <= most)
    if budget < codes.shape[1]:
        fits &= np.count_nonzero(codes, axis=1) <= budget
    return fits


def _walk(kept, top, bottom, limits) -> np.ndarray:
    """Columns in order: True where adding that weight stays within the limits.

    For one row, as the loop that this is equal to::

        high = low = count = 0
        for i in range(n):
            fits = high + top[i] <= most and low + bottom[i] >= least and count < budget
            kept[i] &= fits
            if kept[i]:
                high, low, count = high + top[i], low + bottom[i], count + 1

    The room that is left only shrinks.  So where a row's sums first leave it, every later
    weight that is larger than the room before that point goes, and the sums are taken
    anew: a few rounds instead of one step a column.
    """
    least, most, budget = register_bounds(limits)
    rows = np.arange(len(kept))
    while len(rows):
        up, down, present = top[rows] * kept[rows], bottom[rows] * kept[rows], kept[rows]
        high, low = np.cumsum(up, axis=1), np.cumsum(down, axis=1)
        over = (high > most) | (low < least)
        if budget < kept.shape[1]:
            over |= np.cumsum(present, axis=1) > budget
        over &= present
        first = over.argmax(axis=1)
        here = np.arange(len(rows)), first
        failing = over[here]
        too_large = up > (most - high[here] + up[here])[:, None]
        too_large |= down < (least - low[here] + down[here])[:, None]
        if budget < kept.shape[1]:
            too_large |= (np.cumsum(present, axis=1)[here] > budget)[:, None]
        too_large &= np.arange(kept.shape[1]) >= first[:, None]
        too_large &= failing[:, None]
        kept[rows] = present & ~too_large
        rows = rows[failing]
    return kept


def largest(rank: np.ndarray, candidates: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """The `keep` highest-ranked candidates of every row; ties may add to them.

    Parameters
    ----------
    rank : float array of shape (n_out, n_in)
    candidates : bool array of shape (n_out, n_in)
    keep : integer array of shape (n_out,)

    Returns
    -------
    bool array of shape (n_out, n_in)

    Examples
    --------
    >>> largest(np.array([[3.0, 9.0, 5.0]]), np.array([[True, False, True]]), np.array([1]))
    array([[False, False,  True]])
    """
    ranked = np.where(candidates, rank, -np.inf)
    ranked.sort(axis=1)
    last = ranked[np.arange(len(ranked)), ranked.shape[1] - np.maximum(keep, 1)]
    return candidates & (rank >= last[:, None]) & (keep > 0)[:, None]

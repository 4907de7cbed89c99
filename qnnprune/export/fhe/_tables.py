"""Tables of thresholds: which low bits of a sum they need not know, and what they count."""

from __future__ import annotations

import numpy as np

__all__ = ["FEWEST_BITS", "MOST_BITS", "counting_tables", "offsets"]

# The cheapest tables: removing one more bit costs as much as a narrower table saves.
_TABLE_BITS = 4
FEWEST_BITS = 2  # of a signed sum
MOST_BITS = 16  # that Concrete's table lookups take


def counting_tables(
    sum_range: np.ndarray, thresholds: np.ndarray, n_bits: int
) -> tuple[np.ndarray, int, np.ndarray]:
    """Shifts, low bits that no table looks at, and counts of thresholds by what is left.

    Parameters
    ----------
    sum_range : int64 array of shape (n, 2)
        Smallest and largest sum, inclusive.
    thresholds : int64 array of shape (n, n_thresholds)
        Ascending in each row.
    n_bits : int
        Two's-complement width that holds every sum once shifted.

    Returns
    -------
    offset : int64 array of shape (n,)
        Added to the sums.
    n_removed_bits : int
    counts : int64 array of shape (n, 2**(n_bits - n_removed_bits))
        By ascending sum, from the most negative one.
    """
    low, high = sum_range.T[:, :, None]
    below = thresholds <= low  # reached by every sum
    within = ~below & (thresholds <= high)
    first = np.take_along_axis(thresholds, within.argmax(axis=1)[:, None], axis=1)
    gaps = np.where(within, thresholds - first, 0)
    for n_removed in range(max(0, n_bits - _TABLE_BITS), -1, -1):
        step = 2**n_removed
        offset, fits = offsets(sum_range, n_bits, -first[:, 0], step)
        if fits and not (gaps % step).any():
            break
    half = 2 ** (n_bits - 1)
    cells = np.arange(-half, half, step)
    shifted = np.where(below, -half, thresholds + offset[:, None])
    return offset, n_removed, (shifted[:, :, None] <= cells).sum(axis=1)


def offsets(sum_range, n_bits, wanted, step) -> tuple[np.ndarray, bool]:
    """Smallest shifts, equal to `wanted` modulo `step`, that bring all sums into `n_bits`.

    And whether there are any: a shift that must hit a grid may find no room.
    """
    half = 2 ** (n_bits - 1)
    least, most = -half - sum_range[:, 0], half - 1 - sum_range[:, 1]
    nearest = np.clip(0, least, most)
    above = nearest + (wanted - nearest) % step
    below = above - step
    use_below = (below >= least) & ((above > most) | (np.abs(below) < np.abs(above)))
    offset = np.where(use_below, below, above)
    return offset, bool(((offset >= least) & (offset <= most)).all())

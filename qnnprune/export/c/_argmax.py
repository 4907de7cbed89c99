"""The largest logit without a float: integer scores that order as float64 logits do.

A logit is ``acc * scale + bias`` in float64, and a proven range leaves each accumulator, or the
total of several, few values.  So all logits that can ever be compared are known.  An integer
form is not hoped to order them alike but checked: sorted by logit, all scores must be in order
as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["LinearScores", "RankScores", "integer_scores", "label_scores"]

_MOST_SUMS = 2**24  # of all classes: bounds time and memory of the check
_SCORE_BITS = (15, 31, 62)


@dataclass(frozen=True)
class LinearScores:
    """Scores ``acc * multiplier + offset``; no step of it leaves `n_bits` and a sign.

    Attributes
    ----------
    multiplier, offset : int64 arrays of shape (n_logits,)
    n_bits : int
        15, 31 or 62.
    """

    multiplier: np.ndarray
    offset: np.ndarray
    n_bits: int


@dataclass(frozen=True)
class RankScores:
    """Scores from a table: ``rank[start + acc]``, the logit's place among all that can occur.

    Attributes
    ----------
    start : int64 array of shape (n_logits,)
        Where the class's rank of accumulator 0 is, or would be.
    rank : integer array of shape (n_sums,)
    """

    start: np.ndarray
    rank: np.ndarray


def integer_scores(ranges, scale, bias, n_sums: int = 1) -> LinearScores | RankScores:
    """Integer scores of an output layer that decide as its logits do, for every sum.

    With one logit, the score is positive where the logit is.  With more, the first
    largest score is that of the first largest logit.

    Parameters
    ----------
    ranges : int64 array of shape (n_logits, 2)
        Of the accumulators, or of the totals of several, inclusive.
    scale, bias : float64 arrays of shape (n_logits,)
    n_sums : int
        Accumulators that each of these adds up.

    Raises
    ------
    ValueError
        If the accumulators can take too many values to check them all.

    Examples
    --------
    >>> scores = integer_scores(np.array([[-6, 3]]), np.array([-0.5]), np.array([0.8]))
    >>> scores.multiplier, scores.offset  # -0.5 * acc + 0.8 > 0 if and only if acc <= 1
    (array([-1]), array([2]))
    """
    _check_size(ranges, n_sums)
    sums = [np.arange(low, high + 1) for low, high in ranges]
    with np.errstate(over="ignore"):
        affine = zip(sums, scale, bias, strict=True)
        logits = [acc.astype(np.float64) * factor + shift for acc, factor, shift in affine]
    if len(logits) == 1:
        return _sign_score(sums[0], logits[0], scale[0])
    order, classes = _by_logit(logits, scale)
    for n_bits in _SCORE_BITS:
        scores = _rounded(ranges, scale, bias, n_bits)
        if scores is not None and _in_order(_values(scores, sums)[order], classes):
            return scores
    return _ranks(sums, logits)


def label_scores(ranges, scale, bias, n_sums: int = 1) -> LinearScores:
    """Integer scores that are positive where the logits are, each by itself.

    Parameters and errors are those of `integer_scores`.
    """
    each = [
        integer_scores(ranges[k : k + 1], scale[k : k + 1], bias[k : k + 1], n_sums)
        for k in range(len(scale))
    ]
    multiplier, offset = (
        np.concatenate([getattr(score, name) for score in each])
        for name in ("multiplier", "offset")
    )
    return LinearScores(multiplier, offset, max(score.n_bits for score in each))


def _check_size(ranges: np.ndarray, n_sums: int) -> None:
    n_values = int((ranges[:, 1] - ranges[:, 0] + 1).sum())
    if n_values > _MOST_SUMS:
        fitting = (_MOST_SUMS // (len(ranges) * n_sums)).bit_length() - 1
        raise ValueError(
            f"The output layer's accumulators can take {n_values} values, and at most {_MOST_SUMS} "
            f"can be checked: n_accum_bits={fitting} with accumulator_guarantee=True fits."
        )


def _sign_score(sums, logits, scale) -> LinearScores:
    """The score of two classes: how far the sum is on the second class's side."""
    n_positive = np.count_nonzero(logits > 0)
    if scale < 0:
        multiplier, offset = -1, sums[0] + n_positive
    else:
        multiplier, offset = 1, n_positive - sums[-1]
    n_bits = _SCORE_BITS[0] if len(sums) < 2**13 else _SCORE_BITS[1]
    return LinearScores(np.array([multiplier]), np.array([offset]), n_bits)


def _rounded(ranges, scale, bias, n_bits: int) -> LinearScores | None:
    """Scale and bias in fixed point, with all the fractional bits that `n_bits` leave."""
    largest = np.abs(ranges).max(axis=1).astype(np.float64)
    # Rounding adds at most half to the offset and half to the multiplier, times the sum.
    room = 2.0**n_bits - largest.max() - 2
    with np.errstate(over="ignore"):
        reach = (largest * np.abs(scale) + np.abs(bias)).max()
    if room <= 0 or not np.isfinite(reach):
        return None
    shift = int(np.frexp(room)[1] - np.frexp(reach)[1]) - 1
    multiplier, offset = (np.rint(np.ldexp(v, shift)) for v in (scale, bias))
    return LinearScores(multiplier.astype(np.int64), offset.astype(np.int64), n_bits)


def _by_logit(logits, scale) -> tuple[np.ndarray, np.ndarray]:
    """Order of all sums of all classes by logit, and the class of each, in that order.

    Of equal logits the first class wins, so it comes last; those of one class stay in the
    direction in which its logits rise.
    """
    sizes = list(map(len, logits))
    place = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    rising = [p if factor >= 0 else p[::-1] for p, factor in zip(place, scale, strict=True)]
    order = np.concatenate(rising[::-1])
    order = order[np.argsort(np.concatenate(logits)[order], kind="stable")]
    return order, np.repeat(np.arange(len(sizes)), sizes)[order]


def _values(scores: LinearScores, sums) -> np.ndarray:
    """The scores of all sums of all classes."""
    linear = zip(sums, scores.multiplier, scores.offset, strict=True)
    return np.concatenate([acc * multiplier + offset for acc, multiplier, offset in linear])


def _in_order(scores: np.ndarray, classes: np.ndarray) -> bool:
    """Whether scores in the order of `_by_logit` decide between any two classes as logits do.

    Neighbours are enough.  A score may stay equal within a class, which is never compared with
    itself, or where the class that wins a tie comes next.  So of any two classes somewhere in
    the order, the later one wins.
    """
    rises = scores[:-1] < scores[1:]
    stays = scores[:-1] == scores[1:]
    return bool((rises | (stays & (classes[:-1] >= classes[1:]))).all())


def _ranks(sums, logits) -> RankScores:
    """Places of all logits; equal logits share one, so that the first class wins."""
    _, rank = np.unique(np.concatenate(logits), return_inverse=True)
    first = np.cumsum([0, *map(len, logits[:-1])])
    return RankScores(first - [acc[0] for acc in sums], rank)

"""Which weights go, and when: L1-unstructured pruning of every row, under a proof.

A row keeps its largest weights as long as they fit two limits: a count, and the exact
worst-case range of the accumulator.  Until the schedule ends a row keeps more than that
and pruned weights still learn, so they can come back; then the choice is fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .accumulators import accumulator_range

__all__ = ["CRITERIA", "SCHEDULES", "LayerLimits", "Pruner", "keep_what_fits"]


def _gradual(progress: float) -> float:
    return (1.0 - progress) ** 3


def _one_shot(progress: float) -> float:
    return float(progress < 1)


# Share of the weights above the limits that a row still keeps, by the progress (0 to 1)
# of the pruning phase; at its end it is 0 for every schedule.  "gradual" is the cubic
# schedule of Zhu and Gupta 2017, "To prune, or not to prune".
SCHEDULES: dict[str, Callable[[float], float]] = {"gradual": _gradual, "one_shot": _one_shot}

# What a row's weights are ranked by: weight matrix to an array of the same shape.
CRITERIA: dict[str, Callable[[np.ndarray], np.ndarray]] = {"l1": np.abs}


# Masks change at most this often on the way to the limits.
_STAGES = 20


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


def keep_what_fits(
    codes: np.ndarray, magnitude: np.ndarray, candidates: np.ndarray, limits: LayerLimits
) -> np.ndarray:
    """Walk every row by falling magnitude and keep each weight that still fits.

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


def _bounds(limits: LayerLimits) -> tuple[float, float, float]:
    """Least and most that a sum may reach, and the count; two's complement even for
    sums that are never negative, since a later weight may make them so."""
    bits = limits.n_accum_bits
    half = np.inf if bits is None else 2 ** (bits - 1)
    return -half, half - 1, np.inf if limits.budget is None else limits.budget


def _fits_whole(codes, limits) -> np.ndarray:
    """Rows that respect the limits as they are."""
    least, most, budget = _bounds(limits)
    low, high = accumulator_range(codes, limits.input_range).T
    return (low >= least) & (high <= most) & (np.count_nonzero(codes, axis=1) <= budget)


def _walk(kept, top, bottom, limits) -> np.ndarray:
    """Columns in order: True where adding that weight stays within the limits.

    The room that is left only shrinks.  So where a row's sums first leave it, every later
    weight that is larger than the room before that point goes, and the sums are taken
    anew: a few rounds instead of one step a column.
    """
    least, most, budget = _bounds(limits)
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


class Pruner:
    """Sets the masks and scales of a network's weight quantizers.

    Parameters
    ----------
    limits : sequence of LayerLimits
        One a layer, from the input to the output.
    schedule : str
        A key of `SCHEDULES`.
    criterion : str
        A key of `CRITERIA`.
    regrow : bool
        Choose anew at every call, and let pruned weights learn, even at the limits.
    """

    def __init__(
        self,
        limits: Sequence[LayerLimits],
        schedule: str = "gradual",
        criterion: str = "l1",
        regrow: bool = False,
    ):
        self.limits = list(limits)
        self.excess, self.criterion, self.regrow = SCHEDULES[schedule], CRITERIA[criterion], regrow
        self._stage = None
        self._fixed: list[np.ndarray | None] = [None] * len(self.limits)

    def adopt(self, network) -> None:
        """Go on from a network that is pruned already: what it lost stays away."""
        for index, linear in enumerate(network.linears):
            self._fixed[index] = linear.weight_quant.tensor_quant.mask.cpu().numpy() > 0

    def start_regrowth(self, network) -> None:
        """Let pruned weights learn from the first batch on."""
        for linear in network.linears:
            linear.weight_quant.tensor_quant.dense_gradient = self.regrow

    def prune(self, network, progress: float) -> None:
        """Move every layer to where the schedule stands at `progress`.

        From a progress of 1 on the limits hold for the integer weights as they are now,
        and only weights that were kept at the first such call can be kept.
        """
        stage = int(progress * _STAGES) / _STAGES
        for index, layer in enumerate((*network.hidden, network.output)):
            weight, quantizer = layer.linear.weight, layer.linear.weight_quant.tensor_quant
            sign = _slope_sign(layer)
            if progress < 1:
                if stage != self._stage:
                    quantizer.set_mask(self._scheduled(index, weight, quantizer, sign, stage))
                quantizer.refresh_scale(weight)
            else:
                self._fix(index, weight, quantizer, sign)
            quantizer.dense_gradient = progress < 1 or self.regrow
        self._stage = stage

    def _walk(self, index, weight, quantizer, sign, candidates):
        codes = quantizer.codes(weight).cpu().numpy().astype(np.int32) * sign[:, None]
        return keep_what_fits(codes, self._rank(weight), candidates, self.limits[index])

    def _rank(self, weight):
        return self.criterion(weight.detach().cpu().numpy())

    def _live(self, index, weight):
        low, high = self.limits[index].input_range.T
        return np.broadcast_to(low < high, weight.shape)

    def _scheduled(self, index, weight, quantizer, sign, progress):
        live = self._live(index, weight)
        if self.excess(progress) == 1:
            return np.array(live)
        final = self._walk(index, weight, quantizer, sign, live).sum(axis=1)
        available = live.sum(axis=1)
        keep = final + np.ceil((available - final) * self.excess(progress)).astype(np.int64)
        return _largest(self._rank(weight), live, keep)

    def _fix(self, index, weight, quantizer, sign):
        candidates = self._fixed[index]
        if candidates is None:
            candidates = self._scheduled(index, weight, quantizer, sign, 1.0)
            quantizer.set_mask(candidates)
            quantizer.refresh_scale(weight)
            candidates = self._walk(index, weight, quantizer, sign, candidates)
            candidates = self._revive(index, weight, quantizer, sign, candidates)
            self._fixed[index] = None if self.regrow else candidates
        mask = self._walk(index, weight, quantizer, sign, candidates)
        quantizer.set_mask(self._revive(index, weight, quantizer, sign, mask))

    def _revive(self, index, weight, quantizer, sign, mask):
        """Give a row that kept nothing its largest weight, as the smallest code."""
        codes = quantizer.codes(weight).cpu().numpy()
        dead = np.flatnonzero(((codes != 0) & mask).sum(axis=1) == 0)
        live = self._live(index, weight)
        if not len(dead) or not live.any():
            return mask
        mask = mask.copy()
        magnitude = np.where(live, self._rank(weight), -1.0)
        for row in dead:
            column = int(magnitude[row].argmax())
            value = weight[row, column].item()
            wanted = 1 if value >= 0 else -1
            if not self._fits_alone(index, wanted * sign[row], column):
                wanted = int(sign[row])  # +1 in the integer network: the narrower of the two
            mask[row] = False
            mask[row, column] = True
            quantizer.set_code(weight, row, column, wanted)
        return mask

    def _fits_alone(self, index, code, column):
        ends = code * self.limits[index].input_range[column]
        least, most, _ = _bounds(self.limits[index])
        return least <= ends.min() and ends.max() <= most


def _slope_sign(layer) -> np.ndarray:
    """Sign of each neuron's slope: rows of negative slope are stored negated."""
    if not hasattr(layer, "norm"):
        return np.ones(layer.linear.out_features, dtype=np.int32)
    return np.where(layer.norm.weight.detach().cpu().numpy() < 0, -1, 1).astype(np.int32)


def _largest(magnitude, candidates, keep) -> np.ndarray:
    """The `keep` largest candidates of every row; ties may add to them."""
    ranked = np.sort(np.where(candidates, -magnitude, np.inf), axis=1)
    last = np.take_along_axis(ranked, np.maximum(keep - 1, 0)[:, None], axis=1)
    return candidates & (-magnitude <= last) & (keep > 0)[:, None]

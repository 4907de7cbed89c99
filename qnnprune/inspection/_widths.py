"""Score against accumulator width: one network in narrower registers, and others pruned to them."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import accuracy_score, r2_score

from ..estimators import NarrowingCurve
from ..export._common import integer_network_of
from ._axes import BLUE, GREY, ORANGE, SKY, finish, legend_above, panels, whole_numbers

__all__ = ["AccumulatorWidthDisplay"]

_NARROWER = 5  # bits below the proven width that are tried by default


class AccumulatorWidthDisplay:
    """Score and overflow rate against the width of the accumulators.

    Best made by `from_estimator`.

    Parameters
    ----------
    n_accum_bits : int array of shape (n_widths,)
        Widths of the simulated registers, in bits, ascending.
    score, overflow_rate : float arrays of shape (n_widths,)
        Of the same network in these registers.
    proven_bits : int
        Width from which on no overflow is possible.
    pruned_bits : int array of shape (n_pruned,)
        Widths to which other networks were pruned, ascending.
    pruned_score : float array of shape (n_pruned,)
    score_name : str

    Attributes
    ----------
    axes_ : array of Axes of shape (2, 1)
        Score, and overflow rate.
    figure_ : Figure
    """

    def __init__(
        self,
        n_accum_bits,
        score,
        overflow_rate,
        proven_bits,
        *,
        pruned_bits=(),
        pruned_score=(),
        score_name="score",
    ):
        self.n_accum_bits, self.score = np.asarray(n_accum_bits), np.asarray(score)
        self.overflow_rate, self.proven_bits = np.asarray(overflow_rate), proven_bits
        self.pruned_bits, self.pruned_score = np.asarray(pruned_bits), np.asarray(pruned_score)
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls, estimator, X, y, *, n_accum_bits=None, mode="wrap", per="sum", pruned=(), ax=None
    ):
        """Simulate, score and draw.

        Parameters
        ----------
        estimator : fitted estimator, IntegerNetwork or pipeline
        X : array-like or DataFrame of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        n_accum_bits : sequence of int, optional
            Widths, in bits; by default the proven one and five below.
        mode, per : str, and str or int
            What happens at an overflow, as in `simulate`.
        pruned : NarrowingCurve, or sequence of fitted estimators
            Scores at widths to which networks were pruned; estimators are scored on X and y.
        ax : Axes, optional
            One, or two for the two panels.

        Returns
        -------
        AccumulatorWidthDisplay
        """
        network = integer_network_of(estimator)
        proven = network.proven_bits
        if n_accum_bits is None:
            n_accum_bits = range(max(1, proven - _NARROWER), proven + 1)
        score, name = (r2_score, "R²") if network.classes is None else (accuracy_score, "accuracy")
        widths = sorted(n_accum_bits)
        results = [network.simulate(X, n_accum_bits=b, mode=mode, per=per) for b in widths]
        if network.outcome == "quantiles":  # all of one target
            y = np.tile(np.reshape(y, (-1, 1)), results[0].predictions.shape[1])
        pruned_bits, pruned_score = _pruned_points(pruned, X, y)
        display = cls(
            widths,
            [score(y, result.predictions) for result in results],
            [result.overflow_rate for result in results],
            proven,
            pruned_bits=pruned_bits,
            pruned_score=pruned_score,
            score_name=name,
        )
        return display.plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw.

        Parameters
        ----------
        ax : Axes, optional
            One, or two for the two panels.

        Returns
        -------
        AccumulatorWidthDisplay
        """
        axes = panels(ax, 2, sharex=True)
        above, below = axes[:, 0]
        label = "this network, narrower registers"
        above.plot(self.n_accum_bits, self.score, "o-", color=BLUE, label=label)
        if len(self.pruned_bits):
            label = "pruned to the width"
            above.plot(self.pruned_bits, self.pruned_score, "s--", color=ORANGE, label=label)
        below.bar(self.n_accum_bits, 100 * self.overflow_rate, color=SKY, width=0.6)
        for panel in (above, below):
            label = f"proven: {self.proven_bits} bits" if panel is above else None
            panel.axvline(self.proven_bits, color=GREY, linestyle=":", label=label)
        above.set_ylabel(self.score_name)
        legend_above(above, ncols=1)
        below.set(ylabel="sums that overflow, %", xlabel="accumulator width, bits")
        below.set_ylim(0, max(1, 110 * self.overflow_rate.max(initial=0)))
        whole_numbers(below.xaxis)
        return finish(self, axes)


def _pruned_points(pruned, X, y) -> tuple[list, list]:
    if isinstance(pruned, NarrowingCurve):
        points = zip(pruned.n_accum_bits, pruned.score, strict=True)
    else:
        points = [(integer_network_of(net).n_accum_bits, net.score(X, y)) for net in pruned]
    points = sorted(points)
    return [bits for bits, _ in points], [score for _, score in points]

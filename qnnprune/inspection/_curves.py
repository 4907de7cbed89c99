"""Curves of a narrowing and of a training."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._axes import (
    BLUE,
    GREEN,
    GREY,
    LIGHT,
    ORANGE,
    SKY,
    finish,
    legend_above,
    panels,
    whole_numbers,
)

__all__ = ["NarrowingDisplay", "TrainingDisplay"]


class NarrowingDisplay:
    """Score and weights left on the way to narrower accumulators.

    Made by `from_curve`.

    Parameters
    ----------
    curve : NarrowingCurve
        What `narrow_accumulator` returned.

    Attributes
    ----------
    axes_ : array of Axes of shape (2, 1)
        Score, and weights.
    figure_ : Figure
    """

    def __init__(self, curve):
        self.curve = curve

    @classmethod
    def from_curve(cls, curve, *, ax=None):
        """Draw a curve.

        Parameters
        ----------
        curve : NarrowingCurve
        ax : Axes, optional
            One, or two for the two panels.

        Returns
        -------
        NarrowingDisplay
        """
        return cls(curve).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw: widths fall from left to right, as the search went.

        Parameters
        ----------
        ax : Axes, optional
            One, or two for the two panels.

        Returns
        -------
        NarrowingDisplay
        """
        axes, curve = panels(ax, 2, sharex=True, height=1.8), self.curve
        above, below = axes[:, 0]
        above.plot(curve.n_accum_bits, curve.score, "o-", color=BLUE)
        below.bar(curve.n_accum_bits, curve.nonzeros, width=0.6, color=SKY)
        above.set(ylabel="score")
        below.set(ylabel="weights left", xlabel="accumulator width, bits")
        for panel in (above, below):
            label = f"taken: {curve.best} bits" if panel is above else None
            panel.axvline(curve.best, color=ORANGE, linestyle="--", label=label, zorder=0)
        legend_above(above)
        whole_numbers(below.xaxis)
        below.set_xlim(max(curve.n_accum_bits) + 0.5, min(curve.n_accum_bits) - 0.5)
        return finish(self, axes)


class TrainingDisplay:
    """Loss, score and weights left by epoch, with the epochs of pruning shaded.

    Best made by `from_estimator`.

    Parameters
    ----------
    epoch : int array of shape (n_epochs,)
        Counted from 1, over all trainings.
    train_loss : float array of shape (n_epochs,)
    valid_score : float array of shape (n_epochs,), or None
        Score on the rows held back; None without any.
    weights_left : float array of shape (n_epochs,), or None
        Share of weights that are kept; None where nothing is pruned.
    pruning_progress : float array of shape (n_epochs,), or None
        How far the pruning phase has come, 0 to 1; None where that is not known.

    Attributes
    ----------
    pruning_epochs : bool array of shape (n_epochs,)
        Epochs of the pruning phase, the one in which it ends included.
    axes_ : array of Axes of shape (n_panels, 1)
        Loss, and where they are known score and weights left.
    figure_ : Figure
    """

    def __init__(
        self, epoch, train_loss, valid_score=None, weights_left=None, pruning_progress=None
    ):
        self.epoch, self.train_loss = np.asarray(epoch), np.asarray(train_loss)
        self.valid_score = None if valid_score is None else np.asarray(valid_score)
        self.weights_left = None if weights_left is None else np.asarray(weights_left)
        progress = np.full(len(self.epoch), np.nan)
        if pruning_progress is not None:
            progress = np.asarray(pruning_progress, dtype=np.float64)
        under_way = (progress > 0) & (progress < 1)
        before = np.concatenate([[1.0], progress[:-1]])[: len(progress)]
        self.pruning_epochs = under_way | ((progress >= 1) & (before < 1))

    @classmethod
    def from_estimator(cls, estimator, *, ax=None):
        """Draw the history of an estimator.

        Parameters
        ----------
        estimator : fitted estimator, or float twin
        ax : Axes, optional
            One, or one per panel.

        Returns
        -------
        TrainingDisplay
        """
        check_is_fitted(estimator)
        history = estimator.history_

        def column(name):
            known = any(name in epoch for epoch in history)
            return [epoch.get(name, np.nan) for epoch in history] if known else None

        names = ("epoch", "train_loss", "valid_score", "weights_left", "pruning_progress")
        return cls(*map(column, names)).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw.

        Parameters
        ----------
        ax : Axes, optional
            One, or one per panel.

        Returns
        -------
        TrainingDisplay
        """
        share = None if self.weights_left is None else 100 * self.weights_left
        curves = [
            ("training loss", self.train_loss, BLUE),
            ("score, held back", self.valid_score, GREEN),
            ("weights left, %", share, GREY),
        ]
        curves = [curve for curve in curves if curve[1] is not None]
        axes = panels(ax, len(curves), sharex=True, height=1.5)
        for panel, (name, values, color) in zip(axes[:, 0], curves, strict=True):
            panel.plot(self.epoch, values, ".-", color=color)
            panel.set_ylabel(name)
            self._shade(panel)
        if share is not None:
            axes[-1, 0].set_ylim(0, 105)
        if self.pruning_epochs.any():
            legend_above(axes[0, 0])
        axes[-1, 0].set_xlabel("epoch")
        whole_numbers(axes[-1, 0].xaxis)
        return finish(self, axes)

    def _shade(self, panel):
        ends = np.flatnonzero(np.diff(self.pruning_epochs, prepend=False, append=False))
        for place, (first, past) in enumerate(ends.reshape(-1, 2)):
            label = None if place else "pruning"
            span = self.epoch[first] - 0.5, self.epoch[past - 1] + 0.5
            panel.axvspan(*span, color=LIGHT, label=label, zorder=0)

"""The accumulator report as a picture: proven and observed widths beside the register."""

from __future__ import annotations

import numpy as np

from ._axes import ORANGE, SKY, finish, legend_above, panels, whole_numbers

__all__ = ["ProofDisplay"]


class ProofDisplay:
    """Proven width of each layer's accumulators, and the width that rows were seen to need.

    Made by `from_estimator`, or from a report by `from_report`.

    Parameters
    ----------
    names : sequence of str
        Of the layers.
    proven_bits : sequence of int
    observed_bits : sequence of int, or None
        None where no rows were observed.
    limit_bits : sequence of int or None
        Width of the register of each layer; None where there is no limit.

    Attributes
    ----------
    axes_ : array of Axes of shape (1, 1)
    figure_ : Figure
    """

    def __init__(self, names, proven_bits, observed_bits=None, limit_bits=None):
        self.names, self.proven_bits = list(names), np.asarray(proven_bits)
        self.observed_bits = None if observed_bits is None else np.asarray(observed_bits)
        self.limit_bits = [None] * len(self.names) if limit_bits is None else list(limit_bits)

    @classmethod
    def from_estimator(cls, estimator, X=None, *, ax=None):
        """Draw the proof of an estimator.

        Parameters
        ----------
        estimator : fitted estimator, or IntegerNetwork
        X : array-like or DataFrame of shape (n_samples, n_features), optional
            Rows to observe.
        ax : Axes, optional

        Returns
        -------
        ProofDisplay
        """
        return cls.from_report(estimator.accumulator_report(X), ax=ax)

    @classmethod
    def from_report(cls, report, *, ax=None):
        """Draw a report.

        Parameters
        ----------
        report : AccumulatorReport
        ax : Axes, optional

        Returns
        -------
        ProofDisplay
        """
        columns = report.to_dict()
        limits = columns.get("limit_bits", [report.n_accum_bits] * len(report.rows))
        display = cls(
            columns["layer"], columns["proven_bits"], columns.get("observed_bits"), limits
        )
        return display.plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw.

        Parameters
        ----------
        ax : Axes, optional

        Returns
        -------
        ProofDisplay
        """
        axes = panels(ax, 1, height=0.5 + 0.4 * len(self.names))
        panel, places = axes[0, 0], np.arange(len(self.names))
        panel.barh(places, self.proven_bits, height=0.6, color=SKY, label="proven")
        if self.observed_bits is not None:
            panel.plot(
                self.observed_bits,
                places,
                "D",
                color="white",
                markeredgecolor="black",
                zorder=3,
                label="observed",
            )
        limits = [(place, n) for place, n in enumerate(self.limit_bits) if n is not None]
        if limits:
            place, bits = np.transpose(limits)
            panel.vlines(
                bits, place - 0.45, place + 0.45, color=ORANGE, linewidth=3, label="register"
            )
        panel.set_yticks(places, self.names)
        panel.invert_yaxis()
        panel.set_xlabel("accumulator width, bits")
        whole_numbers(panel.xaxis)
        legend_above(panel)
        return finish(self, axes)

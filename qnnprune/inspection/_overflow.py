"""Overflow of every neuron, as a heat map."""

from __future__ import annotations

import math

import numpy as np

from ..export._common import integer_network_of
from ._axes import finish, panels, whole_numbers

__all__ = ["OverflowDisplay"]

_PER_LINE = 32  # neurons


class OverflowDisplay:
    """Share of the sums of each neuron that overflow.

    Made by `from_estimator`, or from what `simulate` returned by `from_simulation`.

    Parameters
    ----------
    names : sequence of str
        Of the layers.
    overflow_rate : sequence of float arrays of shape (n_out,)
        Per layer: share of its sums, one per row, 0 to 1, by neuron.
    title : str
        What was simulated.

    Attributes
    ----------
    axes_ : array of Axes of shape (n_layers, 1)
    figure_ : Figure
    """

    def __init__(self, names, overflow_rate, title=""):
        self.names, self.overflow_rate, self.title = list(names), list(overflow_rate), title

    @classmethod
    def from_estimator(
        cls, estimator, X, *, n_accum_bits=None, mode="wrap", per="sum", order=None, ax=None
    ):
        """Simulate and draw.

        Parameters
        ----------
        estimator : fitted estimator, IntegerNetwork or pipeline
        X : array-like or DataFrame of shape (n_samples, n_features)
        n_accum_bits : int, optional
            Width of every register, in bits; the network's own by default.
        mode, per, order : optional
            As in `simulate`.
        ax : Axes, optional
            One, or one per layer.

        Returns
        -------
        OverflowDisplay
        """
        result = integer_network_of(estimator).simulate(
            X, n_accum_bits=n_accum_bits, mode=mode, per=per, order=order
        )
        return cls.from_simulation(result, ax=ax)

    @classmethod
    def from_simulation(cls, result, *, ax=None):
        """Draw what a simulation found.

        Parameters
        ----------
        result : SimulationResult
        ax : Axes, optional
            One, or one per layer.

        Returns
        -------
        OverflowDisplay
        """
        positions = result.positions or (1,) * len(result.overflow_count)
        pairs = zip(result.overflow_count, positions, strict=True)
        rates = [count / max(result.n_samples * n, 1) for count, n in pairs]
        mode = result.mode if result.per == "sum" else f"{result.mode}, per={result.per!r}"
        title = f"registers of {result.n_accum_bits} bits ({mode})"
        return cls(result.layer_names, rates, title).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw: neurons from left to right, 32 to a line.

        Parameters
        ----------
        ax : Axes, optional
            One, or one per layer.

        Returns
        -------
        OverflowDisplay
        """
        ratios = [1 + math.ceil(len(rate) / _PER_LINE) for rate in self.overflow_rate]
        axes = panels(ax, len(self.names), height=1.4, height_ratios=ratios)
        most = max((rate.max(initial=0) for rate in self.overflow_rate), default=0)
        for name, rate, panel in zip(self.names, self.overflow_rate, axes[:, 0], strict=True):
            image = panel.imshow(
                _lines(100 * rate), cmap="Blues", vmin=0, vmax=100 * most or 1, aspect="auto"
            )
            n_over = np.count_nonzero(rate)
            panel.set_title(
                f"{name}: {n_over} of {len(rate)} overflow", loc="left", fontsize="medium"
            )
            n_lines = math.ceil(len(rate) / _PER_LINE)
            lines = range(0, n_lines, math.ceil(n_lines / 4))
            panel.set_yticks(lines, [str(_PER_LINE * line) for line in lines])
            whole_numbers(panel.xaxis)
        axes[-1, 0].set_xlabel(f"neuron; {self.title}")
        finish(self, axes, framed=True)
        self.figure_.colorbar(image, ax=list(axes[:, 0]), label="sums that overflow, %")
        return self


def _lines(values: np.ndarray) -> np.ndarray:
    """Values in lines of equal length, the last one filled up with NaN."""
    width = min(len(values), _PER_LINE)
    filled = np.full(math.ceil(len(values) / width) * width, np.nan)
    filled[: len(values)] = values
    return filled.reshape(-1, width)

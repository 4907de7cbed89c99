"""Histograms of accumulators, layer by layer, with what is proven and what the register holds."""

from __future__ import annotations

import numpy as np

from ..accumulators import register_range
from ..export._common import integer_network_of
from ..integer._simulation import layer_name
from ._axes import GREY, ORANGE, SKY, finish, legend_above, panels

__all__ = ["AccumulatorHistogramDisplay"]

_MOST_BINS = 128


class _SumCounter:
    """Counts the sums of every layer while a network runs."""

    def __init__(self, layers):
        ranges = [layer.accumulator_range for layer in layers]
        self.low = [int(r[:, 0].min()) for r in ranges]
        self.high = [int(r[:, 1].max()) for r in ranges]
        pairs = list(zip(self.low, self.high, strict=True))
        self.step = [(high - low) // _MOST_BINS + 1 for low, high in pairs]
        self.counts = [
            np.zeros((high - low) // step + 1, dtype=np.int64)
            for (low, high), step in zip(pairs, self.step, strict=True)
        ]

    def store(self, index, acc, first_row, codes):
        """Count the sums of a layer and hand them on."""
        place = (acc.astype(np.int64).ravel() - self.low[index]) // self.step[index]
        self.counts[index] += np.bincount(place, minlength=len(self.counts[index]))
        return acc


class AccumulatorHistogramDisplay:
    """How often each sum occurs, per layer.

    Best made by `from_estimator`.

    Parameters
    ----------
    names : sequence of str
        Of the layers.
    edges : sequence of int arrays of shape (n_bins + 1,)
        Per layer: a bin holds the integers from one edge to before the next.
    counts : sequence of int arrays of shape (n_bins,)
        Per layer: sums of all rows and neurons.
    proven_range : int array of shape (n_layers, 2)
        Smallest and largest sum that any input can cause, inclusive, over all neurons.
    register : int array of shape (n_layers, 2)
        Smallest and largest value of the registers, over all neurons: a neuron whose sum is
        never negative has an unsigned one.
    n_accum_bits : int

    Attributes
    ----------
    axes_ : array of Axes of shape (n_layers, 1)
    figure_ : Figure
    """

    def __init__(self, names, edges, counts, proven_range, register, n_accum_bits):
        self.names, self.edges, self.counts = list(names), list(edges), list(counts)
        self.proven_range, self.register = np.asarray(proven_range), np.asarray(register)
        self.n_accum_bits = n_accum_bits

    @classmethod
    def from_estimator(cls, estimator, X, *, n_accum_bits=None, ax=None):
        """Run rows through the network, count its exact sums and draw.

        Parameters
        ----------
        estimator : fitted estimator, IntegerNetwork or pipeline
        X : array-like or DataFrame of shape (n_samples, n_features)
        n_accum_bits : int, optional
            Width of the register that is drawn, 1 to 62 bits; the network's own by default.
        ax : Axes, optional
            One, or one per layer.

        Returns
        -------
        AccumulatorHistogramDisplay
        """
        network = integer_network_of(estimator)
        bits = network.n_accum_bits if n_accum_bits is None else n_accum_bits
        counter = _SumCounter(network.layers)
        network._decide(X, counter)
        registers = [register_range(layer.accumulator_range, bits) for layer in network.layers]
        parts = zip(counter.low, counter.step, counter.counts, strict=True)
        display = cls(
            [layer_name(index, layer) for index, layer in enumerate(network.layers)],
            [low + step * np.arange(len(counts) + 1) for low, step, counts in parts],
            counter.counts,
            np.stack([counter.low, counter.high], axis=1),
            [(r[:, 0].min(), r[:, 1].max()) for r in registers],
            bits,
        )
        return display.plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw.

        Parameters
        ----------
        ax : Axes, optional
            One, or one per layer.

        Returns
        -------
        AccumulatorHistogramDisplay
        """
        axes = panels(ax, len(self.names), height=1.5, sharex=True)
        for place, panel in enumerate(axes[:, 0]):
            self._draw(place, panel)
        axes[-1, 0].set_xlabel("sum of products")
        legend_above(axes[0, 0], y=1.2)
        return finish(self, axes)

    def _draw(self, place, panel):
        edges, counts = self.edges[place], self.counts[place]
        # A bin's integers lie around its middle.
        panel.stairs(
            100 * counts / max(counts.sum(), 1),
            edges - 0.5,
            fill=True,
            color=SKY,
        )
        for name, (low, high), style in (
            ("proven range", self.proven_range[place], (ORANGE, "-")),
            (f"register of {self.n_accum_bits} bits", self.register[place], (GREY, "--")),
        ):
            color, linestyle = style
            panel.axvline(low - 0.5, color=color, linestyle=linestyle, label=name)
            panel.axvline(high + 0.5, color=color, linestyle=linestyle)
        panel.set_title(self.names[place], loc="left", fontsize="medium")
        panel.set(ylabel="sums, %", ylim=(0, None))

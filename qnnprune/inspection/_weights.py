"""Weights as matrices before and after pruning, and how many each neuron has left."""

from __future__ import annotations

import numpy as np

from ..export._common import integer_network_of
from ..integer._simulation import layer_name
from ._axes import ORANGE, SKY, finish, legend_above, panels, whole_numbers

__all__ = ["NonzerosDisplay", "WeightDisplay"]


class WeightDisplay:
    """Weight codes of each layer, before and after pruning.

    Best made by `from_estimators`.

    Parameters
    ----------
    names : sequence of str
        Of the layers.
    before, after : sequence of integer arrays of shape (n_out, n_in)
        Per layer: weight codes, 0 where a weight is pruned.

    Attributes
    ----------
    axes_ : array of Axes of shape (n_layers, 2)
    figure_ : Figure
    """

    def __init__(self, names, before, after):
        self.names, self.before, self.after = list(names), list(before), list(after)

    @classmethod
    def from_estimators(cls, before, after, *, ax=None):
        """Draw one estimator beside another, for instance a copy from before `prune`.

        All neurons that were asked for are shown, also those that the integer network does
        without.

        Parameters
        ----------
        before, after : fitted estimators
            With the same number of layers.
        ax : Axes, optional
            One, or two per layer.

        Returns
        -------
        WeightDisplay
        """
        pair = _codes(before), _codes(after)
        names = [f"hidden {place + 1}" for place in range(len(pair[0]) - 1)]
        return cls([*names, "output"], *pair).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw.

        Parameters
        ----------
        ax : Axes, optional
            One, or two per layer.

        Returns
        -------
        WeightDisplay
        """
        axes = panels(ax, len(self.names), 2, height=1.7)
        most = max(np.abs(codes).max(initial=1) for codes in (*self.before, *self.after))
        for place, name in enumerate(self.names):
            pair = (("before", self.before[place]), ("after", self.after[place]))
            for panel, (when, codes) in zip(axes[place], pair, strict=True):
                # Orange and purple: told apart by colour-blind people, and white is 0.
                image = panel.imshow(
                    codes,
                    cmap="PuOr",
                    vmin=-most,
                    vmax=most,
                    aspect="auto",
                    interpolation="nearest",
                )
                share = np.count_nonzero(codes) / max(codes.size, 1)
                panel.set_title(f"{when}\n{share:.0%} not 0", loc="left", fontsize="small")
                whole_numbers(panel.yaxis)
            axes[place, 0].set_ylabel(f"{name}\nneuron")
        for panel in axes[-1]:
            panel.set_xlabel("input")
        finish(self, axes, framed=True)
        bar = self.figure_.colorbar(image, ax=list(axes.flat), label="weight code")
        whole_numbers(bar.ax.yaxis)
        return self


def _codes(estimator) -> list[np.ndarray]:
    """Weight codes of every layer of the trained module, pruned ones 0."""
    integer_network_of(estimator)  # says what is wrong with it
    if not hasattr(estimator, "module_"):
        raise TypeError(
            f"A {type(estimator).__name__} does not hold the neurons that were removed: pass the "
            "fitted estimator itself."
        )
    layers = estimator.module_.layers
    return [layer.codes * layer.mask * layer.slope_sign[:, None] for layer in layers]


class NonzerosDisplay:
    """Weights that each neuron has left, against Ω and the budget.

    Best made by `from_estimator`.

    Parameters
    ----------
    names : sequence of str
        Of the layers.
    nonzeros : sequence of int arrays of shape (n_out,)
        Per layer: counts, in the order of the neurons.
    omega : sequence of int
        Per layer: full-scale weights that cannot overflow.
    budget : sequence of int or None
        Per layer: the most weights that a neuron may keep; None where no count applies.

    Attributes
    ----------
    axes_ : array of Axes of shape (n_layers, 1)
    figure_ : Figure
    """

    def __init__(self, names, nonzeros, omega, budget):
        self.names, self.nonzeros = list(names), list(nonzeros)
        self.omega, self.budget = list(omega), list(budget)

    @classmethod
    def from_estimator(cls, estimator, *, ax=None):
        """Count and draw.

        Parameters
        ----------
        estimator : fitted estimator, or IntegerNetwork
            A network knows no budget.
        ax : Axes, optional
            One, or one per layer.

        Returns
        -------
        NonzerosDisplay
        """
        network = integer_network_of(estimator)
        with_budget = estimator if hasattr(estimator, "accumulator_report") else network
        rows = with_budget.accumulator_report().to_dict()
        counts = [np.count_nonzero(layer.weight, axis=1) for layer in network.layers]
        names = [layer_name(index, layer) for index, layer in enumerate(network.layers)]
        return cls(names, counts, rows["omega"], rows["budget"]).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw: the neurons of each layer from the fullest to the emptiest.

        Parameters
        ----------
        ax : Axes, optional
            One, or one per layer.

        Returns
        -------
        NonzerosDisplay
        """
        axes = panels(ax, len(self.names), height=1.6)
        limits = zip(self.names, self.nonzeros, self.omega, self.budget, strict=True)
        for panel, (name, nonzeros, omega, budget) in zip(axes[:, 0], limits, strict=True):
            falling = np.sort(nonzeros)[::-1]
            edges = np.arange(len(falling) + 1) + 0.5
            panel.stairs(falling, edges, fill=True, color=SKY)
            panel.axhline(omega, color="black", linestyle="--", label=f"Ω = {omega}")
            if budget is not None:
                panel.axhline(budget, color=ORANGE, label=f"budget = {budget}")
            panel.set_title(name, loc="left", fontsize="medium")
            panel.set(ylabel="weights", xlim=(0.5, len(falling) + 0.5))
            panel.set_ylim(0, 1.1 * max(omega, budget or 0, falling.max(initial=1)))
            legend_above(panel)
            whole_numbers(panel.xaxis)
        axes[-1, 0].set_xlabel("neuron, by falling number of weights")
        return finish(self, axes)

"""The Pareto front of score against what a network costs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..export._common import integer_network_of
from ..export._costs import COSTS, TITLES
from ..search._dominance import unbeaten
from ._axes import BLUE, GREY, finish, legend_above, panels, whole_numbers

__all__ = ["ParetoDisplay"]


class ParetoDisplay:
    """Score of several networks against their costs, with the front marked.

    Made by `from_estimators`, or from scores and costs that are known already.

    Parameters
    ----------
    score : float array of shape (n_networks,)
        Larger is better.
    costs : dict of str to array of shape (n_networks,)
        Smaller is better.
    labels : sequence of str, optional
        Names of the networks, written at the points of a front.

    Attributes
    ----------
    front : dict of str to bool array of shape (n_networks,)
        Per cost: networks that no other one beats in score or cost without being behind in the
        other.
    axes_ : array of Axes of shape (n_costs, 1)
    figure_ : Figure
    """

    def __init__(self, score, costs: Mapping, labels=None):
        self.score = np.asarray(score, dtype=np.float64)
        self.costs = {name: np.asarray(cost) for name, cost in costs.items()}
        self.labels = labels
        self.front = {name: unbeaten(self.score, cost) for name, cost in self.costs.items()}

    @classmethod
    def from_estimators(
        cls, estimators, X, y, *, costs=("width", "bytes", "lookups"), labels=None, ax=None
    ):
        """Score estimators, measure what they cost and draw.

        Parameters
        ----------
        estimators : sequence of fitted estimators, IntegerNetworks or pipelines
        X : array-like or DataFrame of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        costs : sequence of {"width", "bytes", "lookups", "seconds", "weights"}
            Proven accumulator width in bits; bytes of tables and code of `to_c`; table
            lookups of encrypted prediction, one per hidden neuron that it needs; seconds of one core per
            encrypted row; weights that are not 0.
        labels : sequence of str, optional
            Names of the networks.
        ax : Axes, optional
            One, or one per cost.

        Returns
        -------
        ParetoDisplay
        """
        unknown = sorted(set(costs) - set(COSTS))
        if unknown:
            raise ValueError(f"costs={costs!r} must be among {sorted(COSTS)}, unlike {unknown}.")
        networks = [integer_network_of(estimator) for estimator in estimators]
        found = {name: [COSTS[name](network) for network in networks] for name in costs}
        return cls([e.score(X, y) for e in estimators], found, labels).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw.

        Parameters
        ----------
        ax : Axes, optional
            One, or one per cost.

        Returns
        -------
        ParetoDisplay
        """
        axes = panels(ax, len(self.costs), height=1.9)
        for panel, (name, cost) in zip(axes[:, 0], self.costs.items(), strict=True):
            front = self.front[name]
            order = np.flatnonzero(front)[np.argsort(cost[front], kind="stable")]
            panel.plot(cost[~front], self.score[~front], "x", color=GREY, label="behind")
            panel.plot(
                cost[order],
                self.score[order],
                "o-",
                color=BLUE,
                label="front",
                drawstyle="steps-post",
            )
            self._name(panel, cost, order)
            panel.set(xlabel=TITLES.get(name, name), ylabel="score")
            panel.margins(x=0.15, y=0.25)
            whole_numbers(panel.xaxis)
        legend_above(axes[0, 0])
        return finish(self, axes)

    def _name(self, panel, cost, order):
        for place in () if self.labels is None else order:
            panel.annotate(
                self.labels[place], (cost[place], self.score[place]), xytext=(0, 6),
                textcoords="offset points", ha="center", fontsize="small",
            )  # fmt: skip

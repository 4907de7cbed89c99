"""What a search found: all trials, the front among them, and its estimators."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._utils import Tabular, display
from ._dominance import unbeaten

__all__ = ["ParetoFront", "Trial", "front_of"]


@dataclass(frozen=True)
class Trial:
    """One setting of the parameters, and what cross-validation measured.

    Attributes
    ----------
    params : dict
        Values of the parameters that were searched.
    score : float
        Mean over the folds; NaN where `fit` refused the setting.
    score_std : float
        Standard deviation over the folds; 0 for a single held-out part.
    costs : dict of str to float
        Mean over the networks of the folds, by name of the cost.
    error : str or None
        Why `fit` refused the setting.
    """

    params: dict
    score: float
    score_std: float
    costs: dict[str, float]
    error: str | None = None


@dataclass(frozen=True)
class ParetoFront(Tabular):
    """Trials of a search for the best scores at every cost, and the estimators of the best ones.

    Attributes
    ----------
    trials : tuple of Trial
        All of them, in the order in which they were tried.
    front : tuple of int
        Places in `trials` of those that no other trial beats in score or a cost without being
        behind elsewhere, from the least first cost on.  Of equal trials the first one is there.
    estimators : tuple of fitted estimators
        One per trial of the front, fitted on all rows; empty with ``refit=False``.
    """

    trials: tuple[Trial, ...]
    front: tuple[int, ...]
    estimators: tuple

    def to_dict(self) -> dict[str, list]:
        """Columns, as `pandas.DataFrame` takes them.

        Returns
        -------
        dict of str to list
            One entry per trial: ``param_`` and ``cost_`` before the names of parameters and
            costs, ``score``, ``score_std``, ``front`` (bool) and ``error``.
        """
        trials, first = self.trials, self.trials[self.front[0]]
        columns = {f"param_{name}": [t.params[name] for t in trials] for name in first.params}
        columns |= {"score": [t.score for t in trials], "score_std": [t.score_std for t in trials]}
        columns |= {
            f"cost_{name}": [t.costs.get(name, np.nan) for t in trials] for name in first.costs
        }
        columns["front"] = [place in self.front for place in range(len(trials))]
        return columns | {"error": [t.error for t in trials]}

    def plot(self, *, ax=None):
        """Draw score against every cost; needs the extra ``plot``.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            One, or one per cost.

        Returns
        -------
        qnnprune.inspection.ParetoDisplay
            Each panel marks the front of the score and its own cost, with places in `trials`.
        """
        places = [place for place, trial in enumerate(self.trials) if trial.error is None]
        done = [self.trials[place] for place in places]
        costs = {name: [t.costs[name] for t in done] for name in done[0].costs}
        picture = display("ParetoDisplay")([t.score for t in done], costs, labels=places)
        return picture.plot(ax=ax)


def front_of(trials) -> tuple[int, ...]:
    """Places of the front among trials, by rising first cost.

    Parameters
    ----------
    trials : sequence of Trial
    """
    places = [place for place, trial in enumerate(trials) if trial.error is None]
    values = {place: (trials[place].score, *trials[place].costs.values()) for place in places}
    best = unbeaten(*np.array(list(values.values())).T)
    first = {}
    for place in np.array(places)[best].tolist():
        first.setdefault(values[place], place)
    return tuple(sorted(first.values(), key=lambda place: (values[place][1:], place)))

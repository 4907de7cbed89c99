"""What a search may try: values of parameters, as Optuna's distributions and back."""

from __future__ import annotations

from collections.abc import Mapping

from ..export._common import require

__all__ = ["SPACE", "Space"]

#: What `pareto_search` tries by default, by name of the parameter.
SPACE = {
    "n_accum_bits": range(4, 13),
    "n_in_bits": (1, 2, 3),
    "n_a_bits": (1, 2, 3),
    "hidden_layer_sizes": ((16,), (32,), (64,), (128,), (64, 64)),
    "n_output_sums": (1, 2, 4),
    "pruning_schedule": ("gradual", "in_training"),
    "pruning_criterion": ("l1", "activation"),
}


class Space:
    """Values to try of each parameter.

    Optuna stores choices of plain types only.  So values of a sequence, which may be tuples or
    objects, are known to it by their `repr`.

    Parameters
    ----------
    values : dict of str to range, sequence or Optuna distribution
    known : collection of str
        Names of parameters that there are.

    Raises
    ------
    ValueError
        If a name is unknown, or its values are none or not told apart.
    """

    def __init__(self, values: Mapping, known):
        unknown = sorted(set(values) - set(known))
        if unknown or not values:
            raise ValueError(
                f"space={list(values)} must name parameters of the estimator, unlike {unknown}. In "
                "a pipeline they begin with the name of a step, as in 'net__n_accum_bits'; "
                f"there are {sorted(known)}."
            )
        self.choices, self.distributions = {}, {}
        for name, given in values.items():
            self.distributions[name] = self._distribution(name, given)

    def _distribution(self, name: str, given):
        kinds = require("optuna", "search").distributions
        if isinstance(given, kinds.BaseDistribution):
            return given
        if isinstance(given, range) and given:
            return kinds.IntDistribution(min(given), max(given), step=abs(given.step))
        labels = [] if isinstance(given, str) else [repr(value) for value in given]
        if not labels or len(set(labels)) < len(labels):
            raise ValueError(
                f"space[{name!r}]={given!r} must be a range, a list of different values, or an "
                "Optuna distribution."
            )
        self.choices[name] = dict(zip(labels, given, strict=True))
        return kinds.CategoricalDistribution(labels)

    def params(self, asked: Mapping) -> dict:
        """Values of the parameters for what Optuna asks to try.

        Parameters
        ----------
        asked : dict of str to bool, int, float or str
            As a trial of Optuna holds them.
        """
        return {
            name: self.choices[name][value] if name in self.choices else value
            for name, value in sorted(asked.items())
        }

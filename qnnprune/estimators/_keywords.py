"""Names of scikit-learn's `MLPClassifier`, and what stands for them here."""

from __future__ import annotations

__all__ = ["FamiliarNames"]

_OPTIMIZER = "optimizer, which also takes a torch class, or a functools.partial of one"
_RATE = "callbacks, with a skorch.callbacks.LRScheduler, in place of the cosine schedule"
_PARAMETERS = {
    "max_iter": "max_epochs",
    "solver": "optimizer",
    "learning_rate_init": "lr",
    "learning_rate": _RATE,
    "power_t": _RATE,
    "momentum": _OPTIMIZER,
    "nesterovs_momentum": _OPTIMIZER,
    "beta_1": _OPTIMIZER,
    "beta_2": _OPTIMIZER,
    "epsilon": _OPTIMIZER,
    "max_fun": "max_epochs",
}
_VALUES = {("activation", "logistic"): "sigmoid"}


class FamiliarNames:
    """Points from parameters of scikit-learn's multilayer perceptrons to our own."""

    # Signatures show __init__ alone, and scikit-learn reads nothing else: it stays explicit.
    def __new__(cls, *args, **kwargs):
        """Refuse keywords that have another name here; __init__ refuses all others."""
        for name in kwargs:
            if name in _PARAMETERS:
                raise TypeError(_pointer(cls.__name__, name))
        return super().__new__(cls)

    def set_params(self, **params):
        """Set parameters, as scikit-learn has it.

        Parameters
        ----------
        **params : dict
            Parameters by name.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a name is unknown.
        """
        for name in params:
            if name in _PARAMETERS:
                raise ValueError(_pointer(type(self).__name__, name))
        return super().set_params(**params)

    def _validate_params(self):
        for (name, value), ours in _VALUES.items():
            given = getattr(self, name)
            if isinstance(given, str) and given == value:
                raise ValueError(f"{name}={value!r} is called {ours!r} here.")
        super()._validate_params()


def _pointer(kind: str, name: str) -> str:
    return f"{kind} has no parameter {name!r}: use {_PARAMETERS[name]}."

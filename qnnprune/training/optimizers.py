"""Optimizers by name, as torch classes, or as partial functions of these."""

from __future__ import annotations

import inspect
from collections import defaultdict
from copy import copy
from functools import partial

import torch

__all__ = ["OPTIMIZERS", "CommonOptimizer", "check_optimizer", "optimizer_options"]

OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}

_OURS = {"lr": "lr", "weight_decay": "alpha", "params": None}
_INSTEAD_OF_FUSED = {"fused", "foreach", "differentiable"}


def optimizer_options(optimizer) -> dict:
    """Arguments of a skorch net that make it use an optimizer.

    Parameters
    ----------
    optimizer : str or callable
        As in the estimators.
    """
    made = OPTIMIZERS.get(optimizer, optimizer) if isinstance(optimizer, str) else optimizer
    options = {"optimizer": made}
    keywords = made.keywords if isinstance(made, partial) else {}
    kind = made.func if isinstance(made, partial) else made
    if kind in OPTIMIZERS.values() and not _INSTEAD_OF_FUSED & keywords.keys():
        options["optimizer__fused"] = True
    if optimizer == "sgd":
        options["optimizer__momentum"] = 0.9
    return options


def check_optimizer(optimizer) -> None:
    """Refuse an optimizer that cannot be made, or sets what a parameter of the estimator sets.

    Raises
    ------
    ValueError
    """
    if isinstance(optimizer, str):
        return
    for name in _OURS.keys() & getattr(optimizer, "keywords", {}).keys():
        way_out = f"use the parameter {_OURS[name]} for it" if _OURS[name] else "leave it out"
        raise ValueError(f"optimizer={optimizer!r} sets {name}: {way_out}.")
    try:
        taken = inspect.signature(optimizer).parameters.values()
        takes_decay = any(p.name == "weight_decay" or p.kind is p.VAR_KEYWORD for p in taken)
        decay = {"weight_decay": 0.0} if takes_decay else {}
        optimizer([torch.nn.Parameter(torch.zeros(1))], lr=1e-3, **decay)
    except (TypeError, ValueError) as error:
        raise ValueError(f"optimizer={optimizer!r} cannot be made: {error}") from error
    if not takes_decay:
        raise ValueError(
            f"optimizer={optimizer!r} takes no weight_decay, which alpha is: use one that does, "
            "for instance torch.optim.AdamW."
        )


class CommonOptimizer:
    """The steps of several optimizers as one: what costs most is the call.

    Parameters
    ----------
    optimizers : sequence of torch.optim.Optimizer
        Of one of the classes in `OPTIMIZERS`, and before their first step.
    """

    def __init__(self, optimizers):
        self.optimizers, self.common = optimizers, copy(optimizers[0])
        self.common.state, self.common.param_groups = defaultdict(dict), []
        self._alike: list[tuple[dict, dict]] = []
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                self._add(group)

    def _add(self, group):
        """Put parameters to a group of equal settings, or make one."""
        settings = {key: value for key, value in group.items() if key != "params"}
        for common, first in self._alike:
            if all(first[key] == value for key, value in settings.items()):
                common["params"] += group["params"]
                return
        self._alike.append(({**settings, "params": list(group["params"])}, group))
        self.common.param_groups.append(self._alike[-1][0])

    def step(self) -> None:
        """Take a step at the learning rates that the optimizers have now."""
        for common, first in self._alike:
            common["lr"] = first["lr"]
        self.common.step()

    def hand_back(self) -> None:
        """Give the optimizers the moments of their own parameters."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                optimizer.state.update((p, self.common.state[p]) for p in group["params"])

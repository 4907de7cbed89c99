"""Optimizers by name, as torch classes, or as partial functions of these."""

from __future__ import annotations

import inspect
from functools import partial

import torch

__all__ = ["OPTIMIZERS", "check_optimizer", "optimizer_options"]

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

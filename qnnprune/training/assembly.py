"""The skorch net put together from the parameters of an estimator."""

from __future__ import annotations

import inspect

import torch
from skorch.callbacks import Callback, GradientNormClipping, LRScheduler
from skorch.helper import predefined_split
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ..pruning import Pruner
from .callbacks import LearningRate, ProgressBar, ValidationScore, WeightsLeft, WholeEpoch
from .net import TrainingNet

__all__ = ["OPTIMIZERS", "build_net", "check_device", "training_callbacks"]

OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}

# Callbacks that change how the weights move, and do nothing else.
_IN_TRIALS = (LRScheduler, GradientNormClipping)


def check_device(device) -> None:
    """Refuse a device that torch does not have here.

    Raises
    ------
    ValueError
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(
            f"device={device!r} is not available ({error}). Use device='cpu', or install a torch "
            "that supports it."
        ) from error


def build_net(
    module, *, criterion, pruner: Pruner | None, table_valid, lr, alpha, optimizer, max_epochs,
    batch_size, dropout, early_stopping, n_iter_no_change, tol, callbacks, verbose, device, seed,
    always_prune=False, constant_lr=False,
) -> TrainingNet:  # fmt: skip
    """Assemble the skorch net from an estimator's parameters.

    Parameters
    ----------
    module : PrunableMLP
    criterion : callable
        One of `losses`.
    pruner : Pruner or None
    table_valid : TrainingTable or None
        Held-back rows.
    always_prune : bool
        Train at the final limits from the first epoch on.
    constant_lr : bool
        No learning-rate schedule.
    others
        As in the estimators; `optimizer` is a key of `OPTIMIZERS` or a torch class,
        `alpha` the weight decay of the weight matrices.

    Returns
    -------
    TrainingNet
    """
    ours = [("weights_left", WeightsLeft())]
    if table_valid is not None:
        ours.append(("valid_score", ValidationScore()))
    callbacks = _named(callbacks)
    if not constant_lr and not any(isinstance(c, LRScheduler) for _, c in callbacks):
        restarts = pruner is not None and not always_prune and pruner.schedule.restarts_lr
        ours.append(("learning_rate", LearningRate(restarts)))
    ours.append(("whole_epoch", WholeEpoch(early_stopping, n_iter_no_change, tol)))
    if verbose:
        ours.append(("progress_bar", ProgressBar()))
    options = {"optimizer": OPTIMIZERS.get(optimizer, optimizer)}
    _check_weight_decay(options["optimizer"])
    if options["optimizer"] in OPTIMIZERS.values():
        options["optimizer__fused"] = True
    if optimizer == "sgd":
        options["optimizer__momentum"] = 0.9
    return TrainingNet(
        module,
        criterion=lambda: criterion,
        optimizer__weight_decay=0.0,
        optimizer__param_groups=[("*linear.weight", {"weight_decay": alpha})],
        lr=lr,
        max_epochs=max_epochs,
        batch_size=batch_size,
        train_split=None if table_valid is None else predefined_split(table_valid),
        callbacks=[*ours, *callbacks],
        callbacks__print_log=None,
        verbose=0,
        device=device,
        pruner=pruner,
        always_prune=always_prune,
        dropout=dropout,
        seed=seed,
        stoppable=any(not isinstance(c, _IN_TRIALS) for _, c in callbacks),
        **options,
    )


def _check_weight_decay(optimizer):
    taken = inspect.signature(optimizer).parameters.values()
    if not any(p.name == "weight_decay" or p.kind is p.VAR_KEYWORD for p in taken):
        raise ValueError(
            f"optimizer={optimizer!r} takes no weight_decay, which alpha is: use one that does, "
            "for instance torch.optim.AdamW."
        )


def training_callbacks(callbacks) -> list:
    """Those of a user's callbacks that training itself consists of: rates and clipping.

    Rates that depend on a score are left out: who records it is not there.
    """
    return [
        (name, c)
        for name, c in _named(callbacks or ())
        if isinstance(c, _IN_TRIALS)
        and getattr(c, "policy", None) not in ("ReduceLROnPlateau", ReduceLROnPlateau)
    ]


def _named(callbacks) -> list:
    """Callbacks with their names, instances all of them."""
    named = [c if isinstance(c, tuple) else (f"user_{i}", c) for i, c in enumerate(callbacks)]
    named = [(name, c() if isinstance(c, type) else c) for name, c in named]
    for _, callback in named:
        if not isinstance(callback, Callback):
            raise ValueError(f"callbacks holds {callback!r}, which is no skorch callback.")
    return named

"""The skorch net put together from the parameters of an estimator."""

from __future__ import annotations

import inspect

import torch
from skorch.callbacks import LRScheduler
from skorch.helper import predefined_split

from ..pruning import Pruner
from .callbacks import LearningRate, ProgressBar, ValidationScore, WeightsLeft, WholeEpoch
from .face import Criterion
from .net import ClassifierNet, RegressorNet, TrainingNet
from .shown import ShownRows, View
from .user_callbacks import named_callbacks, stops_training

__all__ = ["OPTIMIZERS", "build_net", "check_device"]

OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}


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
    module, view: View, *, criterion, pruner: Pruner | None, table_valid, lr, alpha, optimizer,
    max_epochs, batch_size, dropout, n_iter_no_change, tol, callbacks, verbose, label, span, device, seed,
    usual_epochs, always_prune=False, constant_lr=False,
) -> TrainingNet:  # fmt: skip
    """Assemble the skorch net from an estimator's parameters.

    Parameters
    ----------
    module : PrunableMLP
    view : View
        The user's rows, and how to show them.
    criterion : Loss
    pruner : Pruner or None
    table_valid : TrainingTable or None
        Held-back rows; training stops early if there are some.
    label, span
        Of this training, for progress bars.
    usual_epochs : int
        Epochs of a training whose pace the rest of a longer one takes on once it is shortened.
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
    ours = [("_weights_left", WeightsLeft())]
    if table_valid is not None:
        ours.append(("_valid_score", ValidationScore()))
    callbacks = named_callbacks(callbacks)
    if not constant_lr and not any(isinstance(c, LRScheduler) for _, c in callbacks):
        restarts = pruner is not None and not always_prune and pruner.schedule.restarts_lr
        ours.append(("_learning_rate", LearningRate(restarts)))
    ours.append(("_whole_epoch", WholeEpoch(table_valid is not None, n_iter_no_change, tol)))
    if verbose:
        ours.append(("_progress_bar", ProgressBar()))
    options = {"optimizer": OPTIMIZERS.get(optimizer, optimizer)}
    _check_weight_decay(options["optimizer"])
    if options["optimizer"] in OPTIMIZERS.values():
        options["optimizer__fused"] = True
    if optimizer == "sgd":
        options["optimizer__momentum"] = 0.9
    valid = None if table_valid is None else ShownRows(view.user, table_valid)
    kind = RegressorNet if view.user.classes is None else ClassifierNet
    return kind(
        module,
        view=view,
        criterion=Criterion(criterion),
        optimizer__weight_decay=0.0,
        optimizer__param_groups=[("*linear.weight", {"weight_decay": alpha})],
        lr=lr,
        max_epochs=max_epochs,
        batch_size=batch_size,
        train_split=None if valid is None else predefined_split(valid),
        callbacks=ours + [(name, c) if name else c for name, c in callbacks],
        verbose=verbose,
        device=device,
        pruner=pruner,
        always_prune=always_prune,
        dropout=dropout,
        seed=seed,
        stoppable=any(stops_training(c) for _, c in callbacks),
        usual_epochs=usual_epochs,
        label=label,
        span=span,
        **options,
    )


def _check_weight_decay(optimizer):
    taken = inspect.signature(optimizer).parameters.values()
    if not any(p.name == "weight_decay" or p.kind is p.VAR_KEYWORD for p in taken):
        raise ValueError(
            f"optimizer={optimizer!r} takes no weight_decay, which alpha is: use one that does, "
            "for instance torch.optim.AdamW."
        )

"""The skorch net put together from the parameters of an estimator."""

from __future__ import annotations

import torch
from skorch.callbacks import LRScheduler
from skorch.helper import predefined_split

from ..pruning import Pruner
from .callbacks import LearningRate, ProgressBar, ValidationScore, WeightsLeft, WholeEpoch
from .face import Criterion
from .net import ClassifierNet, RegressorNet, TrainingNet
from .optimizers import optimizer_options
from .scores import score_function
from .shown import ShownRows, View
from .user_callbacks import named_callbacks, stops_training

__all__ = ["build_net", "check_device"]


def check_device(device) -> None:
    """Refuse a device that torch does not have here, or that holds no numbers, as "meta".

    Raises
    ------
    ValueError
    """
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, TypeError, ImportError) as error:
        reason = str(error).partition("\n")[0]  # hints for those who write kernels follow
        raise ValueError(
            f"device={device!r} is not available ({reason}). Use device='cpu', or install a torch "
            "that supports it."
        ) from error


def build_net(
    module, view: View, *, criterion, pruner: Pruner | None, valid: ShownRows | None, scoring, lr, alpha, optimizer,
    max_epochs, batch_size, dropout, n_iter_no_change, tol, callbacks, verbose, label, span, device, seed,
    always_prune=False, constant_lr=False, tasks=None,
) -> TrainingNet:  # fmt: skip
    """Assemble the skorch net from an estimator's parameters.

    Parameters
    ----------
    module : PrunableMLP
    view : View
        The user's rows, and how to show them.
    criterion : Loss
    pruner : Pruner or None
    valid : ShownRows or None
        Held-back rows; training stops early if there are some.
    scoring : str, callable or None
        How they are scored.
    label, span
        Of this training, for progress bars.
    always_prune : bool
        Train at the final limits from the first epoch on.
    constant_lr : bool
        No learning-rate schedule.
    tasks : EpochTasks or None
        Who wants to know of epochs.
    others
        As in the estimators; `optimizer` one that `check_optimizer` accepts,
        `alpha` the weight decay of the weight matrices.

    Returns
    -------
    TrainingNet
    """
    ours = [("_weights_left", WeightsLeft())]
    if valid is not None:
        ours.append(("_valid_score", ValidationScore(score_function(scoring))))
    callbacks = named_callbacks(callbacks)
    if not constant_lr and not any(isinstance(c, LRScheduler) for _, c in callbacks):
        restarts = pruner is not None and not always_prune and pruner.schedule.restarts_lr
        ours.append(("_learning_rate", LearningRate(restarts)))
    ours.append(("_whole_epoch", WholeEpoch(valid is not None, n_iter_no_change, tol)))
    if tasks is not None:
        ours.append(("_tasks", tasks))
    if verbose:
        ours.append(("_progress_bar", ProgressBar()))
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
        label=label,
        span=span,
        **optimizer_options(optimizer),
    )

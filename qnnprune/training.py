"""Training: the skorch net, its losses and its batches."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, LRScheduler
from skorch.helper import predefined_split
from torch import Tensor, nn

from .callbacks import (
    LearningRate,
    ProgressBar,
    ValidationScore,
    WeightsLeft,
    WholeEpoch,
    predicted_class,
)
from .data import TrainingTable
from .pruning import Pruner

__all__ = ["OPTIMIZERS", "TrainingNet", "build_net"]

OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}

# Shares of the epochs: dense training, then gradual pruning, then fine-tuning of what is left.
PRUNING_STARTS, PRUNING_ENDS = 0.1, 0.6


@contextmanager
def one_thread():
    """Train on one thread: small steps gain nothing from more, and sums come out the same."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class BatchLoader:
    """Serves batches of a `TrainingTable` as whole tensors, of nearly equal sizes."""

    def __init__(self, table: TrainingTable, batch_size: int, random_state=None):
        self.table, self.random_state = table, random_state
        # Batch normalisation needs two rows: n_rows // 2 batches at most.
        self.n_batches = max(1, min(-(-len(table) // batch_size), len(table) // 2))

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self):
        n_rows = len(self.table)
        order = np.arange(n_rows)
        if self.random_state is not None:
            order = self.random_state.permutation(n_rows)
            if n_rows == 1:
                order = np.zeros(2, dtype=np.int64)
        for index in np.array_split(order, self.n_batches):
            levels, target = self.table.take(index)
            y, weight = map(torch.from_numpy, target)
            yield {"levels": torch.from_numpy(levels), "weight": weight}, y


def binary_loss(output: Tensor, y: Tensor) -> Tensor:
    """Log loss of one logit, per row."""
    target = y.to(output.dtype)
    return nn.functional.binary_cross_entropy_with_logits(output[:, 0], target, reduction="none")


def multiclass_loss(output: Tensor, y: Tensor) -> Tensor:
    """Cross entropy of one logit a class, per row."""
    return nn.functional.cross_entropy(output, y, reduction="none")


def squared_loss(output: Tensor, y: Tensor) -> Tensor:
    """Squared error, averaged over the outputs, per row."""
    return (output - y.to(output.dtype)).square().mean(dim=1)


class TrainingNet(NeuralNet):
    """A skorch net that trains on a `TrainingTable` and keeps its last whole epoch.

    Parameters
    ----------
    pruner : Pruner or None
        Called before every epoch, and after it so that whatever an epoch leaves behind
        respects the limits; None trains without pruning.
    always_prune : bool
        Prune to the limits from the first epoch on, as further training does.
    random_state : numpy.random.RandomState
        Shuffles the rows.
    """

    def __init__(self, *args, pruner=None, always_prune=False, random_state=None, **kwargs):
        self.pruner, self.always_prune, self.random_state = pruner, always_prune, random_state
        super().__init__(*args, **kwargs)

    def get_iterator(self, dataset, training=False):
        """Batches of whole tensors; skorch's own loader collates row by row."""
        return BatchLoader(dataset, self.batch_size, self.random_state if training else None)

    def _set_training(self, training=True):
        # skorch walks all modules at every step; the mode changes twice an epoch at most.
        if self.module_.training != training:
            super()._set_training(training)

    def get_dataset(self, X, y=None):
        """Data come as a `TrainingTable`."""
        return X

    def check_data(self, X, y=None):
        """Data come validated."""

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Weighted mean of the loss of each row."""
        weight = X["weight"].to(y_pred)
        return (self.criterion_(y_pred, y_true.to(y_pred.device)) * weight).mean()

    def predict(self, X):
        """Class indices, or standardised targets, for callbacks that score."""
        output = torch.cat(list(self.forward_iter(X)))
        classes = isinstance(X, TrainingTable) and X.y.dtype.kind == "i"
        return (predicted_class(output) if classes else output).numpy()

    @property
    def progress(self) -> float:
        """How far the pruning phase has come, from 0 to 1, at the epoch that runs now."""
        if self.always_prune:
            return 1.0
        done = (len(self.history) - 1) / self.max_epochs
        return float(np.clip((done - PRUNING_STARTS) / (PRUNING_ENDS - PRUNING_STARTS), 0, 1))

    def fit_loop(self, X, y=None, epochs=None, **kwargs):
        """Train; an interrupt leaves the last whole epoch."""
        self.interrupted_, self.stop_training_, self.kept_state_ = False, False, None
        try:
            super().fit_loop(X, y, epochs, **kwargs)
        except KeyboardInterrupt:
            # A callback that stops training early does so between two epochs.
            self.interrupted_ = "whole" not in self.history[-1]
        if self.kept_state_ is not None:
            self.module_.load_state_dict(self.kept_state_)
        return self

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """One pass over the data; pruning happens around the training pass."""
        pruned = training and self.pruner is not None
        if pruned and self.progress < 1:
            self.pruner.prune(self.module_, self.progress)
        super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
        if training and not all(np.isfinite(self.history[-1, "batches", :, "train_loss"])):
            raise ValueError(
                f"Training diverged: the loss is not finite. lr={self.lr} is too large; lower it."
            )
        if pruned and self.progress >= 1:
            self.pruner.prune(self.module_, 1.0)

    def notify(self, method_name, **cb_kwargs):
        """Tell the callbacks; stop after an epoch once all of them have seen it."""
        super().notify(method_name, **cb_kwargs)
        if method_name == "on_epoch_end" and self.stop_training_:
            raise KeyboardInterrupt

    def keep_state(self):
        """Make the current weights the ones that training ends with."""
        state = self.module_.state_dict()
        self.kept_state_ = {key: value.detach().clone() for key, value in state.items()}


def build_net(
    module, *, criterion, pruner: Pruner | None, table_valid, lr, alpha, optimizer, max_epochs,
    batch_size, early_stopping, n_iter_no_change, tol, callbacks, verbose, device,
    random_state, always_prune=False, constant_lr=False,
) -> TrainingNet:  # fmt: skip
    """Assemble the skorch net from an estimator's parameters.

    Parameters
    ----------
    module : PrunableMLP
    criterion : callable
        (output, y) to the loss of each row.
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
        ours.append(("learning_rate", LearningRate()))
    ours.append(("whole_epoch", WholeEpoch(early_stopping, n_iter_no_change, tol)))
    if verbose:
        ours.append(("progress_bar", ProgressBar()))
    options = {"optimizer": OPTIMIZERS.get(optimizer, optimizer)}
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
        random_state=random_state,
        **options,
    )


def _named(callbacks) -> list:
    """Callbacks with their names, instances all of them."""
    named = [c if isinstance(c, tuple) else (f"user_{i}", c) for i, c in enumerate(callbacks)]
    named = [(name, c() if isinstance(c, type) else c) for name, c in named]
    for _, callback in named:
        if not isinstance(callback, Callback):
            raise ValueError(f"callbacks holds {callback!r}, which is no skorch callback.")
    return named

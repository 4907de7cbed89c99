"""What happens around epochs and batches, one skorch callback each."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import Tensor
from tqdm import tqdm

__all__ = [
    "EpochTasks",
    "LearningRate",
    "OwnCallback",
    "ProgressBar",
    "ShareOfEpochs",
    "ValidationScore",
    "WeightsLeft",
    "WholeEpoch",
    "usual_score",
]

_WARM_UP = 0.05  # share of the steps in which the learning rate rises


class OwnCallback(Callback):
    """Part of training itself; gets a `Batch` and the network's outputs as they are."""


class LearningRate(OwnCallback):
    """Linear warm-up, then half a cosine down to zero, step by step.

    Parameters
    ----------
    restarts : bool
        Whether all of that happens twice: until the limits hold, and from then on.
    """

    def __init__(self, restarts=False):
        self.restarts = restarts

    def on_epoch_begin(self, net, **kwargs):
        """Know the length of the schedule, where one begins or its rest is shortened."""
        epoch, clock = net.epoch_, net.clock_
        cut = clock.cut_epoch if self.restarts else clock.n_epochs
        if epoch in (1, cut + 1):
            self.start_ = 0.0
        elif epoch == clock.since + 1:
            self.start_ = self._done()
        else:
            return
        n_epochs = (cut if epoch <= cut else clock.n_epochs) - (epoch - 1)
        self.step_, self.n_steps_ = 0, n_epochs * len(net.batches_)

    def on_batch_begin(self, net, training=False, **kwargs):
        """Set the rate of the coming step."""
        if not training:
            return
        done = self._done()
        share = (done - _WARM_UP) / (1 - _WARM_UP)
        factor = done / _WARM_UP if share < 0 else 0.5 * (1 + np.cos(np.pi * share))
        self.step_ += 1
        for group in net.optimizer_.param_groups:
            group["lr"] = net.lr * max(float(factor), 1e-3)

    def _done(self) -> float:
        return self.start_ + (1 - self.start_) * self.step_ / self.n_steps_


class ValidationScore(OwnCallback):
    """A score of the held-back rows, as "valid_score" in the history.

    Parameters
    ----------
    score : callable
        One of `scores`; by default accuracy, R² or what the loss goes by.
    """

    def __init__(self, score=None):
        self.score = score or usual_score

    def on_train_begin(self, net, **kwargs):
        """Forget earlier trainings."""
        self.best_score_ = -np.inf

    def on_epoch_begin(self, net, **kwargs):
        """Start a new epoch."""
        self.parts_ = []

    def on_batch_end(self, net, batch, y_pred, training=False, **kwargs):
        """Collect the predictions of validation batches."""
        if not training:
            self.parts_.append((y_pred.detach().cpu(), batch.y, batch.weight))

    def on_epoch_end(self, net, dataset_valid=None, **kwargs):
        """Score the epoch."""
        score = self.score(net, dataset_valid, *map(torch.cat, zip(*self.parts_, strict=True)))
        net.history.record("valid_score", score)
        net.history.record("valid_score_best", score > self.best_score_)
        self.best_score_ = max(self.best_score_, score)


def usual_score(net, rows, output: Tensor, y: Tensor, weight: Tensor) -> float:
    """Accuracy, R² or what the loss goes by."""
    classes, of_loss = net.view.user.classes, net.criterion_.function.score
    if of_loss is not None:
        return of_loss(output, y, weight)
    if classes is None:
        return _r2(output, y, weight)
    return _accuracy(output, y, weight, len(classes))


def _accuracy(output: Tensor, y: Tensor, weight: Tensor, n_classes: int) -> float:
    predicted = (output[:, 0] > 0).long() if n_classes == 2 else output.argmax(dim=1)
    return float(((predicted == y).double() * weight).sum() / weight.sum())


def _r2(output: Tensor, y: Tensor, weight: Tensor) -> float:
    mean = (y * weight[:, None]).sum(0) / weight.sum()
    residual = ((output - y).square() * weight[:, None]).sum(0)
    total = ((y - mean).square() * weight[:, None]).sum(0)
    return float((1 - residual / total.clamp(min=1e-12)).mean())


class WholeEpoch(OwnCallback):
    """Keeps the last whole epoch, or the best one, and sees when none gets better.

    Only epochs that respect the final limits compete.  Patience that ends before shortens the
    rest of the schedule; patience that ends after stops training.

    Parameters
    ----------
    early_stopping : bool
    patience : int
        Epochs without an improvement of more than `tol`.
    tol : float
    """

    def __init__(self, early_stopping=False, patience=10, tol=1e-4):
        self.early_stopping, self.patience, self.tol = early_stopping, patience, tol

    def on_train_begin(self, net, **kwargs):
        """Forget earlier trainings, or networks that were too wide."""
        self.best_score_, self.waited_ = -np.inf, 0

    def on_epoch_end(self, net, **kwargs):
        """Keep this epoch, or count it as one without an improvement."""
        score = net.history[-1]["valid_score"] if self.early_stopping else np.inf
        if score > self.best_score_ or not net.limits_hold:
            net.keep_state()
        net.whole_ = net.epoch_
        if not self.early_stopping:
            return
        self.waited_ = 0 if score > self.best_score_ + self.tol else self.waited_ + 1
        self.best_score_ = max(self.best_score_, score)
        if self.waited_ >= self.patience:
            net.stop_training_ = net.limits_hold
            net.shorten()


class WeightsLeft(OwnCallback):
    """Records the share of connections that are kept, and how far the pruning phase has come."""

    def on_epoch_end(self, net, **kwargs):
        """Count the masks."""
        if net.pruner is not None:
            layers = net.module_.layers
            kept = sum(int(layer.mask.sum()) for layer in layers)
            net.history.record("weights_left", kept / sum(layer.n_connected for layer in layers))
            net.history.record("pruning_progress", net.progress)


class ProgressBar(OwnCallback):
    """One bar over all epochs: loss, score and share of weights left."""

    _shown = {"train_loss": "loss", "valid_score": "score", "weights_left": "weights left"}

    def on_train_begin(self, net, **kwargs):
        """Open the bar."""
        self.bar_ = tqdm(total=net.max_epochs, unit="epoch", desc=net.label)

    def on_epoch_end(self, net, **kwargs):
        """Advance it."""
        epoch = net.history[-1]
        shown = {text: f"{epoch[key]:.3g}" for key, text in self._shown.items() if key in epoch}
        self.bar_.total = net.clock_.n_epochs
        self.bar_.set_postfix(shown)
        self.bar_.update()

    def on_train_end(self, net, **kwargs):
        """Close the bar."""
        self.bar_.close()


class EpochTasks(OwnCallback):
    """Reports epochs as tasks, and stops training when told so.

    Parameters
    ----------
    task : object
        With ``begin_epoch()``, ``end_epoch(trained)``, which says whether to stop, and ``end()``.
    trained : callable or None
        Takes the net and returns what training would leave behind now.  None of a trial, which
        goes on whatever it is told.
    """

    def __init__(self, task, trained=None):
        self.task, self.trained = task, trained

    def on_epoch_begin(self, net, **kwargs):
        """Report a new epoch."""
        self.task.begin_epoch()

    def on_epoch_end(self, net, **kwargs):
        """Report that it is over."""
        stops = self.task.end_epoch(self.trained and partial(self.trained, net))
        if stops and self.trained:
            net.stop()

    def on_train_end(self, net, **kwargs):
        """Report that all are over."""
        self.task.end()


class ShareOfEpochs(OwnCallback):
    """Tells a function, after each epoch, which training runs and the share of the fit that is done.

    Trials count, too.  All trainings of a fit count as equally long.
    """

    def __init__(self, report):
        self.report = report

    def on_epoch_end(self, net, **kwargs):
        """Report the label and a number above 0, which is 1 at the end of the fit."""
        begin, end = net.span
        self.report(net.label, begin + (end - begin) * net.epoch_ / net.clock_.n_epochs)

"""What happens around epochs and batches, one skorch callback each."""

from __future__ import annotations

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import Tensor
from tqdm import tqdm

__all__ = [
    "LearningRate",
    "ProgressBar",
    "ShareOfEpochs",
    "ValidationScore",
    "WeightsLeft",
    "WholeEpoch",
    "predicted_class",
]

_WARM_UP = 0.05  # share of the steps in which the learning rate rises


def accuracy(output: Tensor, y: Tensor) -> Tensor:
    """1 where the predicted class is right, per row."""
    return (predicted_class(output) == y).double()


def predicted_class(output: Tensor) -> Tensor:
    """Index of the class that each row of logits stands for."""
    return (output[:, 0] > 0).long() if output.shape[1] == 1 else output.argmax(dim=1)


class LearningRate(Callback):
    """Linear warm-up, then half a cosine down to zero, step by step.

    Parameters
    ----------
    restarts : bool
        Whether all of that happens twice: until the limits hold, and from then on.
    """

    def __init__(self, restarts=False):
        self.restarts = restarts

    def on_epoch_begin(self, net, dataset_train=None, **kwargs):
        """Know the length of the schedule that this epoch belongs to."""
        epoch, first = len(net.history), net.cut_epoch if self.restarts else net.max_epochs
        if epoch in (1, first + 1):
            self.step_ = 0
        n_epochs = first if epoch <= first else net.max_epochs - first
        self.n_steps_ = n_epochs * len(net.get_iterator(dataset_train))

    def on_batch_begin(self, net, training=False, **kwargs):
        """Set the rate of the coming step."""
        if not training:
            return
        done = self.step_ / self.n_steps_
        share = (done - _WARM_UP) / (1 - _WARM_UP)
        factor = done / _WARM_UP if share < 0 else 0.5 * (1 + np.cos(np.pi * share))
        self.step_ += 1
        for group in net.optimizer_.param_groups:
            group["lr"] = net.lr * max(factor, 1e-3)


class ValidationScore(Callback):
    """Accuracy or R² on the held-back rows, as "valid_score" in the history."""

    def on_epoch_begin(self, net, **kwargs):
        """Start a new epoch."""
        self.parts_ = []

    def on_batch_end(self, net, batch, y_pred, training=False, **kwargs):
        """Collect the predictions of validation batches."""
        if not training:
            self.parts_.append((y_pred.detach().cpu(), batch[1], batch[0]["weight"]))

    def on_epoch_end(self, net, **kwargs):
        """Score the epoch."""
        if not self.parts_:
            return
        output, y, weight = (torch.cat(part) for part in zip(*self.parts_, strict=True))
        if y.is_floating_point():
            mean = (y * weight[:, None]).sum(0) / weight.sum()
            residual = ((output - y).square() * weight[:, None]).sum(0)
            total = ((y - mean).square() * weight[:, None]).sum(0)
            score = (1 - residual / total.clamp(min=1e-12)).mean()
        else:
            score = (accuracy(output, y) * weight).sum() / weight.sum()
        net.history.record("valid_score", float(score))


class WholeEpoch(Callback):
    """Keeps the last whole epoch, or the best one, and stops when none gets better.

    Only epochs that respect the final limits compete; patience starts with them.

    Parameters
    ----------
    early_stopping : bool
    patience : int
        Epochs without an improvement of more than `tol` after which training stops.
    tol : float
    """

    def __init__(self, early_stopping=False, patience=10, tol=1e-4):
        self.early_stopping, self.patience, self.tol = early_stopping, patience, tol

    def on_train_begin(self, net, **kwargs):
        """Forget earlier trainings."""
        self.best_score_, self.waited_ = -np.inf, 0

    def on_epoch_end(self, net, **kwargs):
        """Keep this epoch, or count it as one without an improvement."""
        competes = self.early_stopping and (net.pruner is None or net.progress >= 1)
        score = net.history[-1]["valid_score"] if competes else np.inf
        if score > self.best_score_:
            net.keep_state()
        if competes:
            self.waited_ = 0 if score > self.best_score_ + self.tol else self.waited_ + 1
            self.best_score_ = max(self.best_score_, score)
            net.stop_training_ = self.waited_ >= self.patience
        net.history.record("whole", True)


class WeightsLeft(Callback):
    """Records the share of weights that are kept, as "weights_left"."""

    def on_epoch_end(self, net, **kwargs):
        """Count the masks."""
        if net.pruner is not None:
            masks = [linear.weight_quant.tensor_quant.mask for linear in net.module_.linears]
            kept = sum(float(mask.sum()) for mask in masks)
            net.history.record("weights_left", kept / sum(mask.numel() for mask in masks))


class ProgressBar(Callback):
    """One bar over all epochs: loss, score and share of weights left."""

    _shown = {"train_loss": "loss", "valid_score": "score", "weights_left": "weights left"}

    def on_train_begin(self, net, **kwargs):
        """Open the bar."""
        self.bar_ = tqdm(total=net.max_epochs, unit="epoch", desc="training")

    def on_epoch_end(self, net, **kwargs):
        """Advance it."""
        epoch = net.history[-1]
        shown = {text: f"{epoch[key]:.3g}" for key, text in self._shown.items() if key in epoch}
        self.bar_.set_postfix(shown)
        self.bar_.update()

    def on_train_end(self, net, **kwargs):
        """Close the bar."""
        self.bar_.close()


class ShareOfEpochs(Callback):
    """Tells a function, after each epoch, the share of epochs that are done."""

    def __init__(self, report):
        self.report = report

    def on_epoch_end(self, net, **kwargs):
        """Report a number above 0, which is 1 after `max_epochs`."""
        self.report(len(net.history) / net.max_epochs)

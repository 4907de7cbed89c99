"""The skorch net that trains: epochs, pruning around them, and the state that is kept."""

from __future__ import annotations

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.utils import TeeGenerator

from ..pruning.schedules import PRUNING_ENDS
from .batches import BatchLoader
from .callbacks import predicted_class
from .losses import row_squared_error
from .rows import TrainingTable
from .step import TrainingStep

__all__ = ["TrainingNet"]

# Of the callbacks, only those that do something are called: there are many batches.
_PER_BATCH = ("on_batch_begin", "on_grad_computed", "on_batch_end")


class TrainingNet(NeuralNet):
    """A skorch net that trains on a `TrainingTable` and keeps its last whole epoch.

    Parameters
    ----------
    pruner : Pruner or None
        Called before every epoch, and after it so that whatever an epoch leaves behind
        respects the limits; None trains without pruning.
    always_prune : bool
        Prune to the limits from the first epoch on, as further training does.
    dropout : float
        Share of the input codes that a step leaves out.
    seed : sequence of int
        Of the generators that shuffle the rows and draw what is left out.
    stoppable : bool
        Whether callbacks may stop training by a KeyboardInterrupt between two epochs, as those
        of skorch do.
    """

    def __init__(
        self, *args, pruner=None, always_prune=False, dropout=0.0, seed=(0,), stoppable=False,
        **kwargs,
    ):  # fmt: skip
        self.pruner, self.always_prune = pruner, always_prune
        self.dropout, self.seed, self.stoppable = dropout, seed, stoppable
        super().__init__(*args, **kwargs)

    def get_iterator(self, dataset, training=False):
        """Batches of whole tensors; skorch's own loader collates row by row."""
        random_state = np.random.RandomState(self.seed) if training else None
        return BatchLoader(dataset, self.batch_size, random_state)

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
        return self.criterion_(y_pred, y_true.to(y_pred.device), X["weight"].to(y_pred))[0]

    def train_step(self, batch, **fit_params):
        """Gradients of one batch, and the optimizer's step."""
        inputs, y = batch
        tensors = [t.to(self.device) for t in (inputs["levels"], y, inputs["weight"].float())]
        step = {}

        def closure():  # some optimizers call it several times
            loss, output = self.step_(*tensors)
            step.setdefault("loss", loss)
            step.setdefault("y_pred", output)
            if self.listeners_["on_grad_computed"]:
                parameters = TeeGenerator(self.get_all_learnable_params())
                self.notify(
                    "on_grad_computed", named_parameters=parameters, batch=batch, training=True
                )
            return loss

        self._set_training(True)
        self.optimizer_.step(closure)
        return step

    def predict(self, X):
        """Class indices, or standardised targets, for callbacks that score."""
        output = torch.cat(list(self.forward_iter(X)))
        classes = isinstance(X, TrainingTable) and X.y.dtype.kind == "i"
        return (predicted_class(output) if classes else output).numpy()

    def squared_error(self, table: TrainingTable) -> float:
        """Weighted mean squared error, of the class probabilities or of standardised targets."""
        self._set_training(False)
        total = 0.0
        with torch.no_grad():
            for inputs, y in BatchLoader(table, self.batch_size):
                output = self.module_(inputs["levels"].to(self.device)).cpu()
                total += float(row_squared_error(output, y) @ inputs["weight"])
        return total / table.weight.sum()

    @property
    def progress(self) -> float:
        """How far the pruning phase has come, from 0 to 1, at the epoch that runs now."""
        return self._progress_at(len(self.history))

    def _progress_at(self, epoch: int) -> float:
        if self.always_prune or self.pruner is None:
            return 1.0
        starts, done = self.pruner.schedule.starts, (epoch - 1) / self.max_epochs
        return float(np.clip((done - starts) / (PRUNING_ENDS - starts), 0, 1))

    @property
    def cut_epoch(self) -> int:
        """The epoch at the end of which the limits hold first, counted from 1."""
        epochs = range(1, self.max_epochs)
        return next((e for e in epochs if self._progress_at(e) >= 1), self.max_epochs)

    def fit_loop(self, X, y=None, epochs=None, **kwargs):
        """Train; an interrupt leaves the last whole epoch."""
        # skorch swallows an interrupt, wherever in here it comes.
        self.interrupted_, self.stop_training_, self.kept_state_ = True, False, None
        self.listeners_ = {name: self._listeners(name) for name in _PER_BATCH}
        if self.pruner is not None:
            self.pruner.watch(X)
        bits = np.random.PCG64(self.seed)
        self.step_ = TrainingStep(self.module_, self.criterion_, self.dropout, bits)
        try:
            super().fit_loop(X, y, epochs, **kwargs)
            self.interrupted_ = False
        except KeyboardInterrupt:
            may_stop = self.stop_training_ or self.stoppable
            self.interrupted_ = not (may_stop and self.history and "whole" in self.history[-1])
        while self.kept_state_ is not None:
            try:
                self._restore(self.kept_state_)
                break
            except KeyboardInterrupt:
                self.interrupted_ = True
        return self

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """One pass over the data, and pruning around a training pass.

        On the way to the limits pruning comes first, so that the epoch trains what is left.
        Once they hold it comes last, as weights have moved, and the state that is kept after
        the epoch must respect them.
        """
        pruned = training and self.pruner is not None
        if pruned and self.progress < 1:
            self.pruner.prune(self.module_, self.progress)
        for layer in self.module_.hidden:
            layer.rounds = self.progress >= 1
        if iterator is not None:
            self._run_batches(iterator, training, prefix, step_fn)
        if training and not all(np.isfinite(self.history[-1, "batches", :, "train_loss"])):
            raise ValueError(
                f"Training diverged: the loss is not finite. lr={self.lr} is too large; lower it."
            )
        if pruned and self.progress >= 1:
            self.pruner.prune(self.module_, 1.0)

    def _run_batches(self, iterator, training, prefix, step_fn):
        batches = self.history[-1]["batches"]
        for batch in iterator:
            batches.append({})
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch)
            batches[-1][f"{prefix}_loss"] = step["loss"].item()
            batches[-1][f"{prefix}_batch_size"] = len(batch[1])
            self.notify("on_batch_end", batch=batch, training=training, **step)
        self.history.record(f"{prefix}_batch_count", len(iterator))

    def notify(self, method_name, **cb_kwargs):
        """Tell the callbacks; stop after an epoch once all of them have seen it."""
        if method_name in _PER_BATCH:
            for listen in self.listeners_[method_name]:
                listen(self, **cb_kwargs)
            return
        super().notify(method_name, **cb_kwargs)
        if method_name == "on_epoch_end" and self.stop_training_:
            raise KeyboardInterrupt

    def _listeners(self, method_name) -> list:
        """The callbacks' methods of that name that do something."""
        methods = [getattr(callback, method_name) for _, callback in self.callbacks_]
        nothing = getattr(Callback, method_name)
        return [m for m in methods if getattr(m, "__func__", None) is not nothing]

    def keep_state(self):
        """Make the current weights the ones that training ends with."""
        self.kept_state_ = [tensor.detach().clone() for tensor in self.module_.tensors()]

    @torch.no_grad()
    def _restore(self, state):
        for tensor, kept in zip(self.module_.tensors(), state, strict=True):
            tensor.copy_(kept)

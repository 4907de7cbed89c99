"""The skorch net that trains: epochs, pruning around them, and the state that is kept."""

from __future__ import annotations

import math

import numpy as np
import torch
from skorch.callbacks import (
    BatchScoring,
    Callback,
    EarlyStopping,
    EpochScoring,
    PassthroughScoring,
)
from skorch.utils import TeeGenerator

from .auto import MOST_EPOCHS
from .batches import BatchLoader
from .callbacks import OwnCallback, ValidationScore, WholeEpoch
from .clock import Clock
from .face import ClassifierFace, Face, RegressorFace
from .optimizers import FusedSteps
from .rows import TrainingTable
from .step import TrainingStep

__all__ = ["ClassifierNet", "RegressorNet", "TrainingNet"]

# Of the callbacks, only those that do something are called: there are many batches.
_PER_BATCH = ("on_batch_begin", "on_grad_computed", "on_batch_end")


class TrainingNet(Face):
    """A skorch net that trains on a `TrainingTable` and keeps its last whole epoch.

    Parameters
    ----------
    view : View
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
    label : str
        What this training is, for people who watch.
    span : pair of float
        Where in the whole fit, from 0 to 1, it begins and ends.
    """

    def __init__(
        self, *args, view=None, pruner=None, always_prune=False, dropout=0.0, seed=(0,),
        stoppable=False, label="training", span=(0.0, 1.0), **kwargs,
    ):  # fmt: skip
        self.view, self.pruner, self.always_prune = view, pruner, always_prune
        self.dropout, self.seed = dropout, seed
        self.stoppable = stoppable
        self.label, self.span = label, span
        super().__init__(*args, **kwargs)

    # ---------------------------------------------------------------- schedule

    @property
    def progress(self) -> float:
        """How far the pruning phase has come, from 0 to 1, at the epoch that runs now."""
        return self.clock_.progress(self.epoch_)

    @property
    def limits_hold(self) -> bool:
        """Whether the limits hold at the end of the epoch that runs now, and from then on."""
        return self.progress >= 1

    def shorten(self, *, halve=False) -> None:
        """Let the rest of the schedule take fewer epochs, if the limits do not hold yet."""
        self.clock_.shorten(self.epoch_, MOST_EPOCHS, halve=halve)

    # ------------------------------------------------------------------ epochs

    def on_train_begin(self, net, **kwargs):
        """Start counting."""
        pruned = self.pruner is not None and not self.always_prune
        starts = self.pruner.schedule.starts if pruned else None
        self.epoch_, self.whole_, self.clock_ = 0, 0, Clock(self.max_epochs, starts)
        self.kept_state_, self.stop_training_, self.interrupted_ = None, False, False
        self.listeners_ = {name: self._listeners(name) for name in _PER_BATCH}

    def on_epoch_begin(self, net, **kwargs):
        """Count the epoch; where the limits come to hold, the best one is yet to come."""
        self.epoch_ += 1
        super().on_epoch_begin(net, **kwargs)
        if self.epoch_ > 1 and self.limits_hold and self.clock_.progress(self.epoch_ - 1) < 1:
            for _, callback in self.callbacks_:
                _forget_best(callback, self)

    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """Train on a `TrainingTable`; an interrupt leaves the last whole epoch.

        Raises
        ------
        KeyboardInterrupt
            If there is none.
        """
        training = self.training(X)
        proceed, found = training.send, None
        while True:
            try:
                batch = proceed(found)
            except StopIteration:
                return self
            try:
                proceed, found = training.send, self.train_step(batch)
            except BaseException as error:  # the training decides what an interrupt leaves
                proceed, found = training.throw, error

    def training(self, X):
        """Train on a `TrainingTable` step by step, whoever takes the steps.

        Yields
        ------
        Batch
            Send back what `train_step` returns of it.
        """
        seen = {"X": self.view.user.X, "y": self.view.user.target(slice(None))}
        self.notify("on_train_begin", **seen)
        try:
            yield from self._epochs(X)
        finally:
            for callback in self._callbacks_of(ours=True):
                callback.on_train_end(self, **seen)
        for callback in self._callbacks_of(ours=False):
            callback.on_train_end(self, **seen)

    def _epochs(self, X):
        """Run the epochs, and go back to the one that is kept."""
        train, valid = self.get_split_datasets(X)
        self.n_earlier_ = len(self.history)  # a callback may have loaded some
        try:
            self._begin(train.table, valid and valid.table)
            while self.epoch_ < self.clock_.n_epochs and not self.stop_training_:
                yield from self._run_epoch(train, valid)
        except KeyboardInterrupt:
            self.interrupted_ = True
        del self.history[len(self.history) - (self.epoch_ - self.whole_) :]
        if self.kept_state_ is None:
            raise KeyboardInterrupt("Training was interrupted before its first epoch was over.")
        self._restore_kept()

    def _begin(self, table, valid):
        if self.pruner is not None:
            self.pruner.watch(table)
        bits = np.random.PCG64(self.seed)
        # Callbacks of the user's may look at gradients and the optimizer, and change them.  On a GPU,
        # where launching kernels takes the time, steps are torch's own, too.
        ours = all(isinstance(callback, OwnCallback) for callback in self.given_callbacks)
        watched = not ours or torch.device(self.device).type != "cpu"
        self.step_ = TrainingStep(
            self.module_, self.criterion_.function, self.dropout, bits, watched=watched
        )
        self.steps_ = FusedSteps(self.optimizer_, watched=watched)
        random_state = np.random.RandomState(self.seed)
        self.batches_ = self._loader(table, random_state)
        self.valid_batches_ = valid and self._loader(valid)

    def _loader(self, table, random_state=None) -> BatchLoader:
        return BatchLoader(table, self.module_.input, self.batch_size, random_state)

    def _run_epoch(self, train, valid):
        seen = {"dataset_train": train, "dataset_valid": valid}
        self.notify("on_epoch_begin", **seen)
        yield from self._train(train)
        if valid is not None:
            yield from self._run_batches(self.valid_batches_, valid, "valid")
        self._end_epoch(**seen)

    def _train(self, rows):
        """One pass over the rows, and pruning around it.

        On the way to the limits pruning comes first, so that the epoch trains what is left.
        Once they hold it comes last, as weights have moved, and the state that is kept after
        the epoch must respect them.
        """
        if self.pruner is not None and not self.limits_hold:
            self.pruner.prune(self.module_, self.progress)
        for layer in self.module_.hidden:
            layer.rounds = self.limits_hold
        yield from self._run_batches(self.batches_, rows, "train")
        if self.pruner is not None and self.limits_hold:
            self.pruner.prune(self.module_, 1.0)

    def _run_batches(self, batches, rows, prefix):
        training, self.rows_ = prefix == "train", rows
        records = self.history[-1]["batches"]
        for batch in batches:
            records.append({})
            self._tell("on_batch_begin", batch, training=training)
            step = (yield batch) if training else self.validation_step(batch)
            loss = step["loss"].item()
            if training and not math.isfinite(loss):
                raise ValueError(
                    f"Training diverged: the loss is not finite. lr={self.lr} is too large; "
                    "lower it."
                )
            records[-1][f"{prefix}_loss"] = loss
            records[-1][f"{prefix}_batch_size"] = len(batch.index)
            self._tell("on_batch_end", batch, training=training, **step)
        self.history.record(f"{prefix}_batch_count", len(batches))

    # ------------------------------------------------------------------- steps

    def _set_training(self, training=True):
        # skorch walks all modules at every step; the mode changes twice an epoch at most.
        if self.module_.training != training:
            super()._set_training(training)

    def train_step(self, batch, **fit_params):
        """Gradients of one batch, and the optimizer's step."""
        values, step = batch.values, {}
        y, weight = batch.y.to(self.device), batch.weight.float().to(self.device)

        def closure():  # some optimizers call it several times
            loss, output = self.step_(values, y, weight)
            step.setdefault("loss", loss)
            step.setdefault("y_pred", output)
            if any(self.listeners_["on_grad_computed"]):
                parameters = TeeGenerator(self.get_all_learnable_params())
                self._tell("on_grad_computed", batch, named_parameters=parameters, training=True)
            return loss

        self._set_training(True)
        self.steps_.step(closure)
        return step

    def validation_step(self, batch, **fit_params):
        """Loss and output of one batch."""
        self._set_training(False)
        with torch.no_grad():
            output = self.module_.logits(batch.values)
            loss = self.criterion_(output, batch.y.to(output.device), batch.weight.to(output))
        return {"loss": loss, "y_pred": output}

    def row_errors(self, table: TrainingTable) -> np.ndarray:
        """What the loss calls the error of every row."""
        row_error = self.criterion_.function.row_error
        self._set_training(False)
        with torch.no_grad():
            return np.concatenate(
                [
                    row_error(self.module_.logits(batch.values).cpu(), batch.y)
                    for batch in self._loader(table)
                ]
            )

    # --------------------------------------------------------------- callbacks

    @property
    def given_callbacks(self) -> list[Callback]:
        """Ours and the user's, without those that every net of skorch has."""
        return [entry[1] if isinstance(entry, tuple) else entry for entry in self.callbacks]

    def _callbacks_of(self, *, ours: bool) -> list:
        return [c for _, c in self.callbacks_ if isinstance(c, OwnCallback) == ours]

    def _listeners(self, method_name) -> tuple[list, list]:
        """Methods of that name that do something, of our callbacks and of others."""
        nothing, parts = getattr(Callback, method_name), []
        for ours in (True, False):
            methods = [getattr(callback, method_name) for callback in self._callbacks_of(ours=ours)]
            parts.append([m for m in methods if getattr(m, "__func__", None) is not nothing])
        return tuple(parts)

    def _tell(self, method_name, batch, **seen):
        ours, others = self.listeners_[method_name]
        for listen in ours:
            listen(self, batch=batch, **seen)
        if not others:
            return
        *shown, among = self.rows_.batch(batch.index)
        if "y_pred" in seen:
            seen["y_pred"] = self.view.prediction(seen["y_pred"])[among]
        for listen in others:
            listen(self, batch=tuple(shown), **seen)

    def _end_epoch(self, **seen):
        """Tell all callbacks that it is over; one of them may want to stop."""
        for _, callback in self.callbacks_:
            try:
                callback.on_epoch_end(self, **seen)
            except KeyboardInterrupt:
                # Before the epoch is kept, and where only rates are the user's, it comes from
                # the keyboard.
                if not self.stoppable or self.whole_ < self.epoch_:
                    raise
                self.stop()

    def stop(self) -> None:
        """Stop at once if the limits hold, else after the rest of the schedule, which is shortened."""
        if not self.clock_.since:
            self.stop_training_ = self.limits_hold
            self.shorten(halve=True)

    # ------------------------------------------------------------------- state

    def keep_state(self):
        """Make the current weights the ones that training ends with."""
        self.kept_state_ = [tensor.detach().clone() for tensor in self.module_.tensors()]
        self.kept_epoch_ = self.epoch_

    def _restore_kept(self):
        while True:
            try:
                return self._restore(self.kept_state_)
            except KeyboardInterrupt:
                self.interrupted_ = True

    @torch.no_grad()
    def _restore(self, state):
        for tensor, kept in zip(self.module_.tensors(), state, strict=True):
            tensor.copy_(kept)
        if not self.steps_.watched:
            self.optimizer_.zero_grad()  # none of inference mode for anybody else


class ClassifierNet(ClassifierFace, TrainingNet):
    """A net that looks like skorch's `NeuralNetClassifier`."""


class RegressorNet(RegressorFace, TrainingNet):
    """A net that looks like skorch's `NeuralNetRegressor`."""


def _forget_best(callback, net):
    """Let only coming epochs count: those before were of networks that were too wide."""
    if isinstance(callback, (EarlyStopping, ValidationScore, WholeEpoch)):
        callback.on_train_begin(net)
    elif isinstance(callback, (BatchScoring, EpochScoring, PassthroughScoring)):
        callback.best_score_ = np.inf if callback.lower_is_better else -np.inf

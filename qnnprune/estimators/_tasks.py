"""A fit as the tree of tasks that callbacks of scikit-learn see, from scikit-learn 1.9 on.

The tree is fit, then epochs; where recipes are tried, it is fit, then each trial and the training,
then epochs.
"""

from __future__ import annotations

from copy import copy

from ..training.spec import Mode

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # before scikit-learn 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands in for scikit-learn's, and has no `set_callbacks`."""


__all__ = ["FitTasks", "Watched"]


class Watched(CallbackSupportMixin):
    """The part of an estimator that tells callbacks of scikit-learn how far `fit` is."""

    def _begin_tasks(self, X, y, sample_weight) -> FitTasks | None:
        """The root of the tree; None where nobody looks at it."""
        if not hasattr(self, "set_callbacks"):
            return None
        root = self._init_callback_context(max_subtasks=None)
        if not hasattr(self, "_skl_callbacks"):
            return None
        return FitTasks(self, root, X, y, sample_weight)

    def _attributes_as_of(self, trained) -> dict:
        """Attributes of the estimator if training had ended with what it has now."""
        fitted = copy(self)
        fitted._become_fitted(trained, Mode.FIT)
        trained.cache.clear()
        return vars(fitted)


class FitTasks:
    """Tasks of one call of `fit`.

    Parameters
    ----------
    estimator : BaseNeuralNet
    root : sklearn.callback.CallbackContext
    X, y, sample_weight
        As they came to `fit`.
    """

    def __init__(self, estimator, root, X, y, sample_weight):
        self.estimator, self.root, self.begun = estimator, root, False
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.shown = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}

    def training(self, name: str, n_epochs: int, n_trials: int = 0) -> Epochs:
        """A task whose parts are the epochs of a training.

        Parameters
        ----------
        name : str
        n_epochs : int
            At most.
        n_trials : int
            Trials that there are before the last training, if this is one of them.
        """
        if not self.begun:
            self.begun = True
            self.root.max_subtasks = n_trials + 1 if n_trials else n_epochs
            self.root.call_on_fit_task_begin(**self.shown)
            if not n_trials:
                return Epochs(self, self.root)
        context = self.root.subcontext(task_name=name, max_subtasks=n_epochs)
        return Epochs(self, context.call_on_fit_task_begin(**self.shown))

    def end(self) -> None:
        """Say that `fit` is over, and the estimator fitted."""
        self.root.call_on_fit_task_end(reconstruction_attributes={}, **self.shown)


class Epochs:
    """Tasks of one training: its epochs, one after the other."""

    def __init__(self, tasks: FitTasks, context):
        self.tasks, self.context = tasks, context

    def begin_epoch(self) -> None:
        """Say that an epoch begins."""
        self.epoch = self.context.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(**self.tasks.shown)

    def end_epoch(self, trained) -> bool:
        """Say that it is over; returns whether a callback wants to stop.

        Parameters
        ----------
        trained : callable or None
            Returns what training would leave behind now; None where that is not to be looked at.
        """
        attributes = self.tasks.estimator._attributes_as_of
        return self.epoch.call_on_fit_task_end(
            reconstruction_attributes=trained and (lambda: attributes(trained())),
            **self.tasks.shown,
        )

    def end(self) -> None:
        """Say that the training is over; of the root, `FitTasks.end` says it."""
        if self.context is not self.tasks.root:
            self.context.call_on_fit_task_end(**self.tasks.shown)

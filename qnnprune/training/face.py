"""What callbacks can reach of the net that trains: the face of skorch's classifier or regressor.

It speaks of the user's rows, labels, probabilities and targets, see `shown`; the module alone
takes levels.
"""

from __future__ import annotations

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import check_array
from skorch import NeuralNet
from skorch.callbacks import EpochTimer, PassthroughScoring
from skorch.dataset import Dataset
from skorch.utils import is_dataset
from torch import nn

from ..encoding._frames import is_frame
from .rows import TrainingTable
from .shown import ShownBatches, ShownRows

__all__ = ["ClassifierFace", "Criterion", "Face", "RegressorFace"]


class Criterion(nn.Module):
    """A loss of `losses` as the module that skorch has for one."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, output, y, weight):
        """Weighted mean of the rows' losses."""
        return self.function(output, y, weight)[0]


class Face(NeuralNet):
    """Methods of skorch's net that take the user's rows, and return predictions.

    Subclasses have a `view`, which leads from there to the network's terms and back.
    """

    @property
    def _default_callbacks(self):
        return [
            ("epoch_timer", EpochTimer()),
            ("train_loss", PassthroughScoring("train_loss", on_train=True)),
            ("valid_loss", PassthroughScoring("valid_loss")),
        ]

    def get_dataset(self, X, y=None):
        """A dataset of skorch from a `TrainingTable`, or from rows like those of `fit`."""
        if isinstance(X, TrainingTable):
            return ShownRows(self.view.user, X)
        if is_dataset(X):
            return X
        if is_frame(X):
            X = self.view.encoding.numbers(X)
        X = check_array(X, accept_sparse="csr", dtype="numeric", ensure_all_finite="allow-nan")
        n_features = self.view.encoding.n_features
        if X.shape[1] != n_features:
            raise ValueError(f"X has {X.shape[1]} features, but the net expects {n_features}.")
        return Dataset(X, y)

    def get_iterator(self, dataset, training=False):
        """Batches of the rows of a dataset, in its order."""
        if hasattr(dataset, "X"):
            return ShownBatches(dataset, self.batch_size)
        return super().get_iterator(dataset)

    def infer(self, x, **fit_params):
        """Class probabilities or targets for rows like those of `fit`."""
        return self.view.prediction(self.module_(self.view.levels(x)))

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Loss of predictions for labels or targets, every row weighing the same."""
        return self.view.loss(y_pred, y_true)


class ClassifierFace(ClassifierMixin):
    """Labels, and all that scorers ask a classifier for."""

    @property
    def classes_(self) -> np.ndarray:
        """Labels, in the order of the probabilities."""
        return self.view.user.classes

    def predict(self, X):
        """Labels as they came to `fit`."""
        probability = self.predict_proba(X)
        if self.view.outcome == "labels":
            return (probability > 0.5).astype(np.int64)
        return self.classes_[probability.argmax(axis=1)]


class RegressorFace(RegressorMixin):
    """All that scorers ask a regressor for."""

"""Rows, labels and predictions as a user's callbacks see them.

Inside, a network trains on merged rows of levels, class indices and standardised targets.
Callbacks see what a classifier or regressor of skorch shows them: the rows, labels and targets
that came to `fit`, and class probabilities or targets for predictions.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from skorch.dataset import Dataset
from torch import Tensor, nn

from ..encoding import InputEncoding
from ..integer._outcome import decode
from .rows import TrainingTable
from .spec import UserRows

__all__ = ["ShownBatches", "ShownRows", "View"]


class ShownRows(Dataset):
    """A `TrainingTable` as a dataset of skorch.

    Parameters
    ----------
    user : UserRows
    table : TrainingTable
        Rows of `user`, merged.  One that stands for several is there as often.

    Attributes
    ----------
    X : array, or scipy sparse CSR matrix, of shape (n, n_features)
    y : array of shape (n,) or (n, n_outputs)
        Labels or targets.
    """

    def __init__(self, user: UserRows, table: TrainingTable):
        self.user, self.table = user, table

    @cached_property
    def rows(self) -> np.ndarray:
        """The rows of `user` that are there."""
        return np.repeat(self.table.rows, self.table.copies)

    @property
    def X(self):
        """The rows themselves."""
        return self.user.X[self.rows]

    @property
    def y(self) -> np.ndarray:
        """What belongs to them."""
        return self.user.target(self.rows)

    @property
    def weight(self) -> np.ndarray:
        """Their weights, which are 1 on average where no row is there twice."""
        return np.repeat(self.table.weight / self.table.copies, self.table.copies)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index):
        X, y = self.user.X[self.rows[[index]]], self.user.target(self.rows[[index]])
        return _dense(X)[0], y[0]

    def batch(self, index: np.ndarray) -> tuple:
        """X and y of some rows of the table, and which of them each row of X is."""
        among = np.repeat(np.arange(len(index)), self.table.copies[index])
        rows = self.table.rows[index[among]]
        return _tensor(_dense(self.user.X[rows])), _tensor(self.user.target(rows)), among


class ShownBatches:
    """Serves a dataset of skorch in whole batches, in its order."""

    def __init__(self, dataset: Dataset, batch_size: int):
        self.dataset, self.batch_size = dataset, batch_size

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self):
        X, y = self.dataset.X, self.dataset.y
        for start in range(0, len(self.dataset), self.batch_size):
            rows = slice(start, start + self.batch_size)
            labels = torch.zeros(len(self.dataset))[rows] if y is None else _tensor(y[rows])
            yield _tensor(_dense(X[rows])), labels


class View:
    """What leads from the user's terms to the network's, and back.

    Parameters
    ----------
    user : UserRows
    encoding : InputEncoding
    mean, scale : float64 arrays of shape (n_outputs,)
        From the network's outputs to logits or targets.
    outcome : str or None
        What these stand for, see `qnnprune.integer`.
    criterion : Loss
        What training minimises.
    """

    def __init__(
        self, user: UserRows, encoding: InputEncoding, mean, scale, outcome=None, criterion=None
    ):
        self.user, self.encoding, self.mean, self.scale = user, encoding, mean, scale
        self.outcome, self.criterion = outcome, criterion

    def levels(self, X) -> Tensor:
        """Levels of rows like those that came to `fit`."""
        return torch.from_numpy(self.encoding.levels(np.asarray(X)))

    def prediction(self, output: Tensor) -> Tensor:
        """Class probabilities or targets, in float64, from the network's outputs."""
        output = output.detach().cpu().double()
        output = output * torch.from_numpy(self.scale) + torch.from_numpy(self.mean)
        if self.user.classes is None:
            return torch.from_numpy(decode(output.numpy(), None, self.outcome))
        if self.outcome == "labels":
            return torch.sigmoid(output)
        if len(self.user.classes) == 2:
            output = torch.cat([torch.zeros_like(output), output], dim=1)
        return torch.softmax(output, dim=1)

    def loss(self, prediction: Tensor, y) -> Tensor:
        """The loss that training minimises, of predictions and labels or targets."""
        y = np.asarray(y)
        if self.outcome == "labels":
            return nn.functional.binary_cross_entropy(
                prediction, torch.from_numpy(y).to(prediction)
            )
        if self.user.classes is not None:
            index = torch.from_numpy(np.searchsorted(self.user.classes, y))
            return nn.functional.nll_loss(torch.log(prediction), index)
        output, y = self._output(_columns(prediction.detach().cpu())), self._target(_columns(y))
        return self.criterion(output, y, torch.ones(len(y)).double())[0]

    def _output(self, prediction: np.ndarray) -> Tensor:
        """The network's outputs that lead to predictions."""
        values = np.log(prediction) if self.outcome == "log" else prediction
        return torch.from_numpy((values - self.mean) / self.scale)

    def _target(self, y: np.ndarray) -> Tensor:
        """Targets as the network is trained for them."""
        is_log = self.outcome == "log"
        return torch.from_numpy(y / np.exp(self.mean) if is_log else (y - self.mean) / self.scale)


def _columns(values) -> np.ndarray:
    return np.asarray(values, dtype=np.float64).reshape(len(values), -1)


def _dense(X):
    return X.toarray() if hasattr(X, "toarray") else X


def _tensor(values: np.ndarray):
    """A tensor, if there is one for that type: none holds texts."""
    try:
        return torch.from_numpy(np.ascontiguousarray(values))
    except (TypeError, ValueError):
        return values

"""Whole batches of training rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .rows import TrainingTable

__all__ = ["Batch", "BatchLoader"]


class Batch(NamedTuple):
    """Some rows of a `TrainingTable`.

    Attributes
    ----------
    index : int array of shape (n,)
        Their positions in the table.
    levels : unsigned integer tensor of shape (n, n_features)
    y : tensor of shape (n,) or (n, n_outputs)
        Class indices, or standardised targets in float64.
    weight : float64 tensor of shape (n,)
    """

    index: np.ndarray
    levels: Tensor
    y: Tensor
    weight: Tensor


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
        rows = self.table.rows[order]
        y = torch.from_numpy(self.table.y[order])
        weight = torch.from_numpy(self.table.weight[order])
        ends = np.linspace(0, len(order), self.n_batches + 1).astype(int).tolist()
        for start, end in zip(ends, ends[1:], strict=False):
            levels = torch.from_numpy(self.table.levels(rows[start:end]))
            yield Batch(order[start:end], levels, y[start:end], weight[start:end])

"""Whole batches of training rows."""

from __future__ import annotations

import math
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .._utils import row_blocks
from .blocks import InputCodes
from .rows import TrainingTable

__all__ = ["Batch", "BatchLoader"]

_MOST_VALUES = 2**24  # of input codes, that are kept from epoch to epoch: 64 MB


class Batch(NamedTuple):
    """Some rows of a `TrainingTable`.

    Attributes
    ----------
    loader : BatchLoader
        Where they come from.
    index : int array of shape (n,)
        Their positions in the table.
    """

    loader: BatchLoader
    index: np.ndarray

    # Made when it is asked for: one of many nets that train as one does.

    @property
    def values(self) -> Tensor:
        """Values of the input codes, of shape (n, n_in), on the device of the network."""
        return self.loader.values(self.index)

    @property
    def y(self) -> Tensor:
        """Class indices, or standardised targets in float64; of shape (n,) or (n, n_outputs)."""
        return torch.from_numpy(self.loader.table.y[self.index])

    @property
    def weight(self) -> Tensor:
        """Weights, a float64 tensor of shape (n,)."""
        return torch.from_numpy(self.loader.table.weight[self.index])


class BatchLoader:
    """Serves batches of a `TrainingTable` as whole tensors, of nearly equal sizes.

    Parameters
    ----------
    table : TrainingTable
    encode : InputCodes
    batch_size : int
    random_state : numpy.random.RandomState, optional
        Shuffles the rows anew at each pass.
    """

    def __init__(
        self, table: TrainingTable, encode: InputCodes, batch_size: int, random_state=None
    ):
        self.table, self.encode, self.random_state = table, encode, random_state
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
        ends = np.linspace(0, len(order), self.n_batches + 1).astype(int).tolist()
        for start, end in zip(ends, ends[1:], strict=False):
            yield Batch(self, order[start:end])

    def values(self, index: np.ndarray) -> Tensor:
        """Values of the input codes of some rows, by their positions in the table."""
        if self._all_values is None:
            return self._encoded(index)
        rows = torch.from_numpy(index).to(self._all_values.device)
        return self._all_values.index_select(0, rows)

    def _encoded(self, index) -> Tensor:
        return self.encode(torch.from_numpy(self.table.levels(self.table.rows[index])))

    @cached_property
    def _all_values(self) -> Tensor | None:
        """Values of all rows; None where these are too many."""
        shape = len(self.table), self.encode.n_values
        if math.prod(shape) > _MOST_VALUES:
            return None
        return torch.cat([self._encoded(rows) for rows in row_blocks(*shape)])

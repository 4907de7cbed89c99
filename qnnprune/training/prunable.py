"""Layers of the module as the pruner sees them: weights, masks and codes as numpy arrays."""

from __future__ import annotations

import numpy as np
import torch

__all__ = ["PrunableLayer"]


class PrunableLayer:
    """What pruning reads and changes of one layer.

    Parameters
    ----------
    block : HiddenBlock or OutputBlock
        With a quantized linear layer.

    Attributes
    ----------
    n_outputs : int or None
        Outputs that the rows of an output layer are sums of; None of a hidden layer.
    """

    def __init__(self, block):
        self._block, self._weight = block, block.linear.weight
        self._quantizer = block.linear.weight_quant.tensor_quant
        self.n_outputs = len(block.gain) if hasattr(block, "gain") else None

    @property
    def weight(self) -> np.ndarray:
        """float32 array of shape (n_out, n_in), not masked."""
        return self._weight.detach().cpu().numpy()

    @property
    def mask(self) -> np.ndarray:
        """bool array of shape (n_out, n_in): the weights that are kept."""
        return self._quantizer.mask.cpu().numpy() > 0

    @property
    def n_connected(self) -> int:
        """Weights that it has before pruning, a count: neurons read those of their own member."""
        connected = self._block.connected
        return self._weight.numel() if connected is True else int(connected.sum())

    @property
    def codes(self) -> np.ndarray:
        """int32 array of shape (n_out, n_in): weights in integers, before the mask."""
        return self._quantizer.codes(self._weight).cpu().numpy().astype(np.int32)

    @property
    def slope_sign(self) -> np.ndarray:
        """int32 array of shape (n_out,): -1 for rows that the integer network stores negated."""
        return self._block.slope_sign.cpu().numpy().astype(np.int32)

    def set_mask(self, mask: np.ndarray) -> None:
        """Keep the weights where a boolean array is True."""
        self._quantizer.set_mask(mask)

    @torch.no_grad()
    def set_code(self, row: int, column: int, code: int) -> None:
        """Give one weight the value that rounds to `code`."""
        self._quantizer.set_code(self._weight, row, column, code)

    def refresh_scale(self) -> None:
        """Fit the scale of every row to its kept weights."""
        self._quantizer.refresh_scale(self._weight)

    def let_pruned_learn(self, learn: bool) -> None:
        """Give pruned weights a gradient, or take it from them."""
        self._quantizer.dense_gradient = learn

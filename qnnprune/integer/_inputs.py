"""What an integer graph makes of its input: codes, by thresholds in floating point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._utils import row_blocks
from ..encoding._thresholds import count_reached

__all__ = ["CodedInput"]

_BLOCK_VALUES = 2**22


@dataclass(frozen=True, eq=False)
class CodedInput:
    """Float inputs to codes: ``first + slope * #{t : x >= threshold_t}``.

    Attributes
    ----------
    shape : tuple of int
        Of one row, channels first.
    range : int64 array of shape (n_channels, 2)
        Smallest and largest code of each channel, inclusive.
    thresholds : float32 array of shape (n_channels, n_thresholds), or None
        Ascending in each row.  None: the input is integers, which are codes as they are.
    first, slope : int64 arrays of shape (n_channels,), or None
        As in `Thresholds`.
    """

    shape: tuple[int, ...]
    range: np.ndarray
    thresholds: np.ndarray | None = None
    first: np.ndarray | None = None
    slope: np.ndarray | None = None

    def codes(self, X) -> np.ndarray:
        """Codes of inputs.

        Parameters
        ----------
        X : array of real numbers of shape (n_rows, *shape)
            Rounded to float32, as torch has them.  Where `shape` has one axis, rows of any
            shape with as many values.

        Returns
        -------
        int32 array of shape (n_rows, *shape)

        Raises
        ------
        ValueError
            If the shape is another one, a value is no number, or a code is out of `range`.
        """
        X = np.asarray(X)
        if len(self.shape) == 1 and X.ndim > 1:
            X = X.reshape(len(X), -1)
        if X.dtype.kind not in "biuf" or X.shape[1:] != self.shape:
            raise ValueError(
                f"X has shape {X.shape} and dtype {X.dtype}, but this network takes real numbers of "
                f"shape (n_rows, {', '.join(map(str, self.shape))})."
            )
        if X.dtype.kind == "f" and np.isnan(X).any():
            raise ValueError("X contains NaN: impute or drop these values first.")
        if self.thresholds is None:
            return self.checked(_whole(X))
        return self.checked(self._counted(X, self.thresholds.T))

    def checked(self, codes: np.ndarray) -> np.ndarray:
        """The same codes, if they are integers of the right shape within `range`."""
        codes = np.asarray(codes)
        if codes.dtype.kind not in "iu" or codes.shape[1:] != self.shape:
            raise ValueError(
                f"codes has shape {codes.shape} and dtype {codes.dtype}, but this network takes "
                f"integers of shape (n_rows, {', '.join(map(str, self.shape))})."
            )
        low, high = self.range.T.reshape(2, 1, -1, *[1] * (len(self.shape) - 1))
        if ((codes < low) | (codes > high)).any():
            raise ValueError(
                f"Some codes lie outside input_range, {self.range[:, 0].min()} to "
                f"{self.range[:, 1].max()}, on which the proof rests."
            )
        return codes.astype(np.int32)

    def _counted(self, X, thresholds):
        rows = np.moveaxis(X.astype(np.float32), 1, -1)
        flat = rows.reshape(-1, rows.shape[-1])
        counts = np.empty(flat.shape, np.int32)
        for block in row_blocks(len(flat), flat.shape[1], _BLOCK_VALUES):
            counts[block] = count_reached(flat[block], thresholds)
        codes = (self.first + self.slope * counts).reshape(rows.shape)
        return np.moveaxis(codes, -1, 1)


def _whole(X: np.ndarray) -> np.ndarray:
    whole = X.astype(np.int32)
    if not np.array_equal(whole, X):
        raise ValueError("This network has no quantizer at its input: X must hold integers.")
    return whole

"""Input codes as `predict` reads them: each counts the thresholds of its own segment.

So none are compared twice, and no levels are spread.  Comparisons run along memory: where a
feature has several segments its values become a row, which is compared with one threshold after
another; else rows of X are compared as they lie.
"""

from __future__ import annotations

import numpy as np

from ..accumulators import code_range
from ._encoding import InputEncoding
from ._thresholds import RowThresholds, count_into

__all__ = ["CodeColumns"]

_MOST_STEPS = 7  # of a segment: beyond, levels are found faster by a search
_FEW_ROWS = 16  # up to here one comparison of all codes is faster than one per group of features
_TURNED = 128  # rows that stay in the nearest cache while they become columns


class CodeColumns:
    """Codes of an encoding, for rows of one floating-point type.

    Parameters
    ----------
    encoding : InputEncoding
    dtype : numpy dtype
        Of X: float32 or float64.

    Attributes
    ----------
    order : int64 array of shape (n_in,)
        Which code each row of `codes` is.
    """

    def __init__(self, encoding: InputEncoding, dtype):
        self.encoding, self.dtype = encoding, dtype
        self.low = code_range(encoding.n_bits)[0]
        self.order = encoding.order_by_segment
        self.counts_segments = encoding.steps <= _MOST_STEPS and not any(
            table is not None for table in encoding.tables
        )
        if self.counts_segments:
            self._arrange(encoding.thresholds_for(dtype))

    def _arrange(self, thresholds: np.ndarray):
        """Lay out the thresholds of every code, and choose between rows and columns."""
        encoding = self.encoding
        self.by_row = encoding.n_segments.max() <= 1
        if self.by_row:
            self.order = np.arange(encoding.n_features)
        else:  # features of equally many segments beside each other
            self.order = np.argsort(encoding.n_segments[encoding.feature], kind="stable")
        self.feature = encoding.feature[self.order]
        n_segments = encoding.n_segments[self.feature]
        self.constant = np.flatnonzero(n_segments == 0)
        levels = encoding.offset[self.order] + np.arange(encoding.steps)[:, None]
        # A constant feature lacks thresholds, and what is counted for it is not kept.
        by_code = thresholds[self.feature, np.minimum(levels, thresholds.shape[1] - 1)]
        self.row_thresholds = RowThresholds(by_code)
        self.groups: list = []
        for n in () if self.by_row else np.unique(n_segments[n_segments > 0]).tolist():
            rows = slice(*np.searchsorted(n_segments, [n, n + 1]))
            shape = encoding.steps, -1, n, 1
            features = self.feature[rows][::n]
            self.groups.append((rows, features, by_code[:, rows].reshape(shape)))

    def codes(self, X: np.ndarray, has_gaps: bool, scratch) -> np.ndarray:
        """Codes of a block of rows.

        Parameters
        ----------
        X : real array of shape (n, n_features)
        has_gaps : bool
            Whether some values are NaN.
        scratch : Scratch
            Where to compute.

        Returns
        -------
        int8 array of shape (n_in, n)
            In memory by row or by column.
        """
        X = X.astype(self.dtype, copy=False)
        if has_gaps or not self.counts_segments:
            return self._by_level(X)
        if self.by_row:
            return self._by_row(X, scratch)
        if len(X) <= _FEW_ROWS:
            return self._by_row(X[:, self.feature], scratch)
        return self._by_column(X, scratch)

    def _by_column(self, X, scratch) -> np.ndarray:
        columns = scratch.array("X", X.shape[::-1], X.dtype)
        for start in range(0, len(X), _TURNED):
            part = slice(start, start + _TURNED)
            np.copyto(columns[:, part], X[part].T)
        counts = scratch.array("input", (len(self.order), len(X)), np.uint8)
        for rows, features, thresholds in self.groups:
            values = columns if len(features) == len(columns) else columns[features]
            count = counts[rows].reshape(*thresholds.shape[1:3], len(X))
            count_into(values[:, None], thresholds, count, scratch)
        codes = self._shifted(counts)
        codes[self.constant] = 0
        return codes

    def _by_row(self, values, scratch) -> np.ndarray:
        """Codes of one value each, many rows of them at a time."""
        counts = scratch.array("input", values.shape, np.uint8)
        self.row_thresholds.count_into(values, counts, scratch)
        codes = self._shifted(counts)
        codes[:, self.constant] = 0
        return codes.T

    def _shifted(self, counts) -> np.ndarray:
        np.add(counts, np.uint8(self.low % 256), out=counts)
        return counts.view(np.int8)

    def _by_level(self, X) -> np.ndarray:
        codes = self.encoding.codes_by_segment(self.encoding.levels(X))
        if not self.counts_segments:
            return np.ascontiguousarray(codes.T)
        return codes.T[np.argsort(self.encoding.order_by_segment)[self.order]]

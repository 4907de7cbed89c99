"""Input codes as `predict` reads them: one row of memory a code, one column a row of X.

Each code of a ramp counts the thresholds of its own segment.  So none are compared twice, no
levels are spread, and every comparison runs along memory with one threshold.
"""

from __future__ import annotations

import numpy as np

from ..accumulators import code_range
from ._encoding import InputEncoding
from ._thresholds import count_into

__all__ = ["CodeColumns"]

_MOST_STEPS = 7  # of a segment: beyond, levels are found faster by a search
_MANY_FEATURES = 256  # from here on rows of X are long enough to be compared as they lie


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
        self.groups: list = []
        self.constant: slice | np.ndarray = slice(0, 0)
        self.counts_segments = encoding.steps <= _MOST_STEPS and not any(
            table is not None for table in encoding.tables
        )
        self.row_thresholds: list | None = None
        if not self.counts_segments:
            self.order = encoding.order_by_segment
        elif encoding.n_segments.max() <= 1 and encoding.n_features >= _MANY_FEATURES:
            self.order = np.arange(encoding.n_features)
            self.constant = np.flatnonzero(encoding.n_segments == 0)
            self.row_thresholds = list(encoding.thresholds_for(dtype).T[: encoding.steps])
        else:
            self._group(dtype)

    def _group(self, dtype):
        """Put features of equally many segments beside each other."""
        encoding = self.encoding
        first = np.cumsum(encoding.n_codes) - encoding.n_codes
        places, start = [], 0
        for n_segments in np.unique(encoding.n_segments).tolist():
            features = np.flatnonzero(encoding.n_segments == n_segments)
            n_codes = max(n_segments, 1)
            places.append((first[features, None] + np.arange(n_codes)).ravel())
            rows = slice(start, start + len(features) * n_codes)
            if n_segments:
                self.groups.append((rows, features, self._thresholds(features, n_segments, dtype)))
            else:
                self.constant = rows
            start = rows.stop
        self.order = np.concatenate(places)

    def _thresholds(self, features, n_segments: int, dtype) -> np.ndarray:
        """Of every segment: array of shape (steps, n_features, n_segments, 1)."""
        steps = self.encoding.steps
        chosen = self.encoding.thresholds_for(dtype)[features, : n_segments * steps]
        by_step = chosen.reshape(len(features), n_segments, steps).transpose(2, 0, 1)
        return np.ascontiguousarray(by_step)[..., None]

    def codes(self, X: np.ndarray, scratch) -> np.ndarray:
        """Codes of a block of rows.

        Parameters
        ----------
        X : real array of shape (n, n_features)
        scratch : Scratch
            Where to compute.

        Returns
        -------
        int8 array of shape (n_in, n)
        """
        X = X.astype(self.dtype, copy=False)
        if not self.counts_segments:
            return self._by_level(X)
        if self.row_thresholds is not None:
            return self._by_row(X, scratch)
        columns = scratch.array("X", X.shape[::-1], X.dtype)
        np.copyto(columns, X.T)
        if np.isnan(columns.min(initial=0)):
            return self._by_level(X)
        counts = scratch.array("input", (len(self.order), len(X)), np.uint8)
        for rows, features, thresholds in self.groups:
            values = columns if len(features) == len(columns) else columns[features]
            count = counts[rows].reshape(*thresholds.shape[1:3], len(X))
            count_into(values[:, None], thresholds, count, scratch)
        codes = self._shifted(counts)
        codes[self.constant] = 0
        return codes

    def _by_row(self, X, scratch) -> np.ndarray:
        if np.isnan(X.min(initial=0)):
            return self._by_level(X)
        counts = scratch.array("input", X.shape, np.uint8)
        count_into(X, self.row_thresholds, counts, scratch)
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

"""Input codes as `predict` reads them: one row of memory a code, one column a row of X.

Each code of a ramp counts the thresholds of its own segment.  So none are compared twice, no
levels are spread, and every comparison runs along memory with one threshold.
"""

from __future__ import annotations

import numpy as np

from ..accumulators import code_range
from ._encoding import InputEncoding
from ._thresholds import count_in_rows

__all__ = ["CodeColumns"]

_MOST_STEPS = 7  # of a segment: beyond, levels are found faster by a search


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
        self.encoding, self.low = encoding, code_range(encoding.n_bits)[0]
        self.groups: list = []
        self.constant = slice(0, 0)
        self.counts_segments = encoding.steps <= _MOST_STEPS and not any(
            table is not None for table in encoding.tables
        )
        if not self.counts_segments:
            self.order = encoding.order_by_segment
            return
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
        X : array of shape (n, n_features)
        scratch : Scratch
            Where to compute.

        Returns
        -------
        int8 array of shape (n_in, n)
        """
        if not self.counts_segments:
            return self._by_level(X)
        columns = scratch.array("X", X.shape[::-1], X.dtype)
        np.copyto(columns, X.T)
        if np.isnan(columns.min(initial=0)):
            return self._by_level(X)
        counts = scratch.array("input", (len(self.order), len(X)), np.uint8)
        for rows, features, thresholds in self.groups:
            values = columns if len(features) == len(columns) else columns[features]
            count = counts[rows].reshape(*thresholds.shape[1:3], len(X))
            count_in_rows(values[:, None], thresholds, count, scratch)
        codes = counts.view(np.int8)
        np.add(counts, np.uint8(self.low % 256), out=counts)
        codes[self.constant] = 0
        return codes

    def _by_level(self, X) -> np.ndarray:
        codes = self.encoding.codes_by_segment(self.encoding.levels(X))
        if not self.counts_segments:
            return np.ascontiguousarray(codes.T)
        return codes.T[np.argsort(self.encoding.order_by_segment)[self.order]]

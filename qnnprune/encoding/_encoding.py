"""Input encoding: features in the clear to integer codes, by sorted thresholds.

Every feature is cut into quantile segments, and every segment is one input of the
network: a piecewise-linear ramp clip((x - q_t) / (q_{t+1} - q_t), 0, 1), quantized
to codes of ``n_bits`` (Gorishniy et al. 2022, "On Embeddings for Numerical Features
in Tabular Deep Learning", with the ramps quantized).  All codes of one feature
follow from one number, its *level*: how many of its sorted thresholds x reaches.
Levels are small integers, so a table is stored once, in one or two bytes a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from operator import index

import numpy as np

from .._utils import state_without_caches
from ..accumulators import code_range
from ._thresholds import count_reached, rounded_up

__all__ = ["InputEncoding", "shifted"]

# Up to here it is faster to compare with every threshold than to search each feature's.
_COMPARED_LEVELS = 64
# Up to here, in comparisons, all of them at once.
_COMPARED_AT_ONCE = 2**14


@dataclass(frozen=True, eq=False)
class InputEncoding:
    """Sorted thresholds of every feature, and the codes that follow from them.

    Attributes
    ----------
    thresholds : float64 array of shape (n_features, n_levels)
        Ascending in each row; rows of features with fewer levels end in +inf.
    n_segments : int64 array of shape (n_features,)
        Segments of each feature: 0 for a constant one, which gets one code that
        never changes.
    n_bits : int
        Width of a code, in bits.
    """

    thresholds: np.ndarray
    n_segments: np.ndarray
    n_bits: int

    def __post_init__(self):
        object.__setattr__(self, "n_bits", index(self.n_bits))

    def __getstate__(self):
        return state_without_caches(self)

    def __setstate__(self, state):
        self.__dict__.update(state)

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return len(self.n_segments)

    @property
    def steps(self) -> int:
        """Levels in a segment above its lowest: ``2**n_bits - 1``."""
        return 2**self.n_bits - 1

    @cached_property
    def feature(self) -> np.ndarray:
        """Feature that each code comes from: int64 array of shape (n_in,)."""
        return np.repeat(np.arange(self.n_features), np.maximum(self.n_segments, 1))

    @cached_property
    def offset(self) -> np.ndarray:
        """Level at which each code starts to rise: int64 array of shape (n_in,)."""
        first = np.concatenate([[0], np.cumsum(np.maximum(self.n_segments, 1))[:-1]])
        return (np.arange(len(self.feature)) - first[self.feature]) * self.steps

    @cached_property
    def input_range(self) -> np.ndarray:
        """Smallest and largest code, inclusive: int64 array of shape (n_in, 2)."""
        ranges = np.tile(np.array(code_range(self.n_bits), dtype=np.int64), (len(self.feature), 1))
        ranges[self.n_segments[self.feature] == 0] = 0
        return ranges

    @property
    def level_dtype(self) -> np.dtype:
        """The smallest unsigned type that holds every level."""
        return np.min_scalar_type(self.thresholds.shape[1])

    def levels(self, X: np.ndarray) -> np.ndarray:
        """Count the thresholds that each value reaches.

        Parameters
        ----------
        X : real array of shape (n_samples, n_features)

        Returns
        -------
        unsigned integer array of shape (n_samples, n_features)
        """
        if X.dtype != np.float32:
            X = X.astype(np.float64, copy=False)
        n_levels = self.thresholds.shape[1]
        if X.size * n_levels <= _COMPARED_AT_ONCE:
            reached = X[:, :, None] >= self.thresholds
            return reached.sum(axis=2, dtype=self.level_dtype)
        if n_levels <= _COMPARED_LEVELS:
            columns = self._single_columns if X.dtype == np.float32 else self._columns
            return count_reached(np.ascontiguousarray(X), columns, self.level_dtype)
        levels = np.empty(X.shape, dtype=self.level_dtype)
        for column, thresholds in enumerate(self.thresholds):
            x = X[:, column].astype(np.float64)
            levels[:, column] = np.searchsorted(thresholds, x, side="right")
        return levels

    @cached_property
    def _columns(self) -> np.ndarray:
        return np.ascontiguousarray(self.thresholds.T)

    @cached_property
    def _single_columns(self) -> np.ndarray:
        return rounded_up(self._columns, np.float32)

    def codes(self, levels: np.ndarray) -> np.ndarray:
        """Spread levels over the segments of their features.

        Parameters
        ----------
        levels : unsigned integer array of shape (n_samples, n_features)
            What `levels` returns.

        Returns
        -------
        int8 array of shape (n_samples, n_in)
        """
        codes = self.codes_by_segment(levels)
        return codes if len(self._segments) == 1 else codes[:, np.argsort(self.order_by_segment)]

    @cached_property
    def order_by_segment(self) -> np.ndarray:
        """Codes, first segments of all features first: int64 array of shape (n_in,)."""
        return np.argsort(self.offset, kind="stable")

    @cached_property
    def _segments(self) -> list:
        """Features that have a first segment, a second one, and so on."""
        counts = np.maximum(self.n_segments, 1)
        features = [np.flatnonzero(counts > segment) for segment in range(counts.max(initial=1))]
        return [slice(None) if len(f) == self.n_features else f for f in features]

    def codes_by_segment(self, levels: np.ndarray) -> np.ndarray:
        """The columns of `codes` in the order `order_by_segment`, in a fraction of the time.

        `predict` reads these; `codes`, which keeps the segments of a feature together, is what
        users see.

        Parameters
        ----------
        levels : unsigned integer array of shape (n_samples, n_features)
            What `levels` returns.

        Returns
        -------
        int8 array of shape (n_samples, n_in)
        """
        count = levels if len(self._segments) == 1 else self._spread(levels)
        codes = shifted(count, code_range(self.n_bits)[0])
        codes[:, self._constant] = 0
        return codes

    def _spread(self, levels: np.ndarray) -> np.ndarray:
        """Steps that each segment has risen, of at most 255."""
        risen, start = np.empty((len(levels), len(self.feature)), dtype=np.uint8), 0
        for segment, features in enumerate(self._segments):
            part, begins = levels[:, features], segment * self.steps
            part = np.minimum(np.maximum(part, begins) - part.dtype.type(begins), self.steps)
            risen[:, start : start + part.shape[1]] = part
            start += part.shape[1]
        return risen

    @cached_property
    def _constant(self) -> np.ndarray:
        """Positions by segment of the codes that never change: first segments all of them."""
        return np.flatnonzero(self.n_segments == 0)


def shifted(count: np.ndarray, low: int) -> np.ndarray:
    """Counts of at most 255 (uint8) plus `low`, as int8 codes: the sum modulo 256."""
    return (count.astype(np.uint8, copy=False) + np.uint8(low % 256)).view(np.int8)

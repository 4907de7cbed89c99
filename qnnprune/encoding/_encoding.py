"""Input encoding: features in the clear to levels, and levels to integer codes.

Every feature has *levels*: how many of its sorted thresholds x reaches, or a level of its own
for a gap.  All codes of a feature follow from its level, in one of two ways:

- A *ramp*.  The feature is cut into quantile segments, and every segment is one input of the
  network: a piecewise-linear ramp clip((x - q_t) / (q_{t+1} - q_t), 0, 1), quantized to codes of
  ``n_bits`` (Gorishniy et al. 2022, "On Embeddings for Numerical Features in Tabular Deep
  Learning", with the ramps quantized).
- A *table*: one row of codes per level.  Categories, and numbers with gaps, have one.

Levels are small integers, so rows are stored once, in one or two bytes per value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from operator import index
from typing import Any

import numpy as np

from .._utils import state_without_caches
from ..accumulators import code_range
from ._frames import is_frame, label, types_of
from ._rows import all_finite, check_finite, check_others, converted
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
    thresholds : float64 array of shape (n_features, n_thresholds)
        Ascending in each row; rows of features with fewer of them end in +inf.  Those of a
        categorical feature are 0.5, 1.5, and so on, one per category.
    n_segments : int64 array of shape (n_features,)
        Segments of the ramp of each feature: 0 for one whose table is no ramp, and for a constant
        one, which gets one code that never changes.
    n_bits : int
        Width of a code, in bits.
    tables : tuple of None or int8 arrays of shape (n_levels, n_codes)
        One entry per feature: None for a plain ramp, else the codes at each of its levels.
    categories : tuple of None or arrays of shape (n_categories,)
        One entry per feature: None for numbers, else the known values, of one type: category i
        is level i.  Level ``n_categories`` is that of all others, rare and unknown ones alike.
    missing_level : int64 array of shape (n_features,)
        Level of a gap; -1 where gaps are refused.
    is_date : bool array of shape (n_features,)
        Whether values are dates, which count as days since 1970-01-01.
    takes_others : bool array of shape (n_features,)
        False where a value that is none of the categories is refused.
    single_thresholds : float32 array of shape (n_features, n_thresholds), or None
        Thresholds for values in float32, where they are not `thresholds` rounded up: those of a
        pipeline that computes in float32 where it gets float32.  `thresholds_for` gives either.
    blocks : int64 array of shape (n_features,), or None
        With `single_thresholds` alone: the same number for features that such a pipeline turns
        into one array: it computes in float32 where this is what numpy makes of their types.
    """

    thresholds: np.ndarray
    n_segments: np.ndarray
    n_bits: int
    tables: tuple = ()
    categories: tuple = ()
    missing_level: np.ndarray = field(default_factory=lambda: np.empty(0))
    is_date: np.ndarray = field(default_factory=lambda: np.empty(0))
    takes_others: np.ndarray = field(default_factory=lambda: np.empty(0))
    single_thresholds: np.ndarray | None = None
    blocks: np.ndarray | None = None

    def __post_init__(self):
        object.__setattr__(self, "n_bits", index(self.n_bits))
        n_features = len(self.n_segments)
        none = {
            "tables": (None,) * n_features,
            "categories": (None,) * n_features,
            "missing_level": np.full(n_features, -1),
            "is_date": np.zeros(n_features, dtype=bool),
            "takes_others": np.ones(n_features, dtype=bool),
        }
        for name, value in none.items():
            if not len(getattr(self, name)):
                object.__setattr__(self, name, value)

    def __getstate__(self):
        return state_without_caches(self)

    def __setstate__(self, state):
        # Pickles from before there were tables lack some attributes.
        empty = np.empty(0)
        later: dict[str, Any] = dict.fromkeys(("missing_level", "is_date", "takes_others"), empty)
        later |= {"tables": (), "categories": (), "single_thresholds": None, "blocks": None}
        self.__dict__.update(later | state)
        self.__post_init__()

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return len(self.n_segments)

    @property
    def steps(self) -> int:
        """Levels in a segment above its lowest: ``2**n_bits - 1``."""
        return 2**self.n_bits - 1

    @cached_property
    def n_codes(self) -> np.ndarray:
        """Codes of each feature: int64 array of shape (n_features,)."""
        ramps = np.maximum(self.n_segments, 1).tolist()
        pairs = zip(ramps, self.tables, strict=True)
        return np.array([n if t is None else t.shape[1] for n, t in pairs], dtype=np.int64)

    @cached_property
    def feature(self) -> np.ndarray:
        """Feature that each code comes from: int64 array of shape (n_in,)."""
        return np.repeat(np.arange(self.n_features), self.n_codes)

    @cached_property
    def offset(self) -> np.ndarray:
        """Level at which each code of a ramp starts to rise: int64 array of shape (n_in,).

        That of a code of a table is its place among the codes of its feature, times `steps`.
        """
        first = np.concatenate([[0], np.cumsum(self.n_codes)[:-1]])
        return (np.arange(len(self.feature)) - first[self.feature]) * self.steps

    @cached_property
    def input_range(self) -> np.ndarray:
        """Smallest and largest code, inclusive, and 0: int64 array of shape (n_in, 2)."""
        ranges = np.tile(np.array(code_range(self.n_bits), dtype=np.int64), (len(self.feature), 1))
        ranges[self.n_segments[self.feature] == 0] = 0
        for feature, table in self._tabled:
            ends = table.min(axis=0, initial=0), table.max(axis=0, initial=0)
            ranges[self.feature == feature] = np.stack(ends, axis=1)
        return ranges

    @cached_property
    def _tabled(self) -> list:
        """The features that have a table, each with it."""
        return [(f, table) for f, table in enumerate(self.tables) if table is not None]

    @cached_property
    def _is_plain(self) -> np.ndarray:
        """Which features are ramps and nothing else."""
        return np.array([table is None for table in self.tables], dtype=bool)

    @cached_property
    def is_ignored(self) -> np.ndarray:
        """Which features may hold anything, as no code depends on them: bool (n_features,)."""
        plain = self._is_plain & [known is None for known in self.categories]
        return plain & (self.n_segments == 0) & (self.missing_level >= 0)

    @cached_property
    def level_dtype(self) -> np.dtype:
        """The smallest unsigned type that holds every level."""
        return np.min_scalar_type(max(self.thresholds.shape[1], *self.missing_level.tolist(), 0))

    def numbers(self, X, names=None) -> np.ndarray:
        """Turn raw rows into numbers: categories into their places, gaps into NaN.

        Parameters
        ----------
        X : array-like, DataFrame or dict of columns, of shape (n_samples, n_features)
            Numbers; categories where those were fitted; dates where dates were.  Frames of
            pandas, polars and pyarrow.
        names : sequence of str of shape (n_features,), optional
            Names that the columns of a frame must have.

        Returns
        -------
        real array of shape (n_samples, n_features)
            As it came where it holds numbers already.

        Raises
        ------
        ValueError
            If a column is not what was fitted; it is named.
        """
        numbers = self.unchecked(X, names)
        self.check(numbers, names)
        return numbers

    def unchecked(self, X, names=None) -> np.ndarray:
        """What `numbers` returns, where `check` has yet to be asked.

        Parameters
        ----------
        X, names : see `numbers`

        Returns
        -------
        real array of shape (n_samples, n_features)
        """
        numbers = converted(X, self.categories, self.is_date, names, self.is_ignored)
        if not self.takes_others.all():
            check_others(X, numbers, self.categories, self.takes_others, names)
        return self._in_floats_of_blocks(X, numbers, names)

    def check(self, numbers: np.ndarray, names=None) -> bool:
        """Refuse infinity, and gaps in columns that have no level for them.

        Parameters
        ----------
        numbers : real array of shape (n_samples, n_features)
            What `unchecked` returns, or some rows of it.
        names : sequence of str of shape (n_features,), optional

        Returns
        -------
        bool
            Whether there are gaps.

        Raises
        ------
        ValueError
        """
        if all_finite(numbers):
            return False
        check_finite(numbers, names, self.is_ignored)
        missing = np.isnan(numbers).any(axis=0)
        refused = missing & (self.missing_level < 0)
        if refused.any():
            raise ValueError(
                f"{label(int(refused.argmax()), names)} contains NaN, for which this network "
                "has no code: impute or drop these values first."
            )
        return bool(missing.any())

    def _in_floats_of_blocks(self, X, numbers: np.ndarray, names) -> np.ndarray:
        """Numbers whose levels are those in the type that the pipeline computes in."""
        if self.single_thresholds is None:
            return numbers
        own = types_of(X) if is_frame(X) else [numbers.dtype] * self.n_features
        types = self.block_types(own)
        if np.dtype(np.float16) in types:
            raise ValueError(
                f"{label(types.index(np.dtype(np.float16)), names)} comes in float16, and the pipeline would "
                "compute in it: convert it to float32 or float64 first."
            )
        is_single = np.array([kind == np.float32 for kind in types])
        is_single &= [known is None for known in self.categories]
        if is_single.all():
            return numbers.astype(np.float32, copy=False)
        return self.moved(numbers.astype(np.float64), is_single) if is_single.any() else numbers

    def block_types(self, dtypes) -> list[np.dtype]:
        """Types that columns have once those of each block are one array.

        Parameters
        ----------
        dtypes : sequence of numpy dtype, of length n_features
            Types of the columns.

        Returns
        -------
        list of numpy dtypes, of length n_features
        """
        blocks = range(self.n_features) if self.blocks is None else self.blocks.tolist()
        members: dict[int, set] = {}
        for block, dtype in zip(blocks, dtypes, strict=True):
            members.setdefault(block, set()).add(dtype)
        types = {block: np.result_type(*found) for block, found in members.items()}
        return [types[block] for block in blocks]

    def moved(self, numbers: np.ndarray, is_single: np.ndarray) -> np.ndarray:
        """Numbers of float32 columns, moved to where the thresholds for float64 give their levels.

        Parameters
        ----------
        numbers : float64 array of shape (n_samples, n_features)
        is_single : bool array of shape (n_features,)

        Returns
        -------
        float64 array of the same shape
        """
        moved, thresholds = numbers.copy(), self.thresholds_for(np.float32)
        for place in np.flatnonzero(is_single):
            level = np.searchsorted(thresholds[place], numbers[:, place], side="right")
            ends = np.concatenate([[-np.inf], self.thresholds[place], [np.inf]])
            # A level that float64 lacks has no room: the one below it is taken.
            last = np.nextafter(ends[level + 1], -np.inf)
            moved[:, place] = np.clip(numbers[:, place], ends[level], last)
        return np.where(np.isinf(numbers), numbers, moved)

    def levels(self, X: np.ndarray) -> np.ndarray:
        """Count the thresholds that each value reaches; a gap has its own level.

        Parameters
        ----------
        X : real array of shape (n_samples, n_features)
            What `numbers` returns: NaN where a value is missing.

        Returns
        -------
        unsigned integer array of shape (n_samples, n_features)
        """
        if X.dtype != np.float32:
            X = X.astype(np.float64, copy=False)
        levels = self._reached(X)
        if np.isnan(X.min(initial=0)):
            rows, columns = np.nonzero(np.isnan(X))
            levels[rows, columns] = self.missing_level[columns]
        return levels

    def thresholds_for(self, dtype) -> np.ndarray:
        """The thresholds that values of a type are compared with.

        Parameters
        ----------
        dtype : numpy dtype
            Values of any other type than float32 count as float64.

        Returns
        -------
        float32 or float64 array of shape (n_features, n_thresholds)
        """
        return self._single_columns.T if dtype == np.float32 else self.thresholds

    def _reached(self, X: np.ndarray) -> np.ndarray:
        thresholds = self.thresholds_for(X.dtype)
        n_levels = thresholds.shape[1]
        if X.size * n_levels <= _COMPARED_AT_ONCE:
            reached = X[:, :, None] >= thresholds
            return reached.sum(axis=2, dtype=self.level_dtype)
        if n_levels <= _COMPARED_LEVELS:
            columns = self._single_columns if X.dtype == np.float32 else self._columns
            return count_reached(np.ascontiguousarray(X), columns, self.level_dtype)
        levels = np.empty(X.shape, dtype=self.level_dtype)
        for column, row in enumerate(thresholds):
            levels[:, column] = np.searchsorted(row, X[:, column], side="right")
        return levels

    @cached_property
    def _columns(self) -> np.ndarray:
        return np.ascontiguousarray(self.thresholds.T)

    @cached_property
    def _single_columns(self) -> np.ndarray:
        if self.single_thresholds is None:
            return rounded_up(self._columns, np.float32)
        return np.ascontiguousarray(self.single_thresholds.T)

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
        return codes if self._in_order else codes[:, np.argsort(self.order_by_segment)]

    @cached_property
    def order_by_segment(self) -> np.ndarray:
        """Codes, first segments of all ramps first, tables last: int64 array of shape (n_in,)."""
        return np.lexsort(
            (self.offset * self._is_plain[self.feature], ~self._is_plain[self.feature])
        )

    @cached_property
    def _in_order(self) -> bool:
        """Whether `order_by_segment` is that of the codes."""
        return bool((self.order_by_segment[:-1] < self.order_by_segment[1:]).all())

    @cached_property
    def _segments(self) -> list:
        """Ramps that have a first segment, a second one, and so on."""
        counts = self.n_codes * self._is_plain
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
        one_each = len(self._segments) == 1 and not self._table_codes
        count = levels if one_each else self._spread(levels)
        codes = shifted(count, code_range(self.n_bits)[0])
        codes[:, self._constant] = 0
        for feature, table, places in self._table_codes:
            codes[:, places] = table[levels[:, feature]]
        return codes

    @cached_property
    def _table_codes(self) -> list:
        """The features that have a table, it, and the places of its codes by segment."""
        start, found = int(self.n_codes[self._is_plain].sum()), []
        for feature, table in self._tabled:
            found.append((feature, table, slice(start, start + table.shape[1])))
            start += table.shape[1]
        return found

    def _spread(self, levels: np.ndarray) -> np.ndarray:
        """Steps that each segment has risen, of at most 255; anything for codes of tables."""
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
        return np.flatnonzero(self.n_segments[self._is_plain] == 0)


def shifted(count: np.ndarray, low: int) -> np.ndarray:
    """Counts of at most 255 (uint8) plus `low`, as int8 codes: the sum modulo 256."""
    return (count.astype(np.uint8, copy=False) + np.uint8(low % 256)).view(np.int8)

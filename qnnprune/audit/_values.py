"""Ranges of tensors: what each element can be, and the integers behind scaled ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["OPAQUE", "Grid", "Value", "point", "top", "uniform"]

_FLOAT32_INTEGERS = 2**24


def integer_limits(dtype) -> tuple[int, int] | None:
    """Smallest and largest value of an integer type, 4 bits included; None for other types."""
    import ml_dtypes

    try:
        info = ml_dtypes.iinfo(dtype)
    except ValueError:
        return None
    return int(info.min), int(info.max)


def uniform(scale: np.ndarray) -> np.ndarray:
    """The one number of an array that holds no other, as an array without axes."""
    scale = np.asarray(scale, dtype=np.float64)
    same = scale.size and (scale == scale.flat[0]).all()
    return np.asarray(scale.flat[0]) if same else scale


@dataclass(frozen=True, eq=False)
class Grid:
    """Integer codes of a tensor whose elements are ``scale * code``.

    Attributes
    ----------
    low, high : float64 arrays
        Smallest and largest code of each element: integers, inclusive.
    scale : float64 array
        Of the shape of the tensor, or without axes where all elements have the same.
    zero_point : int
        What was subtracted from the stored codes; 0 where they have several.
    """

    low: np.ndarray
    high: np.ndarray
    scale: np.ndarray
    zero_point: int = 0

    def map(self, function) -> Grid:
        """The same data movement for codes and scales."""
        low = function(self.low)
        high = low if self.low is self.high else function(self.high)
        scale = uniform(function(self.scale)) if self.scale.ndim else self.scale
        return replace(self, low=low, high=high, scale=scale)

    def clipped(self, first: float, last: float) -> Grid:
        """The same with codes cut at two ends."""
        low = np.clip(self.low, first, last)
        return replace(
            self, low=low, high=low if self.low is self.high else np.clip(self.high, first, last)
        )


@dataclass(frozen=True, eq=False)
class Value:
    """What a tensor can be, element by element.

    Attributes
    ----------
    low, high : arrays or None
        Of the tensor's shape and type, inclusive.  The same object where the tensor is known;
        None where not even its shape is.
    grid : Grid or None
        The integers behind a floating-point tensor.
    """

    low: np.ndarray
    high: np.ndarray
    grid: Grid | None = None

    @property
    def known(self) -> bool:
        """Whether this is a tensor rather than a range."""
        return self.low is not None and self.low is self.high

    def codes(self) -> Grid | None:
        """The integers behind the tensor; None where it has none."""
        if self.low is None or self.grid is not None:
            return self.grid
        if integer_limits(self.low.dtype) is None and not self._holds_integers():
            return None
        low = self.low.astype(np.float64)
        return Grid(low, low if self.known else self.high.astype(np.float64), np.asarray(1.0))

    def _holds_integers(self) -> bool:
        values = self.low
        if not self.known or values.dtype.kind != "f" or not np.isfinite(values).all():
            return False
        return bool((values == np.rint(values)).all() and (abs(values) < _FLOAT32_INTEGERS).all())


OPAQUE = Value(None, None)  # type: ignore[arg-type]


def point(array) -> Value:
    """A tensor that is known."""
    array = np.asarray(array)
    return Value(array, array)


def top(shape, dtype) -> Value:
    """Any tensor of this shape and type."""
    limits = integer_limits(dtype)
    if limits is None:
        limits = (False, True) if np.dtype(dtype).kind == "b" else (-np.inf, np.inf)
    return Value(np.full(shape, limits[0], dtype), np.full(shape, limits[1], dtype))

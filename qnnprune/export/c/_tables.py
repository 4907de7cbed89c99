"""Constant tables of a network in C, each as narrow as it can be: weights and thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = [
    "PAGE",
    "SPACING",
    "Comparison",
    "SparseWeight",
    "compare",
    "narrowest",
    "spaced_size",
    "sparse_weight",
]

PAGE = 256  # inputs that an index of one byte reaches
SPACING = 14  # with a zero between, a step of half a byte leads from any zero to the next
_MOST_STEPS = 1.25  # of each weight
_MOST_DIGITS = 3  # of each weight
_DIGITS = 5  # in base 3, in a byte
_SIGNED = [np.int8, np.int16, np.int32, np.int64]
_UNSIGNED = [np.uint8, np.uint16, np.uint32, np.uint64]


def narrowest(values, *, signed: bool = True) -> np.dtype:
    """The narrowest integer type that holds all values.

    Parameters
    ----------
    values : sequence of int
    signed : bool
        False tries the unsigned types first.

    Examples
    --------
    >>> narrowest([-128, 127]), narrowest([0, 128]), narrowest([0, 128], signed=False)
    (dtype('int8'), dtype('int16'), dtype('uint8'))
    """
    low, high = (int(np.min(values)), int(np.max(values))) if np.size(values) else (0, 0)
    for dtype in _SIGNED + _UNSIGNED if signed else _UNSIGNED + _SIGNED:
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    raise OverflowError(f"No integer type holds {low} to {high}.")


@dataclass(frozen=True)
class SparseWeight:
    """The weights that pruning left, neuron by neuron, as lists of their inputs.

    ======  ==============  ================================================================
    layout  axes of count   what the lists hold
    ======  ==============  ================================================================
    index   (neuron,        A byte for each weight: its input within a page of `PAGE`.  A
            magnitude,      list for each magnitude and sign says what the weights are: a
            page, sign)     ternary layer needs no more than additions.
    step    (neuron,        Half a byte for each weight: the step from the input before.  Inputs
            magnitude,      lie apart, with a 0 ahead of every `SPACING`, so that longer ways
            sign)           rest there and add nothing.  Counts are of bytes.
    digit   none            A byte for five weights of -1, 0 or 1, the zeros too: digits in base 3,
                            of a number below 243, times 256/243 and rounded up, so that each
                            product with 3 carries one digit out of the byte.
    value   (neuron,        A byte for the input, within its page, and one for the weight:
            page)           for wide weights.
    ======  ==============  ================================================================

    Attributes
    ----------
    layout : {"index", "step", "digit", "value"}
    count : unsigned integer array
        Length of each list.
    place : uint8 array
        Indexes, pairs of steps or groups of digits.
    value : int8 array, or None
        Weights, in layout "value".
    """

    layout: str
    count: np.ndarray
    place: np.ndarray
    value: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all tables."""
        return self.count.nbytes + self.place.nbytes * (1 if self.value is None else 2)


def sparse_weight(weight: np.ndarray, *, packed: bool = True) -> SparseWeight:
    """Lay a weight matrix out in whichever way takes the fewest bytes.

    Parameters
    ----------
    weight : int8 array of shape (n_out, n_in)
    packed : bool
        Whether layouts "step" and "digit" may be taken, which run slower.  They are only where
        they add at most a quarter more often than there are weights, and where at most two
        weights of three are 0.

    Examples
    --------
    >>> sparse = sparse_weight(np.array([[0, 1, -1, 1], [0, 0, 0, -1]]), packed=False)
    >>> sparse.layout, sparse.count.ravel(), sparse.place
    ('index', array([2, 1, 0, 1], dtype=uint8), array([1, 3, 2, 3], dtype=uint8))
    """
    layouts = [_by_index(weight), _by_value(weight)]
    if packed:
        walked = _by_step(weight)
        is_short = 2 * len(walked.place) <= _MOST_STEPS * np.count_nonzero(weight)
        layouts += [walked] if is_short else []
        is_dense = np.count_nonzero(weight) * _MOST_DIGITS >= weight.size
        is_ternary = np.abs(weight).max(initial=0) <= 1
        layouts += [_by_digit(weight)] if is_ternary and is_dense else []
    return min(layouts, key=lambda sparse: sparse.nbytes)


def spaced_size(n_codes: int) -> int:
    """Places that codes take with a 0 ahead of every `SPACING`."""
    return max(1, n_codes + -(-n_codes // SPACING))


def _by_index(weight: np.ndarray) -> SparseWeight:
    (row, magnitude, sign), column = _entries(weight)
    shape = (len(weight), int(magnitude.max(initial=0)) + 1, _pages(weight), 2)
    lists = np.ravel_multi_index((row, magnitude, column // PAGE, sign), shape)
    order = np.argsort(lists, kind="stable")
    return SparseWeight("index", _counted(lists, shape), (column % PAGE)[order].astype(np.uint8))


def _by_step(weight: np.ndarray) -> SparseWeight:
    (row, magnitude, sign), column = _entries(weight)
    shape = (len(weight), int(magnitude.max(initial=0)) + 1, 2)
    lists = np.ravel_multi_index((row, magnitude, sign), shape)
    order = np.argsort(lists, kind="stable")
    count = np.bincount(lists, minlength=int(np.prod(shape)))
    walks = [_walk(columns) for columns in np.split(column[order], np.cumsum(count))[:-1]]
    steps = np.array([step for walk in walks for step in walk], dtype=np.uint8)
    count = np.array([len(walk) // 2 for walk in walks]).reshape(shape)
    return SparseWeight("step", _narrow(count), steps[::2] | steps[1::2] << 4)


def _walk(columns: np.ndarray) -> list[int]:
    """Steps of at most 15 to all columns, an even number of them, over zeros where it is far."""
    period, at, steps = SPACING + 1, 0, []
    for place in (columns + columns // SPACING + 1).tolist():
        while place - at > period:
            zero = at // period * period + period
            steps.append(zero - at)
            at = zero
        steps.append(place - at)
        at = place
    return [0] * (len(steps) % 2) + steps  # a step of 0 stays on the zero at the start


def _by_digit(weight: np.ndarray) -> SparseWeight:
    n_out, n_in = weight.shape
    digits = np.ones((n_out, -(-n_in // _DIGITS) * _DIGITS), dtype=np.int64)
    digits[:, :n_in] = weight + 1
    number = digits.reshape(-1, _DIGITS) @ 3 ** np.arange(_DIGITS)[::-1]
    packed = -(-number * 256 // 3**_DIGITS)
    return SparseWeight("digit", np.zeros(0, dtype=np.uint8), packed.astype(np.uint8))


def _by_value(weight: np.ndarray) -> SparseWeight:
    row, column = np.nonzero(weight)
    shape = (len(weight), _pages(weight))
    count = _counted(np.ravel_multi_index((row, column // PAGE), shape), shape)
    value = weight[row, column].astype(np.int8)
    return SparseWeight("value", count, (column % PAGE).astype(np.uint8), value)


def _entries(weight: np.ndarray) -> tuple[tuple, np.ndarray]:
    """Row, magnitude less 1 and sign (0 positive, 1 negative) of all weights; their columns."""
    row, column = np.nonzero(weight)
    value = weight[row, column].astype(np.int64)
    return (row, np.abs(value) - 1, (value < 0).astype(np.int64)), column


def _pages(weight: np.ndarray) -> int:
    return max(1, -(-weight.shape[1] // PAGE))


def _counted(lists: np.ndarray, shape: tuple) -> np.ndarray:
    return _narrow(np.bincount(lists, minlength=int(np.prod(shape))).reshape(shape))


def _narrow(count: np.ndarray) -> np.ndarray:
    return count.astype(narrowest(count, signed=False))


@dataclass(frozen=True)
class Comparison:
    """Thresholds and how a value is compared with them, ``>=`` or ``>``."""

    operator: str
    thresholds: np.ndarray


def compare(thresholds: np.ndarray, low, high, *, signed: bool = True) -> Comparison:
    """Bring thresholds into a narrow type, exactly for every value of a range.

    A threshold that no value reaches, or that all reach, moves to the border of the range;
    ``>`` with thresholds one lower needs fewer bits where the border is that of the type.

    Parameters
    ----------
    thresholds : array of shape (n, k)
        Integer-valued: a value reaches t if it is ``>= t``.
    low, high : int, or integer arrays of shape (n, 1)
        The range of the values, inclusive.
    signed : bool
        Whether the values are of a signed type.

    Examples
    --------
    >>> compare(np.array([[-500, 3, 500]]), -100, 127)
    Comparison(operator='>', thresholds=array([[-101,    2,  127]], dtype=int8))
    """
    reached_by = np.clip(thresholds, low, np.asarray(high, dtype=np.int64) + 1).astype(np.int64)
    candidates = [(">=", reached_by), (">", reached_by - 1)]
    typed = [Comparison(o, t.astype(narrowest(t, signed=signed))) for o, t in candidates]
    return min(typed, key=lambda comparison: comparison.thresholds.itemsize)

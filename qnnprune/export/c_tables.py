"""What a C header holds of an integer network: constant tables, each as narrow as it can be.

Numpy in, numpy out; `c_source` writes the C.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..encoding import InputEncoding
from ..integer import IntegerLayer, IntegerNetwork

__all__ = [
    "PAGE",
    "Comparison",
    "SparseWeight",
    "compare",
    "input_thresholds",
    "narrowest",
    "read_parts",
    "sparse_weight",
]

PAGE = 256  # inputs that an index of one byte reaches
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


def read_parts(
    network: IntegerNetwork, *, all_codes: bool
) -> tuple[np.ndarray, tuple[IntegerLayer, ...]]:
    """The network without the neurons and features that nothing reads.

    Their weights are all pruned, so the output layer's sums stay as they are.

    Parameters
    ----------
    network : IntegerNetwork
    all_codes : bool
        Keep every input code, as where the caller brings the codes.

    Returns
    -------
    n_segments : int64 array of shape (n_features,)
        Codes of each feature; 0 for a constant feature or one that nothing reads.
    layers : tuple of IntegerLayer
    """
    encoding, layers, rows = network.encoding, [], slice(None)
    for layer in reversed(network.layers):
        # An input that is always 0, as a constant feature's, adds nothing.
        weight = np.where(layer.input_range.any(axis=1), layer.weight, 0)[rows]
        thresholds = None if layer.thresholds is None else layer.thresholds[rows]
        layers.insert(0, replace(layer, weight=weight, thresholds=thresholds))
        rows = weight.any(axis=0)
    is_read = np.bincount(encoding.feature, weights=rows, minlength=encoding.n_features) > 0
    n_segments = np.where(is_read, encoding.n_segments, 0)
    columns = np.full(len(rows), True) if all_codes else n_segments[encoding.feature] > 0
    for index, layer in enumerate(layers):
        layers[index] = _with_inputs(layer, columns)
        columns = layers[index + 1].weight.any(axis=0) if index + 1 < len(layers) else None
    return n_segments, tuple(layers)


def _with_inputs(layer: IntegerLayer, columns: np.ndarray) -> IntegerLayer:
    weight, input_range = layer.weight[:, columns], layer.input_range[columns]
    return replace(layer, weight=weight, input_range=input_range)


@dataclass(frozen=True)
class SparseWeight:
    """The weights that pruning left, in the order in which C adds them up.

    Neuron by neuron, in pages of `PAGE` inputs, so that one byte says which input.
    A ternary layer lists the inputs of weight +1, then those of weight -1; so does any
    layer of few magnitudes, once for each magnitude.  Other layers keep a byte for each weight.

    Attributes
    ----------
    count : unsigned integer array
        Weights in each run, with axes (neuron, magnitude, page, sign) or, where there
        are values, (neuron, page).
    index : uint8 array of shape (n_nonzero,)
        Input of each weight, within its page.
    value : int8 array of shape (n_nonzero,), or None
        The weights themselves, where magnitudes are not listed apart.
    """

    count: np.ndarray
    index: np.ndarray
    value: np.ndarray | None

    @property
    def nbytes(self) -> int:
        """Bytes of all tables."""
        return sum(a.nbytes for a in (self.count, self.index, self.value) if a is not None)


def sparse_weight(weight: np.ndarray) -> SparseWeight:
    """Lay a weight matrix out in whichever way takes fewer bytes.

    Examples
    --------
    >>> sparse = sparse_weight(np.array([[0, 1, -1, 1], [0, 0, 0, -1]]))
    >>> sparse.count.ravel(), sparse.index
    (array([2, 1, 0, 1], dtype=uint8), array([1, 3, 2, 3], dtype=uint8))
    """
    return min(_by_magnitude(weight), _by_value(weight), key=lambda sparse: sparse.nbytes)


def _by_magnitude(weight: np.ndarray) -> SparseWeight:
    rows, columns = np.nonzero(weight)
    value = weight[rows, columns].astype(np.int64)
    largest = int(np.abs(value).max(initial=1))
    shape = (len(weight), largest, _pages(weight), 2)
    runs = np.ravel_multi_index(
        (rows, np.abs(value) - 1, columns // PAGE, (value < 0).astype(np.intp)), shape
    )
    order = np.argsort(runs, kind="stable")
    return SparseWeight(_counted(runs, shape), (columns % PAGE)[order].astype(np.uint8), None)


def _by_value(weight: np.ndarray) -> SparseWeight:
    rows, columns = np.nonzero(weight)
    shape = (len(weight), _pages(weight))
    runs = np.ravel_multi_index((rows, columns // PAGE), shape)
    value = weight[rows, columns].astype(np.int8)
    return SparseWeight(_counted(runs, shape), (columns % PAGE).astype(np.uint8), value)


def _pages(weight: np.ndarray) -> int:
    return max(1, -(-weight.shape[1] // PAGE))


def _counted(runs: np.ndarray, shape: tuple) -> np.ndarray:
    count = np.bincount(runs, minlength=int(np.prod(shape))).reshape(shape)
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


def input_thresholds(
    encoding: InputEncoding, n_segments: np.ndarray, dtype: np.dtype
) -> Comparison:
    """Thresholds of the features, exact for every input of a type.

    A value of that type reaches a threshold if it reaches the next value of the type.

    Parameters
    ----------
    encoding : InputEncoding
    n_segments : int64 array of shape (n_features,)
        Segments of each feature that are needed, all or none.
    dtype : numpy dtype
        float64, float32 or an integer type.

    Returns
    -------
    Comparison
        With thresholds of shape (n,), feature after feature.

    Raises
    ------
    ValueError
        If a threshold is beyond the largest float32.
    """
    needed = zip(encoding.thresholds, n_segments * encoding.steps, strict=True)
    thresholds = np.concatenate([row[:count] for row, count in needed])
    if dtype.kind == "f":
        return Comparison(">=", _rounded_up(thresholds, dtype))
    info = np.iinfo(dtype)
    return compare(np.ceil(thresholds), info.min, info.max, signed=dtype.kind == "i")


def _rounded_up(thresholds: np.ndarray, dtype: np.dtype) -> np.ndarray:
    with np.errstate(over="ignore"):
        nearest = thresholds.astype(dtype)
    rounded = np.where(nearest < thresholds, np.nextafter(nearest, dtype.type(np.inf)), nearest)
    if not np.isfinite(rounded).all():
        raise ValueError(
            f"The input encoding has the threshold {thresholds.max()}, beyond the largest "
            f"{dtype}: use input='double' or scale that feature."
        )
    return rounded

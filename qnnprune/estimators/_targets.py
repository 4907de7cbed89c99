"""Targets and sample weights of any kind: as plain arrays, or refused before training."""

from __future__ import annotations

from decimal import Decimal
from numbers import Number, Real

import numpy as np

from .._utils import plain_labels
from ._magnitudes import even_weight

__all__ = ["plain_target", "real_target", "real_weight", "refuse_masked", "scoring_weight"]

_WAYS_OUT = {
    "M": "({0} - {0}.min()) / np.timedelta64(1, 'D')",
    "m": "{0} / np.timedelta64(1, 's')",
}


def refuse_masked(name: str, value) -> None:
    """Refuse an array of which values are masked: what lies under a mask is no data.

    Raises
    ------
    ValueError
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(
            f"{name} is masked at {np.ma.count_masked(value)} places: drop these rows, or fill "
            f"them first, {name}.filled(value)."
        )


def plain_target(y, name: str = "y") -> np.ndarray:
    """Labels in an array of bool, integers, floats, str or dates.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, 1)
    name : str
        What it is called.

    Returns
    -------
    array of the same shape
        Str of an object array stay there, so that predictions are of that type as well.

    Raises
    ------
    ValueError
        If labels are masked, missing, of different types or of none of these.
    """
    array = _array(name, y)
    listed = isinstance(y, (list, tuple))
    if listed and array.dtype.kind in "USf":
        # numpy turns numbers among str into str, and the largest integers into floats.
        array = np.asarray(y, dtype=object)
    if array.dtype.kind in "OT":
        array = _same_type(name, array.astype(object), keep_str=not listed)
    _refuse_complex(name, array)
    if array.dtype.kind in "SV":
        raise ValueError(
            f"{name} has dtype {array.dtype}, but labels must be bool, integers, floats, str or dates: "
            f"convert it first, for instance {name}.astype(str)."
        )
    if array.dtype.kind in "mM" and np.isnat(array).any():
        raise ValueError(f"{name} contains NaT: drop the rows without a label first.")
    return array


def _same_type(name: str, labels: np.ndarray, *, keep_str: bool) -> np.ndarray:
    """Labels of an object array in one of their own type."""
    for label in labels.flat:
        if _is_missing(label):
            raise ValueError(f"{name} contains {label}: drop the rows without a label first.")
    if keep_str and all(isinstance(label, str) for label in labels.flat):
        return labels
    plain = _plain(labels)
    if plain is None:
        types = sorted({type(label).__name__ for label in labels.flat})
        raise ValueError(
            f"{name} has labels of type {', '.join(types)}, but all must be bool, or integers of at most "
            "64 bits, or floats, or str: convert them first, for instance with str()."
        )
    return plain


def _plain(labels: np.ndarray) -> np.ndarray | None:
    try:
        return plain_labels(labels)
    except ValueError:  # sequences of different lengths
        return None


def real_target(y) -> np.ndarray:
    """Targets in an array of real numbers that float64 holds.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)

    Returns
    -------
    array of the same shape
        Of bool, integers or floats.

    Raises
    ------
    ValueError
        If values are masked, missing, no real numbers or beyond float64.
    """
    return _real("y", y)


def real_weight(sample_weight):
    """Sample weights in an array of real numbers; None and a single number as they are.

    Raises
    ------
    ValueError
        As in `real_target`.
    """
    if sample_weight is None or isinstance(sample_weight, Number):
        return sample_weight
    return _real("sample_weight", sample_weight)


def scoring_weight(sample_weight):
    """Sample weights, scaled so that their sum is finite."""
    weight = real_weight(sample_weight)
    return even_weight(weight.astype(np.float64)) if isinstance(weight, np.ndarray) else weight


def _real(name: str, value) -> np.ndarray:
    array = _array(name, value)
    _refuse_complex(name, array)
    if array.dtype.kind == "O":
        _check_numbers(name, array)
    elif array.dtype.kind not in "biuf":
        way_out = _WAYS_OUT.get(array.dtype.kind, "{0}.astype(float)").format(name)
        raise ValueError(
            f"{name} has dtype {array.dtype}, which is not numeric: convert it first, for instance "
            f"{way_out}."
        )
    if array.dtype.kind != "O" and array.dtype.itemsize <= 8:
        return array
    return _doubles(name, array)


def _check_numbers(name: str, array: np.ndarray) -> None:
    """Refuse what float() would take for a number, or fail at with a word of its own."""
    for value in array.flat:
        if _is_missing(value):
            raise ValueError(f"{name} contains {value}: drop such rows first.")
    for kind in {type(value) for value in array.flat}:
        # numpy counts its spans of time among the integers.
        if not issubclass(kind, (Real, Decimal, np.bool_)) or issubclass(kind, np.timedelta64):
            raise ValueError(
                f"{name} holds values of type {kind.__name__}, which is not numeric: turn them into "
                "numbers first, dates for instance into days since the first of them."
            )


def _doubles(name: str, array: np.ndarray) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):
            doubles = array.astype(np.float64)
        too_large = array.dtype.kind == "f" and (np.isinf(doubles) & np.isfinite(array)).any()
    except OverflowError:
        too_large = True
    if too_large:
        raise ValueError(f"{name} has values too large for float64: divide it by a constant first.")
    return doubles


def _is_missing(value) -> bool:
    """Whether it is None, NaN, NaT or pandas' NA, which is not even unequal to itself."""
    if value is None:
        return True
    same = value == value  # noqa: PLR0124
    return isinstance(same, (bool, np.bool_)) and not same or type(value).__name__ == "NAType"


def _refuse_complex(name: str, array: np.ndarray) -> None:
    if array.dtype.kind == "c":
        raise ValueError(
            f"Complex data not supported: {name} has dtype {array.dtype}.  Take {name}.real first."
        )


def _array(name: str, value) -> np.ndarray:
    refuse_masked(name, value)
    return np.asarray(value)

"""Quantizers as thresholds: of integers, and of the float inputs that a module begins with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from ..exceptions import AccumulatorProofError, UnsupportedModuleError
from ..training.compilation import thresholds_of
from ._codes import activation_codes, scale_of, zero_of
from ._steps import Quantize
from ._values import Value, as_columns, evaluate

__all__ = ["Steps", "float_thresholds", "integer_thresholds"]

_TRIED = 1025  # integers of each channel on which the thresholds are compared with the module
_LARGEST_FLOAT = np.float32(3.0e38).view(np.int32)

Steps = tuple[np.ndarray, np.ndarray, np.ndarray]  # thresholds, first, slope


def integer_thresholds(step: Quantize, value: Value, ranges: np.ndarray) -> Steps:
    """Thresholds of a channel's integers, for codes of a quantizer.

    Parameters
    ----------
    step : Quantize
    value : Value
        What it reads; the module is in double precision.
    ranges : int64 array of shape (n_channels, 2)
        Of the integers.

    Returns
    -------
    thresholds : int64 array of shape (n_channels, n_thresholds)
    first, slope : int64 arrays of shape (n_channels,)

    Raises
    ------
    UnsupportedModuleError
        If a code neither rises nor falls with its integer throughout.
    """
    codes = _codes_of(step, value, torch.float64)
    return _steps(step, ranges, codes)


def float_thresholds(step: Quantize, value: Value) -> Steps:
    """Thresholds of the module's float32 inputs, as the first but in float32.

    Parameters
    ----------
    step, value
        As in `integer_thresholds`; the module is in its own precision.
    """
    ends = np.array([[-int(_LARGEST_FLOAT), int(_LARGEST_FLOAT)]]).repeat(value.shape[0], axis=0)
    codes = _codes_of(step, value, torch.float32)
    order, first, slope = _steps(step, ends, lambda order: codes(_floats(order)))
    never = order > _LARGEST_FLOAT
    thresholds = np.where(never, np.inf, _floats(np.where(never, 0, order)))
    return thresholds.astype(np.float32), first, slope


def _floats(order: np.ndarray) -> np.ndarray:
    """Floats in their order: the k-th above 0 for k, and its negative for -k."""
    magnitude = np.abs(order).astype(np.int32).view(np.float32)
    return np.where(order < 0, -magnitude, magnitude)


def _codes_of(step: Quantize, value: Value, dtype) -> Callable[[np.ndarray], np.ndarray]:
    """Codes of chosen integers or inputs, both int64 of shape (n_channels, n)."""
    scale, zero = scale_of(step.quantizer)[:, None], zero_of(step.name, step.quantizer)

    def codes(chosen):
        with torch.no_grad():
            result = step.apply(evaluate(value, chosen, dtype))
        result = result if isinstance(result, torch.Tensor) else result.value
        return np.round(as_columns(result) / scale + zero).astype(np.int64)

    return codes


def _steps(step: Quantize, ranges: np.ndarray, codes) -> Steps:
    low, high, size = activation_codes(step.name, step.quantizer)
    n_thresholds = (high - low) // size
    if n_thresholds > 255:
        raise UnsupportedModuleError(
            f"'{step.name}' has {n_thresholds + 1} codes; an integer network has 256 at most: use 8 "
            "bits or fewer."
        )
    ends = codes(ranges)
    falling = (ends[:, 1] < ends[:, 0])[:, None]

    def reached(integers):
        count = (codes(integers) - low) // size
        return np.where(falling, n_thresholds - count, count)

    try:
        thresholds = thresholds_of(reached, *ranges.T, n_thresholds)
    except AccumulatorProofError as error:
        raise _not_monotone(step) from error
    tried = np.linspace(ranges[:, 0], ranges[:, 1], _TRIED).round().astype(np.int64).T
    counted = [np.searchsorted(t, x, side="right") for t, x in zip(thresholds, tried, strict=True)]
    if not np.array_equal(counted, reached(tried)):
        raise _not_monotone(step)
    first = np.where(falling[:, 0], high, low)
    return thresholds, first, np.where(falling[:, 0], -size, size)


def _not_monotone(step: Quantize) -> UnsupportedModuleError:
    return UnsupportedModuleError(
        f"The codes of '{step.name}' neither rise nor fall with its input throughout: thresholds need "
        "a monotone activation, for instance ReLU, Hardtanh, Sigmoid or Tanh."
    )

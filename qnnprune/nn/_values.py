"""Values of a traced module as functions of integers, and what follows from those functions.

A value is ``functions(integer)``, channel by channel.  The functions are the module's own, tried
on chosen integers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..exceptions import UnsupportedModuleError
from ..integer._windows import Window

__all__ = ["Value", "affine_map", "as_columns", "evaluate", "falls"]


@dataclass(frozen=True, eq=False)
class Value:
    """Values at one step.

    Attributes
    ----------
    name : str
        Of the step.
    place : int or None
        Of the integers in the graph; None for inputs that are not quantized yet.
    shape : tuple of int
        Of one row, channels first.
    functions : tuple of callables
        Integers, or inputs, to values, as float tensors of shape (n, n_channels, 1, ...).
    codes : tuple of (float64 array, int), or None
        Scale, of shape (1,) or (n_channels,), and the code whose value is 0, where values are
        ``scale * (integer - zero)``.
    pools : tuple of Window
        Maxima of values that are still to be taken, once they are codes.
    fell : bool array of shape (n_channels,), or None
        Where values fell as integers rose when the first of these maxima was to be taken.
    device : torch.device or None
        Where the functions are; None is the CPU.
    """

    name: str
    place: int | None
    shape: tuple[int, ...]
    functions: tuple[Callable[[Tensor], Tensor], ...] = ()
    codes: tuple[np.ndarray, int] | None = None
    pools: tuple[Window, ...] = ()
    fell: np.ndarray | None = None
    device: torch.device | None = None


def evaluate(value: Value, integers: np.ndarray, dtype=torch.float64) -> Tensor:
    """Values of chosen integers.

    Parameters
    ----------
    value : Value
    integers : array of shape (n_channels, n)

    Returns
    -------
    tensor of shape (n, n_channels, 1, ...)
    """
    rows = integers.T.reshape(integers.shape[1], -1, *[1] * (len(value.shape) - 1))
    result = torch.from_numpy(np.ascontiguousarray(rows)).to(value.device, dtype)
    for function in value.functions:
        result = function(result)
        result = result if isinstance(result, Tensor) else result.value
    return result


def as_columns(result: Tensor) -> np.ndarray:
    """Results of `evaluate` as an array of shape (n_channels, n)."""
    return result.reshape(len(result), -1).double().cpu().numpy().T


def falls(value: Value, ranges: np.ndarray) -> np.ndarray:
    """Channels whose value is lower at the end of the range than at its beginning."""
    first, last = as_columns(evaluate(value, ranges)).T
    return last < first


def affine_map(value: Value, ranges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale and bias of each channel's value: float64 of shape (n_channels,).

    Raises
    ------
    UnsupportedModuleError
        If some value is no affine function of its integer.
    """
    low, high = ranges.T
    inner = low + (high - low) // 3
    probes = np.stack([np.zeros_like(low), np.ones_like(low), low, inner, high], axis=1)
    found = as_columns(evaluate(value, probes))
    bias, scale = found[:, 0], found[:, 1] - found[:, 0]
    expected = probes * scale[:, None] + bias[:, None]
    size = np.abs(found).max(axis=1, keepdims=True) + np.abs(probes * scale[:, None])
    if not (np.abs(found - expected) <= 1e-9 * size + 1e-300).all():
        raise UnsupportedModuleError(
            f"The values after '{value.name}' are no affine function of a sum, nor quantized. Put a "
            "QuantIdentity after it, or, at the end of the module, leave it to whoever reads the "
            "output."
        )
    return scale, bias

"""Accumulator arithmetic: Ω, weight budgets, exact ranges and widths.

Pure functions, numpy in and numpy out.  Everything that the library proves, it
proves with these few lines, so anyone can repeat the proof from the arrays.
Ranges are inclusive; widths are in bits; weights and inputs are integer codes.
Widths may be of any integer type: numpy's wrap around, so they become Python's first.
"""

from __future__ import annotations

import math
from operator import index

import numpy as np

from ._utils import plain_number, row_blocks

__all__ = [
    "accumulator_bits",
    "accumulator_range",
    "code_range",
    "omega",
    "optimal_step",
    "ordinary_weights",
    "register_range",
    "weight_budget",
    "weight_max",
]

# Step of the uniform quantizer with 2**b - 1 symmetric levels that has the least mean
# squared error on a standard normal variable (J. Max, "Quantizing for minimum
# distortion", 1960, computed for these numbers of levels).
_NORMAL_STEP = {2: 1.22401, 3: 0.65077, 4: 0.35341, 5: 0.19325, 6: 0.10549, 7: 0.05726, 8: 0.03087}
_BLOCK_VALUES = 2**20  # weights widened to int64 at once


def weight_max(n_w_bits: int) -> int:
    """Largest magnitude of a signed, symmetric (narrow-range) weight code.

    Parameters
    ----------
    n_w_bits : int
        Width of a weight, in bits.

    Returns
    -------
    int
        ``2**(n_w_bits - 1) - 1``.

    Examples
    --------
    >>> [weight_max(bits) for bits in (2, 3, 4, 8)]
    [1, 3, 7, 127]
    """
    return 2 ** (index(n_w_bits) - 1) - 1


def code_range(n_bits: int) -> tuple[int, int]:
    """Smallest and largest activation code of `n_bits`, centred on zero.

    Centred codes double the L1 norm of the weights that fits an accumulator,
    compared with codes from 0; the shift is folded into the thresholds.

    Parameters
    ----------
    n_bits : int
        Width of a code, in bits.

    Returns
    -------
    tuple of (int, int)
        Both inclusive.

    Examples
    --------
    >>> code_range(3), code_range(1)
    ((-4, 3), (-1, 0))
    """
    half = 2 ** (index(n_bits) - 1)
    return -half, half - 1


def omega(n_w_bits: int, n_in_bits: int, n_accum_bits: int) -> int:
    """Full-scale weights a neuron can have before `n_accum_bits` could overflow.

    By the usual counting rule this is Ω::

        floor((2^n_accum_bits - 1) / ((2^n_w_bits - 1) (2^n_in_bits - 1)))

    Parameters
    ----------
    n_w_bits, n_in_bits, n_accum_bits : int
        Widths of the weights, of that layer's inputs and of the accumulator, in bits.

    Returns
    -------
    int
        A count of weights; 0 where not even one fits by this rule.

    References
    ----------
    Concrete ML documentation, "Pruning in practice".

    Examples
    --------
    >>> omega(2, 2, 16), omega(3, 3, 8), omega(2, 2, 8), omega(4, 4, 8), omega(4, 4, 6)
    (7281, 5, 28, 1, 0)
    """
    n_w, n_in, n_accum = 2 ** index(n_w_bits), 2 ** index(n_in_bits), 2 ** index(n_accum_bits)
    return (n_accum - 1) // ((n_w - 1) * (n_in - 1))


def optimal_step(n_bits: int) -> float:
    """Least-squares step of a narrow-range quantizer for normal weights, in units of their RMS.

    Parameters
    ----------
    n_bits : int
        Width of a weight, 2 to 8 bits.

    Returns
    -------
    float
        Distance between neighbouring codes, for weights with an RMS of 1.

    References
    ----------
    J. Max, "Quantizing for minimum distortion", 1960.
    """
    return _NORMAL_STEP[index(n_bits)]


def ordinary_weights(n_w_bits: int, n_in_bits: int, n_accum_bits: int) -> float:
    """Weights of ordinary size that the exact range of `n_accum_bits` holds, about.

    Full-scale weights, which Ω counts, are rare.  Of normal weights the mean magnitude is
    ``sqrt(2 / pi) / optimal_step(n_w_bits)`` codes.  Of both signs equally often, an L1 norm of
    ``(2**n_accum_bits - 1) / (2**n_in_bits - 1)`` codes fits.

    Parameters
    ----------
    n_w_bits, n_in_bits, n_accum_bits : int
        Widths of the weights, of that layer's inputs and of the accumulator, in bits.

    Returns
    -------
    float
        A count of weights.

    Examples
    --------
    >>> round(ordinary_weights(2, 2, 8), 1), round(ordinary_weights(8, 8, 8), 2)
    (130.4, 0.04)
    """
    norm = (2 ** index(n_accum_bits) - 1) / (2 ** index(n_in_bits) - 1)
    return norm * optimal_step(n_w_bits) * math.sqrt(math.pi / 2)


def weight_budget(
    n_w_bits: int, n_in_bits: int, n_accum_bits: int, multiplier: float | None
) -> int | None:
    """Nonzero weights that one neuron may keep: ``floor(multiplier * Ω)``.

    Parameters
    ----------
    n_w_bits, n_in_bits, n_accum_bits : int
        Widths of the weights, of that layer's inputs and of the accumulator, in bits.
    multiplier : float or None
        How many times Ω; None lifts the count.

    Returns
    -------
    int or None
        A count; None where `multiplier` is None and the count is lifted.

    Raises
    ------
    ValueError
        If the budget is 0: no neuron could keep any weight.

    Examples
    --------
    >>> weight_budget(2, 2, 8, 4), weight_budget(2, 2, 8, None)
    (112, None)
    """
    if multiplier is None:
        return None
    limit = omega(n_w_bits, n_in_bits, n_accum_bits)
    budget = math.floor(plain_number(multiplier) * limit)
    if budget < 1:
        larger = "a larger multiplier, " if limit else ""
        raise ValueError(
            f"n_hidden_neurons_multiplier={multiplier} leaves a budget of 0 weights per neuron: "
            f"Omega is {limit} for n_w_bits={n_w_bits}, inputs of {n_in_bits} bits and "
            f"n_accum_bits={n_accum_bits}. Use a wider n_accum_bits, fewer n_w_bits, n_a_bits "
            f"or n_in_bits, {larger}or n_hidden_neurons_multiplier=None, which leaves the limit "
            "to the exact accumulator range."
        )
    return budget


def accumulator_range(weight: np.ndarray, input_range: np.ndarray) -> np.ndarray:
    """Exact worst-case range of every neuron's sum of products.

    Each input takes any code of its own range, independently of the others.

    Parameters
    ----------
    weight : integer array of shape (n_out, n_in)
    input_range : integer array of shape (n_in, 2)
        Smallest and largest code of each input, inclusive.

    Returns
    -------
    int64 array of shape (n_out, 2)
        Columns acc_min and acc_max, inclusive.

    Examples
    --------
    >>> accumulator_range(np.array([[1, -3]]), np.array([[-2, 1], [-2, 1]]))
    array([[-5,  7]])
    """
    weight = np.asarray(weight)
    low, high = np.asarray(input_range, dtype=np.int64).T
    ranges = np.empty((len(weight), 2), dtype=np.int64)
    # BLAS has products of floats alone, which are exact as long as no sum can be too large.
    furthest = max(-int(low.min(initial=0)), int(high.max(initial=0)))
    widest = 2 ** (8 * weight.dtype.itemsize)  # beyond any weight, whatever its sign
    dtype = np.float64 if furthest * weight.shape[1] * widest < 2**53 else np.int64
    low, high = low.astype(dtype), high.astype(dtype)
    for rows in row_blocks(len(weight), weight.shape[1], _BLOCK_VALUES):
        block = weight[rows].astype(dtype)
        # max(w lo, w hi) = (w (lo + hi) + |w| (hi - lo)) / 2, min likewise with a minus.
        middle, spread = block @ (low + high), np.abs(block) @ (high - low)
        ranges[rows, 0] = (middle - spread) // 2
        ranges[rows, 1] = (middle + spread) // 2
    return ranges


def accumulator_bits(ranges: np.ndarray) -> np.ndarray:
    """Width of the smallest register that holds each range, in bits.

    Two's complement; unsigned where the range has no negative value, as Concrete,
    FINN and QONNX count it.  At least 1.

    Parameters
    ----------
    ranges : integer array of shape (n, 2)
        Inclusive.

    Returns
    -------
    int64 array of shape (n,)

    Examples
    --------
    >>> accumulator_bits(np.array([[-128, 127], [-128, 128], [0, 255], [-1, 0], [0, 0]]))
    array([8, 9, 8, 1, 1])
    """
    return np.array([_bits(int(low), int(high)) for low, high in ranges], dtype=np.int64)


def _bits(low: int, high: int) -> int:
    if low >= 0:
        return max(1, high.bit_length())
    return max((-low - 1).bit_length(), max(high, 0).bit_length()) + 1


def register_range(ranges: np.ndarray, n_accum_bits: int) -> np.ndarray:
    """Values that an `n_accum_bits` register of each neuron holds, inclusive.

    A neuron whose sum is never negative has an unsigned register, as in
    `accumulator_bits`; every other one has a two's-complement register.

    Parameters
    ----------
    ranges : integer array of shape (n, 2)
        The neurons' exact accumulator ranges.
    n_accum_bits : int
        1 to 62.

    Returns
    -------
    int64 array of shape (n, 2)

    Examples
    --------
    >>> register_range(np.array([[-5, 7], [0, 9]]), 4)
    array([[-8,  7],
           [ 0, 15]])
    """
    span = 2 ** index(n_accum_bits)
    low = np.where(np.asarray(ranges)[:, 0] < 0, -span // 2, 0).astype(np.int64)
    return np.stack([low, low + (span - 1)], axis=1)

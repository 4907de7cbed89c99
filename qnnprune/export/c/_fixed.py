"""Target values in fixed point: what a device without floating-point numbers computes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["FixedPoint", "fixed_point"]


@dataclass(frozen=True)
class FixedPoint:
    """Values ``total * multiplier + offset``, each in units of ``2**-fraction_bits``.

    Attributes
    ----------
    multiplier, offset : int32 or int64 arrays of shape (n_values,)
        No step of the computation leaves their type.
    fraction_bits : int64 array of shape (n_values,)
        Of each value; negative for values beyond the type.
    error : float64 array of shape (n_values,)
        Largest difference to the float64 value, in its units.
    """

    multiplier: np.ndarray
    offset: np.ndarray
    fraction_bits: np.ndarray
    error: np.ndarray

    def macros(self) -> dict[str, int]:
        """The fractional bits of each value by the name of their macro, without the prefix."""
        bits = self.fraction_bits.tolist()
        if len(bits) == 1:
            return {"FRACTION_BITS": bits[0]}
        return {f"FRACTION_BITS_{k}": n for k, n in enumerate(bits)}

    def comment(self, macro: str) -> str:
        """What the header says of the scale and the error."""
        lines = [
            "The predicted value of every target in fixed point, without floating-point numbers:"
        ]
        for (name, bits), error in zip(self.macros().items(), self.error.tolist(), strict=True):
            unit = f"the value in units of 2^-{bits} ({macro}_{name})"
            lines.append(f" * {unit}, at most {error:.3g} off.")
        return "\n".join(lines)


def fixed_point(
    ranges: np.ndarray, scale: np.ndarray, bias: np.ndarray, *, in_one_unit: bool = False
) -> FixedPoint | None:
    """Scale and bias of values in the finest fixed point that fits 32 bits, or 64.

    Parameters
    ----------
    ranges : int64 array of shape (n_values, 2)
        Of the totals, inclusive.
    scale, bias : float64 arrays of shape (n_values,)
    in_one_unit : bool
        Whether all values have the same unit, so that they can be compared.  The error is then
        that of the worst of them, as they may trade places.

    Returns
    -------
    FixedPoint or None
        None where a value is beyond float64.

    Examples
    --------
    >>> fixed = fixed_point(np.array([[-100, 90]]), np.array([0.1]), np.array([3.0]))
    >>> fixed.fraction_bits, (-100 * fixed.multiplier + fixed.offset) / 2.0**fixed.fraction_bits
    (array([26]), array([-6.9999994]))
    """
    largest = np.abs(ranges).max(axis=1).astype(np.float64)
    with np.errstate(over="ignore"):
        reach = largest * np.abs(scale) + np.abs(bias)
    if not np.isfinite(reach).all():
        return None
    n_bits = 31 if largest.max(initial=0) < 2**24 else 62
    # Rounding adds at most half to the offset, and half to the multiplier, times the total.
    room = 2.0**n_bits - largest - 2
    shift = np.clip(np.frexp(room)[1] - np.frexp(reach)[1] - 1, -1000, 1000).astype(np.int64)
    if in_one_unit:
        shift = np.full_like(shift, shift.min())
    multiplier, offset = (np.rint(np.ldexp(v, shift)) for v in (scale, bias))
    dtype = np.int32 if n_bits == 31 else np.int64
    # The values of float64 that this is compared with are rounded twice as well.
    error = np.ldexp((largest + 1) / 2, -shift) + 2 * np.spacing(reach)
    if in_one_unit:
        error = np.full_like(error, error.max())
    return FixedPoint(multiplier.astype(dtype), offset.astype(dtype), shift, error)

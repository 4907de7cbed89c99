"""Registers: widths, and the registers of known kernels."""

from __future__ import annotations

from dataclasses import dataclass
from operator import index

import numpy as np

from ..accumulators import register_range
from ._sums import Operands, Sums

__all__ = ["REGISTERS", "Lanes", "Register", "register_of"]

_MOST_BITS = 62


@dataclass(frozen=True)
class Register:
    """A register that holds the whole sum.

    Attributes
    ----------
    name : str
    n_bits : int
    signed : bool or None
        None: unsigned for neurons whose sums are never negative, two's complement for others.
    """

    name: str
    n_bits: int
    signed: bool | None = None

    def limits(self, ranges: np.ndarray) -> np.ndarray:
        """Values that the register of each neuron holds, inclusive, of shape (neurons, 2)."""
        if self.signed is None:
            return register_range(ranges, self.n_bits)
        low = -(2 ** (self.n_bits - 1)) if self.signed else 0
        return np.tile([low, low + 2**self.n_bits - 1], (len(ranges), 1))

    def ranges(self, sums: Sums) -> np.ndarray:
        """What the register would have to hold, by neuron: int64 array of shape (neurons, 2)."""
        return sums.partial_range

    def at(self, sums: Sums, case: Operands, neuron: int) -> np.ndarray:
        """The same by place, for one neuron: array of shape (2, batch, n_positions)."""
        return np.stack(sums.of_neuron(neuron).ends(case, partial=True))[:, :, 0, :, 0]

    def weight(self, sums: Sums) -> np.ndarray:
        """Weights as the register sees them, of shape (n_groups, n_terms, n_out)."""
        return sums.weight

    def takes(self, sums: Sums) -> bool:
        """Whether the kernel can run these codes at all."""
        return True


@dataclass(frozen=True)
class Lanes(Register):
    """A vector register whose lanes each add up some of the products of 8-bit codes.

    Product k of a sum goes to lane ``(k % width) // 2``, and lanes are emptied into a wider
    register before every product whose k is a multiple of `flush`.

    Attributes
    ----------
    width : int
        Codes per vector.
    flush : int
        Products of one sum between two such moments.
    unsigned : {"input", "weight"}
        The operand that the instruction takes as unsigned bytes.
    """

    width: int = 2
    flush: int = 2
    unsigned: str = "input"

    def ranges(self, sums: Sums) -> np.ndarray:
        """What a lane would have to hold, by neuron: int64 array of shape (neurons, 2)."""
        ends = [[self.at(sums, case, n) for case in sums.cases] for n in range(sums.neurons)]
        low = [min(case[0].min() for case in cases) for cases in ends]
        high = [max(case[1].max() for case in cases) for cases in ends]
        return np.array([low, high]).T.astype(np.int64)

    def at(self, sums: Sums, case: Operands, neuron: int) -> np.ndarray:
        """The same by place, for one neuron: array of shape (2, batch, n_positions)."""
        group, column = sums.column(neuron)
        codes, weight = self._codes(sums, case), self.weight(sums)[group, :, column]
        products = [code[:, group] * weight for code in codes]
        ends = np.minimum(*products), np.maximum(*products)
        found = [self._lanes(ends, order) for order in sums.orders]
        low, high = zip(*found, strict=True)
        return np.stack([np.minimum.reduce(low), np.maximum.reduce(high)])

    def _lanes(self, ends, order):
        """Ends of the fullest lane, from those of the products: arrays (batch, n_positions)."""
        starts = np.arange(0, len(order), 2)
        pairs = [np.add.reduceat(end[..., order], starts, axis=-1) for end in ends]
        by_lane = np.argsort(self._lane(starts), kind="stable")
        _, first = np.unique(self._lane(starts)[by_lane], return_index=True)
        low, high = np.minimum(pairs[0], 0), np.maximum(pairs[1], 0)
        sums = [np.add.reduceat(end[..., by_lane], first, axis=-1) for end in (low, high)]
        return sums[0].min(axis=-1), sums[1].max(axis=-1)

    def _lane(self, k: np.ndarray) -> np.ndarray:
        return (k // self.flush) * (self.width // 2) + (k % self.width) // 2

    def _codes(self, sums: Sums, case: Operands):
        """Ends of the stored codes, shaped as `Sums.arrange` does."""
        codes = [
            sums.arrange(end + case.zero_point, case.zero_point) for end in (case.low, case.high)
        ]
        shift = 128 if sums.signed and self.unsigned == "input" else 0
        return [code + shift for code in codes]

    def weight(self, sums: Sums) -> np.ndarray:
        """Weights as the instruction has them, of shape (n_groups, n_terms, n_out)."""
        stored = sums.weight + sums.weight_zero
        if self.unsigned == "input":
            return stored - (128 if stored.max(initial=0) > 127 else 0)
        return stored - min(0, stored.min(initial=0))

    def takes(self, sums: Sums) -> bool:
        """Whether the operands are bytes, which the instruction needs."""
        codes = [code for case in sums.cases for code in self._codes(sums, case)]
        inputs = min(code.min() for code in codes), max(code.max() for code in codes)
        weight = self.weight(sums)
        operands = inputs, (weight.min(), weight.max())
        unsigned, signed = operands if self.unsigned == "input" else operands[::-1]
        bytes_ = ((unsigned, 0, 255), (signed, -128, 127))
        return all(first <= low and high <= last for (low, high), first, last in bytes_)


REGISTERS: dict[str, Register] = {
    **{f"int{n}": Register(f"int{n}", n, True) for n in (8, 16, 32)},
    **{f"uint{n}": Register(f"uint{n}", n, False) for n in (8, 16, 32)},
    "maddubs": Lanes("maddubs", 16, True),
    "bitnet_i2": Lanes("bitnet_i2", 16, True, width=32, flush=4096, unsigned="weight"),
}


def register_of(n_accum_bits) -> Register | None:
    """The register that a user names.

    Parameters
    ----------
    n_accum_bits : int, str, Register or None
        A width from 1 to 62, or a name in `REGISTERS`.

    Raises
    ------
    ValueError
        If there is no such register.
    """
    if n_accum_bits is None or isinstance(n_accum_bits, Register):
        return n_accum_bits
    if isinstance(n_accum_bits, str) and n_accum_bits in REGISTERS:
        return REGISTERS[n_accum_bits]
    integer = isinstance(n_accum_bits, (int, np.integer)) and not isinstance(n_accum_bits, bool)
    if not integer or not 1 <= n_accum_bits <= _MOST_BITS:
        names = ", ".join(map(repr, REGISTERS))
        raise ValueError(
            f"n_accum_bits={n_accum_bits!r} must be an integer from 1 to {_MOST_BITS}, or one of "
            f"{names}."
        )
    return Register(f"{index(n_accum_bits)} bits", index(n_accum_bits))

"""Prices of lookups: the keys that Concrete chooses, from a table, and what follows from them.

``prices.csv`` holds what Concrete 2.11 chose for small circuits of each width at 128 bits of
security and an error of 2**-40 per lookup (``benchmarks/encrypted_prices.py`` makes it).  A lookup
switches a ciphertext to a small key and bootstraps it to a large one.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = ["MOST_TABLE_BITS", "Keys", "Price", "price"]

# Wider tables cost at least as much as these, which are far out of reach.
MOST_TABLE_BITS = 10
_MOST_ROUNDED_BITS, _MOST_REMOVED = 5, 6  # in the table of prices
_HALF_STEP = 1 / 16  # of its output bits

_NAMES = ("n", "k", "N", "levels", "from", "from_levels")


@dataclass(frozen=True)
class Keys:
    """Keyswitch and bootstrap key of one kind of lookup.

    Attributes
    ----------
    small, large : int
        Dimensions of the key that lookups run under, and of the one that they switch from.
    glwe, polynomial : int
        GLWE dimension, and size of its polynomials.
    levels, switch_levels : int
        Of the decomposition in a bootstrap and in a keyswitch.
    """

    small: int
    glwe: int
    polynomial: int
    levels: int
    large: int
    switch_levels: int

    @property
    def output(self) -> int:
        """Dimension of the ciphertexts that come out."""
        return self.glwe * self.polynomial

    @property
    def operations(self) -> float:
        """Operations of one lookup, up to a factor.

        For each number of the small key Fourier transforms of polynomials, and products of
        transforms; one multiplication for each number of the keyswitch key.
        """
        n_polynomials = self.glwe + 1
        transforms = n_polynomials * (self.levels + 1) * math.log2(self.polynomial)
        products = 2 * n_polynomials**2 * self.levels
        switch = self.large * self.switch_levels * (self.small + 1)
        return self.small * self.polynomial * (transforms + products) + switch

    @property
    def bootstrap_bytes(self) -> int:
        """Memory of the unpacked bootstrap key."""
        return 8 * self.small * self.levels * (self.glwe + 1) ** 2 * self.polynomial

    @property
    def sent_bytes(self) -> int:
        """Size of the keys, whose random part a seed stands for."""
        rows = self.small * self.levels * (self.glwe + 1)
        return 8 * (rows * self.polynomial + self.large * self.switch_levels)

    @property
    def held_bytes(self) -> int:
        """Memory of the keys as they were sent, and unpacked."""
        switch = self.large * self.switch_levels * (self.small + 1)
        return self.sent_bytes + self.bootstrap_bytes + 8 * switch


@dataclass(frozen=True)
class Price:
    """Keys of one neuron's lookups: its table, and the low bits that are removed before it."""

    table: Keys
    bit: Keys | None
    n_removed_bits: int

    @property
    def lookups(self) -> list[tuple[Keys, int]]:
        """Lookups of a neuron: the keys of each kind, and how many there are."""
        bits = [(self.bit, self.n_removed_bits)] if self.bit else []
        return [(self.table, 1), *bits]


def price(table_bits: int, n_removed_bits: int, output_bits: float) -> Price:
    """Price of one neuron.

    Parameters
    ----------
    table_bits : int
        Width of the table's input, in bits.
    n_removed_bits : int
        Low bits that are removed before the table, one lookup each.
    output_bits : float
        Precision that the output needs: the width of the sums that it enters, and half the
        binary logarithm of their sum of squared weights.
    """
    table_bits, n_known = min(table_bits, MOST_TABLE_BITS), min(n_removed_bits, _MOST_REMOVED)
    if table_bits <= _MOST_ROUNDED_BITS:
        found = _cheapest(table_bits, n_known, output_bits)
        return Price(found.table, found.bit, n_removed_bits)
    table = _cheapest(table_bits, 0, output_bits).table
    bit = _cheapest(_MOST_ROUNDED_BITS, n_known, 0).bit
    return Price(table, bit, n_removed_bits)


def _cheapest(table_bits: int, n_removed_bits: int, output_bits: float) -> Price:
    """What is precise enough; of too high a precision the dearest."""
    known = _table()[table_bits, n_removed_bits]
    return next((p for most, p in known if output_bits <= most + _HALF_STEP), known[-1][1])


@cache
def _table() -> dict[tuple[int, int], list[tuple[float, Price]]]:
    found: dict = {}
    with (files(__package__) / "prices.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            n_removed = int(row["removed_bits"])
            keys = [_keys(row, prefix) for prefix in ("", "bit_")[: 1 + bool(n_removed)]]
            one = Price(keys[0], keys[1] if n_removed else None, n_removed)
            place = int(row["table_bits"]), n_removed
            found.setdefault(place, []).append((float(row["output_bits"]), one))
    return found


def _keys(row: dict, prefix: str) -> Keys:
    return Keys(*(int(float(row[prefix + name])) for name in _NAMES))

"""What an encrypted row consists of: keys, operations of lookups, and products of sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ._prices import Keys, Price, price
from ._rows import LookupKind, Row

__all__ = ["Work", "lookups_by_bits", "work_of"]

# Dimension of a ciphertext that no lookup reads, by the precision that it needs.
_DIMENSION, _DIMENSION_PER_BIT = 294, 38.9


@dataclass(frozen=True)
class Work:
    """What a row takes, counted.

    Attributes
    ----------
    keys : tuple of Keys
        Of a client: one pair per width of tables, and one for removed bits.
    operations : dict of int to float
        Of all lookups, as `Keys.operations` counts them, by the size of their polynomials.
    products : float
        Numbers of ciphertexts times weights, in all sums.
    output_dimension : int
        Of the ciphertexts that come out.
    """

    keys: tuple[Keys, ...]
    operations: dict[int, float]
    products: float
    output_dimension: int

    @property
    def key_bytes(self) -> int:
        """Size of the unpacked bootstrap keys, which every row transforms anew."""
        return sum(keys.bootstrap_bytes for keys in self.keys)


def work_of(row: Row) -> Work:
    """Count what a row takes.

    Parameters
    ----------
    row : Row
    """
    prices = _prices(row.kinds)
    operations: Counter = Counter()
    for kind, one in zip(row.kinds, prices, strict=True):
        for keys, count in one.lookups:
            operations[keys.polynomial] += kind.count * count * keys.operations
    products = sum(count * _dimension(row, prices, part) for part, count in row.products.items())
    return Work(
        keys=tuple(_different(row.kinds, prices)),
        operations=dict(operations),
        products=float(products),
        output_dimension=_dimension(row, prices, row.last),
    )


def lookups_by_bits(row: Row) -> dict[int, int]:
    """Lookups of a row by the width of what they look at, in bits."""
    found: Counter = Counter()
    for kind in row.kinds:
        found[kind.table_bits] += kind.count
        found[1] += kind.count * kind.n_removed_bits
    return {bits: count for bits, count in sorted(found.items()) if count}


def _prices(kinds: Sequence[LookupKind]) -> list[Price]:
    """Of each kind.  Tables of one width share keys: those of the most precise output."""
    widths: dict[int, float] = {}
    for kind in kinds:
        widths[kind.table_bits] = max(widths.get(kind.table_bits, 0), kind.precision)
    return [price(kind.table_bits, kind.n_removed_bits, widths[kind.table_bits]) for kind in kinds]


def _different(kinds: Sequence[LookupKind], prices: Sequence[Price]) -> list[Keys]:
    """Keys of a client: one pair per width of tables, and one for removed bits."""
    found: dict[int, Keys] = {}
    for kind, one in zip(kinds, prices, strict=True):
        pairs = {kind.table_bits: one.table, 0: one.bit}
        for place, keys in pairs.items():
            if keys is not None:
                found[place] = max(keys, found.get(place, keys), key=lambda each: each.sent_bytes)
    return list(found.values())


def _dimension(row: Row, prices: Sequence[Price], part: int) -> int:
    """Of the ciphertexts of a part: that of tables, else what reads it, else its precision asks."""
    pairs = list(zip(row.kinds, prices, strict=True))
    results = [one.table.output for kind, one in pairs if kind.target == part]
    read = [(one.bit or one.table).large for kind, one in pairs if kind.source == part]
    free = round(_DIMENSION + _DIMENSION_PER_BIT * row.precision)
    return max(results, default=max(read, default=free))

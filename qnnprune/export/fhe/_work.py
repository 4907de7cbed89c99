"""What an encrypted row consists of: keys, operations of lookups, and products of sums."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ._lookups import LookupLayer, LookupNetwork
from ._prices import Keys, Price, price

__all__ = ["Work", "lookups_by_bits", "work_of"]

_SWITCH_BITS = 0.5  # a lookup on a sum adds noise of its own to it
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


def work_of(lookups: LookupNetwork) -> Work:
    """Count what a row of a network takes.

    Parameters
    ----------
    lookups : LookupNetwork
    """
    *hidden, output = lookups.layers
    prices = _prices(lookups.layers)
    operations: Counter = Counter()
    for layer, one in zip(hidden, prices, strict=True):
        for keys, count in one.lookups:
            operations[keys.polynomial] += len(layer.weight) * count * keys.operations
    free = round(_DIMENSION + _DIMENSION_PER_BIT * _precision(output))
    return Work(
        keys=tuple(_different(hidden, prices)),
        operations=dict(operations),
        products=_products(lookups.layers, prices, free),
        output_dimension=prices[-1].table.output if prices else free,
    )


def lookups_by_bits(hidden: Sequence[LookupLayer]) -> dict[int, int]:
    """Lookups of a row by the width of what they look at, in bits."""
    found: Counter = Counter()
    for layer in hidden:
        found[layer.n_bits - layer.n_removed_bits] += len(layer.weight)
        found[1] += len(layer.weight) * layer.n_removed_bits
    return {bits: count for bits, count in sorted(found.items()) if count}


def _prices(layers: Sequence[LookupLayer]) -> list[Price]:
    """Of each hidden layer.  Tables of one width share keys: those of the most precise output."""
    widths: dict[int, float] = {}
    for layer, reader in zip(layers, layers[1:], strict=False):
        bits = layer.n_bits - layer.n_removed_bits
        widths[bits] = max(widths.get(bits, 0), _precision(reader))
    kinds = [(layer.n_bits - layer.n_removed_bits, layer.n_removed_bits) for layer in layers[:-1]]
    return [price(*kind, widths[kind[0]]) for kind in kinds]


def _precision(layer: LookupLayer) -> float:
    """Width of sums that noise must not reach, and what their weights make of it, in bits."""
    # Fresh ciphertexts have less noise than those of tables: they count where there are no others.
    weight = layer.weight if layer.weight.size else layer.input_weight
    squares = int((weight**2).sum(axis=1).max())
    further = 0 if layer.tables is None else _SWITCH_BITS
    return layer.n_bits + math.log2(max(squares, 1)) / 2 + further


def _different(layers: Sequence[LookupLayer], prices: Sequence[Price]) -> list[Keys]:
    """Keys of a client: one pair per width of tables, and one for removed bits."""
    found: dict[int, Keys] = {}
    for layer, one in zip(layers, prices, strict=False):
        pairs = {layer.n_bits - layer.n_removed_bits: one.table, 0: one.bit}
        for place, keys in pairs.items():
            if keys is not None:
                found[place] = max(keys, found.get(place, keys), key=lambda each: each.sent_bytes)
    return list(found.values())


def _products(layers: Sequence[LookupLayer], prices: Sequence[Price], free: int) -> float:
    """Numbers of ciphertexts that weights multiply, zeros among them."""
    # What a lookup reads has the dimension that its key switches from.
    own = [(one.bit or one.table).large for one in prices] + [free]
    before = [0, *(one.table.output for one in prices)]
    return float(
        np.sum(
            [
                layer.weight.size * dimension + layer.reads_inputs * layer.input_weight.size * fresh
                for layer, dimension, fresh in zip(layers, before, own, strict=True)
            ]
        )
    )

"""Cost of encrypted prediction, of any integer network, without compiling it."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from .._common import integer_network_of
from ._cost import out_of_reach, size_text
from ._lookups import LookupLayer, lookup_network
from ._prices import Keys, Price, price
from ._speed import EncryptedSpeed

__all__ = ["EncryptedCost", "encrypted_cost", "encrypted_seconds"]

_MESSAGE_BYTES = 106  # of every message, beside its ciphertexts
_VALUE_BYTES = 248  # of every tensor of ciphertexts, beside them
_INPUT_BYTES = 24  # of each input: a seed, and what it does not give
_SWITCH_BITS = 0.5  # a lookup on a sum adds noise of its own to it
# Dimension of a ciphertext that no lookup reads, by the precision that it needs.
_DIMENSION, _DIMENSION_PER_BIT = 294, 38.9


@dataclass(frozen=True)
class EncryptedCost:
    """What an encrypted prediction costs, estimated without Concrete.

    ``print(cost)`` sums it up in a sentence.

    Attributes
    ----------
    neurons : tuple of int
        Neurons of each hidden layer that need a table, and sums of the output layer.
    lookups_by_bits : dict of int to int
        Programmable bootstraps per row by the width of what they look at, in bits.  The lookup that
        removes a low bit looks at 1 bit.
    core_seconds_row : float
        Time of one core for a row.
    seconds_row : float
        The same, shared by the cores that were asked for.
    keygen_seconds : float
        Time of one core for a client's keys.
    sent_key_bytes, held_key_bytes : int
        Size of a client's evaluation keys as they are sent, and in the server's memory.
    request_bytes, response_bytes : int
        Ciphertexts of a row, there and back.
    measured : bool
        Whether times follow from a measurement on this machine.
    """

    neurons: tuple[int, ...]
    lookups_by_bits: dict[int, int]
    core_seconds_row: float
    seconds_row: float
    keygen_seconds: float
    sent_key_bytes: int
    held_key_bytes: int
    request_bytes: int
    response_bytes: int
    measured: bool

    @property
    def lookups(self) -> int:
        """Programmable bootstraps per row."""
        return sum(self.lookups_by_bits.values())

    @property
    def out_of_reach(self) -> bool:
        """Whether `compile_fhe` warns: over 1 GiB of keys, or a minute of one core per row."""
        return out_of_reach(self.held_key_bytes, self.core_seconds_row)

    def __str__(self) -> str:
        kinds = sorted(self.lookups_by_bits.items())
        widths = ", ".join(f"{count} of {bits} bits" for bits, count in kinds)
        return (
            f"{self.lookups} lookups per row ({widths or 'sums alone'}): about "
            f"{self.core_seconds_row:.2g} s on one core; evaluation keys of "
            f"{size_text(self.sent_key_bytes)} to send, made in {self.keygen_seconds:.2g} s, and "
            f"{size_text(self.held_key_bytes)} in the server's memory, per client"
        )


def encrypted_cost(
    model, *, speed: EncryptedSpeed | None = None, n_cores: int | None = None
) -> EncryptedCost:
    """Estimate what an encrypted prediction costs, without compiling anything.

    Lookups are exact, and sizes of keys and messages within a fifth, at the usual ``p_error`` of
    `compile_fhe`.  Times are counts of operations at the speed that `EncryptedSpeed.measure` found
    on the machine, which other programs slow down.  Needs neither Concrete nor keys.

    Parameters
    ----------
    model : IntegerNetwork, PrunedNeuralNetClassifier, PrunedNeuralNetRegressor or Pipeline
        Fitted.
    speed : EncryptedSpeed, optional
        By default ``EncryptedSpeed.known()``.
    n_cores : int, optional
        Cores that share a row; by default those of this machine.

    Returns
    -------
    EncryptedCost

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    ValueError
        If `n_cores` is not positive, or a sum is wider than the 16 bits that lookups take.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from qnnprune import PrunedNeuralNetClassifier
    >>> net = PrunedNeuralNetClassifier((6,), n_accum_bits=5, max_epochs=10, random_state=0)
    >>> cost = encrypted_cost(net.fit(*load_iris(return_X_y=True)))
    >>> cost.lookups > 0, cost.out_of_reach
    (True, False)
    """
    if n_cores is not None and n_cores < 1:
        raise ValueError(f"n_cores={n_cores!r} must be 1 or more.")
    speed = EncryptedSpeed.known() if speed is None else speed
    lookups = lookup_network(integer_network_of(model))
    *hidden, output = lookups.layers
    prices = _prices(lookups.layers)
    keys = _different(hidden, prices)
    dimension = prices[-1].table.output if prices else _free_dimension(output)
    sent = _INPUT_BYTES * len(lookups.inputs)
    core_seconds = sum(
        len(layer.weight) * count * speed._seconds(kind)
        for layer, one in zip(hidden, prices, strict=True)
        for kind, count in one.lookups
    )
    return EncryptedCost(
        neurons=tuple(len(layer.weight) for layer in lookups.layers),
        lookups_by_bits=_lookups_by_bits(hidden),
        core_seconds_row=core_seconds,
        seconds_row=core_seconds / (n_cores or os.cpu_count() or 1),
        keygen_seconds=speed.keygen * sum(key.sent_bytes for key in keys),
        sent_key_bytes=sum(key.sent_bytes for key in keys),
        held_key_bytes=sum(key.held_bytes for key in keys),
        request_bytes=_MESSAGE_BYTES + lookups.n_copies * (_VALUE_BYTES + 8 + sent),
        response_bytes=_MESSAGE_BYTES + _VALUE_BYTES + 8 * len(output.weight) * (dimension + 1),
        measured=speed.measured,
    )


def encrypted_seconds(model) -> float:
    """Seconds per encrypted row on this machine, estimated: a cost that a search can take.

    Parameters
    ----------
    model : IntegerNetwork, PrunedNeuralNetClassifier, PrunedNeuralNetRegressor or Pipeline
        Fitted.

    Returns
    -------
    float
        ``encrypted_cost(model).seconds_row``.
    """
    return encrypted_cost(model).seconds_row


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


def _lookups_by_bits(hidden: Sequence[LookupLayer]) -> dict[int, int]:
    found: Counter = Counter()
    for layer in hidden:
        found[layer.n_bits - layer.n_removed_bits] += len(layer.weight)
        found[1] += len(layer.weight) * layer.n_removed_bits
    return {bits: count for bits, count in sorted(found.items()) if count}


def _free_dimension(layer: LookupLayer) -> int:
    return round(_DIMENSION + _DIMENSION_PER_BIT * _precision(layer))

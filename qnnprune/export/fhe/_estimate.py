"""Cost of encrypted prediction, of any integer network, without compiling it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ...integer import IntegerGraph
from .._common import integer_network_of
from ._cost import out_of_reach, size_text
from ._graph_lookups import lookup_graph
from ._lookups import lookup_network
from ._rows import Row, row_of_graph, row_of_network
from ._speed import EncryptedSpeed
from ._work import lookups_by_bits, work_of

__all__ = ["EncryptedCost", "encrypted_cost", "encrypted_seconds"]

_MESSAGE_BYTES = 106  # of every message, beside its ciphertexts
_VALUE_BYTES = 248  # of every tensor of ciphertexts, beside them
_INPUT_BYTES = 24  # of each input: a seed, and what it does not give


@dataclass(frozen=True)
class EncryptedCost:
    """What an encrypted prediction costs, estimated without Concrete.

    ``print(cost)`` sums it up in a sentence.

    Attributes
    ----------
    neurons : tuple of int
        Neurons of each hidden layer that need a table, and sums of the output layer.  Of an
        `IntegerGraph`, tables that each quantizer and each maximum looks up, and its outputs.
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
    `compile_fhe`.  Times are processor times: counts of operations, key bytes and products at the
    speed that `EncryptedSpeed.measure` found on the machine, which other programs slow down.  Needs
    neither Concrete nor keys.

    Parameters
    ----------
    model : IntegerNetwork, PrunedNeuralNetClassifier, PrunedNeuralNetRegressor, Pipeline or \
            IntegerGraph
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
    row = _row(model)
    work, sent = work_of(row), _INPUT_BYTES * row.n_sent
    core_seconds, sent_keys = speed.seconds(work), sum(key.sent_bytes for key in work.keys)
    received = 8 * row.n_returned * (work.output_dimension + 1)
    return EncryptedCost(
        neurons=row.neurons,
        lookups_by_bits=lookups_by_bits(row),
        core_seconds_row=core_seconds,
        seconds_row=core_seconds / (n_cores or os.cpu_count() or 1),
        keygen_seconds=speed.keygen * sent_keys,
        sent_key_bytes=sent_keys,
        held_key_bytes=sum(key.held_bytes for key in work.keys),
        request_bytes=_MESSAGE_BYTES + row.n_copies * (_VALUE_BYTES + 8 + sent),
        response_bytes=_MESSAGE_BYTES + _VALUE_BYTES + received,
        measured=speed.measured,
    )


def encrypted_seconds(model) -> float:
    """Seconds per encrypted row on this machine, estimated: a cost that a search can take.

    Parameters
    ----------
    model : IntegerNetwork, PrunedNeuralNetClassifier, PrunedNeuralNetRegressor, Pipeline or \
            IntegerGraph
        Fitted.

    Returns
    -------
    float
        ``encrypted_cost(model).seconds_row``.
    """
    return encrypted_cost(model).seconds_row


def _row(model) -> Row:
    if isinstance(model, IntegerGraph):
        return row_of_graph(lookup_graph(model))
    return row_of_network(lookup_network(integer_network_of(model)))

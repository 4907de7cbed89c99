"""Cost of an encrypted prediction, known before any key is made."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass

from ...exceptions import EncryptedCostWarning

__all__ = [
    "ADVICE_ON_GRAPHS",
    "CircuitReport",
    "key_sizes",
    "out_of_reach",
    "size_text",
    "warn_of_cost",
]

ADVICE_ON_NETWORKS = (
    "n_rounding_bits removes low bits before the lookup, so that tables have n_accum_bits - "
    "n_rounding_bits; 4 to 6 bits are practical. Time falls in proportion to hidden_layer_sizes."
)
ADVICE_ON_GRAPHS = (
    "AccumulatorPruner makes sums narrower; 4 to 6 bits are practical. Time falls in proportion to "
    "channels and positions. An average needs no lookup, the largest value of a window one for each "
    "value but the first."
)

# Seconds of one core for one operation of Concrete's count.  Measured: 1.5e-10 to 2.1e-10 over
# circuits of 4 to 8 bits, on a server core with AVX-512; lookups of more than 12 bits, which
# Concrete does in another way, 5.5e-10.
_SECONDS = 1.8e-10

# Out of practical reach: a server of 16 GB would serve a dozen clients, or a row takes a minute.
_MOST_KEY_BYTES = 2**30
_MOST_SECONDS = 60


@dataclass(frozen=True)
class CircuitReport:
    """What an encrypted prediction of one row costs, and how sure it is.

    ``print(report)`` sums it up in a sentence.

    Attributes
    ----------
    neurons : tuple of int
        Sums in each layer, from the first hidden one to the output.  Of an `IntegerGraph`, tables
        that each quantizer and each maximum looks up, and its outputs.
    sum_bits : tuple of int
        Width of these sums, in bits.
    table_bits : tuple of int
        Width of the tables' inputs in each hidden layer, in bits.
    lookups : int
        Programmable bootstraps per row: one per table, and one for each low bit removed
        before it.
    max_bits : int
        The largest width in the circuit, as Concrete reports it, in bits.
    proven_bits : int
        The largest accumulator of the integer network, as proven, in bits.
    p_error : float
        Bound on the chance that one lookup errs.
    complexity : float
        Operations per row, as Concrete's optimizer counts them.
    sent_key_bytes : int
        Size of a client's evaluation keys as they are sent, once.
    held_key_bytes : int
        Memory that a server needs for each client's evaluation keys: as they were sent, and
        as its first row unpacks them.
    """

    neurons: tuple[int, ...]
    sum_bits: tuple[int, ...]
    table_bits: tuple[int, ...]
    lookups: int
    max_bits: int
    proven_bits: int
    p_error: float
    complexity: float
    sent_key_bytes: int
    held_key_bytes: int

    @property
    def p_error_row(self) -> float:
        """Bound on the chance that any lookup of a row errs."""
        return min(1.0, self.lookups * self.p_error)

    @property
    def core_seconds_row(self) -> float:
        """Rough time of a row on one core, in seconds; more cores share it.

        A fixed price per operation of `complexity`, right within a quarter on the machine
        where it was measured.  Other machines are up to a few times slower or faster, tables
        of more than 12 bits three times slower, and a client's first row takes longer, as it
        unpacks the keys.
        """
        return self.complexity * _SECONDS

    def __str__(self) -> str:
        table = f" in tables of up to {max(self.table_bits)} bits" if self.table_bits else ""
        return (
            f"{self.lookups} lookups per row{table}: about {self.core_seconds_row:.2g} s on one "
            f"core; evaluation keys of {size_text(self.sent_key_bytes)} to send, and "
            f"{size_text(self.held_key_bytes)} in the server's memory, per client"
        )


def size_text(n_bytes: int) -> str:
    """A size for people to read."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"


def key_sizes(specs) -> tuple[int, int]:
    """Bytes of evaluation keys as they are sent and as they are held, from their parameters.

    Concrete's own ``size_of_bootstrap_keys`` is several times too large where keys have a
    GLWE dimension above 1.  Bootstrap and keyswitch keys are sent without the random part of
    each ciphertext, which a seed stands for.

    Parameters
    ----------
    specs : concrete.fhe.ClientSpecs
    """
    keyset = json.loads(specs.serialize())["keyset"]
    sent = unpacked = 0
    for params in (key["params"] for key in keyset["lweBootstrapKeys"]):
        polynomials = params["glweDimension"] + 1  # of a ciphertext
        rows = params["inputLweDimension"] * params["levelCount"] * polynomials
        sent += rows * params["polynomialSize"]
        unpacked += rows * polynomials * params["polynomialSize"]
    for params in (key["params"] for key in keyset["lweKeyswitchKeys"]):
        rows = params["inputLweDimension"] * params["levelCount"]
        sent += rows
        unpacked += rows * (params["outputLweDimension"] + 1)
    for params in (key["params"] for key in keyset["packingKeyswitchKeys"]):  # above 12 bits
        polynomials = params["glweDimension"] + 1
        rows = (params["inputLweDimension"] + 1) * params["levelCount"] * polynomials
        sent += rows * polynomials * params["polynomialSize"]
    return 8 * sent, 8 * (sent + unpacked)


def out_of_reach(held_key_bytes: float, core_seconds_row: float) -> bool:
    """Whether keys or time are out of practical reach."""
    return held_key_bytes > _MOST_KEY_BYTES or core_seconds_row > _MOST_SECONDS


def warn_of_cost(report: CircuitReport, stacklevel: int, advice: str = ADVICE_ON_NETWORKS) -> None:
    """Warn where keys or time are out of practical reach, with advice on what makes them less."""
    if not out_of_reach(report.held_key_bytes, report.core_seconds_row):
        return
    warnings.warn(
        f"This network is hardly practical on encrypted rows. {report}. Keys and time fall 2 to "
        f"3 times with each bit that tables lose: {advice}",
        EncryptedCostWarning,
        stacklevel=stacklevel + 1,
    )

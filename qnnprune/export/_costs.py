"""What a network costs: the figures that pictures and searches know by name."""

from __future__ import annotations

from ..integer import IntegerNetwork
from ._common import integer_network_of
from .c import to_c
from .fhe import encrypted_cost
from .fhe._lookups import lookup_network

__all__ = ["COSTS", "TITLES", "named_cost"]


def _width(network: IntegerNetwork) -> int:
    return network.proven_bits


def _weights(network: IntegerNetwork) -> int:
    return network.nonzeros


def _bytes(network: IntegerNetwork) -> int:
    return to_c(network).flash_bytes


def _lookups(network: IntegerNetwork) -> int:
    """Tables that encrypted prediction looks up per row, one per hidden neuron that it needs."""
    return sum(
        len(layer.weight) for layer in lookup_network(network).layers if layer.tables is not None
    )


def _seconds(network: IntegerNetwork) -> float:
    """Of one core per encrypted row; refused where a sum is wider than lookups take."""
    return encrypted_cost(network).core_seconds_row


COSTS = {
    "width": _width,
    "weights": _weights,
    "bytes": _bytes,
    "lookups": _lookups,
    "seconds": _seconds,
}
TITLES = {
    "width": "proven accumulator width, bits",
    "weights": "weights that are not 0",
    "bytes": "bytes of C in flash",
    "lookups": "encrypted lookups per row",
    "seconds": "seconds of one core per encrypted row",
}


def named_cost(name: str, model) -> float:
    """A cost of a fitted estimator, network or pipeline.

    Parameters
    ----------
    name : str
        A key of `COSTS`.
    model : IntegerNetwork, fitted estimator or Pipeline
        As in `integer_network_of`.
    """
    return COSTS[name](integer_network_of(model))

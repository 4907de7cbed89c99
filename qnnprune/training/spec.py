"""What a network looks like; apart from the module, as a fitted estimator carries it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NetworkShape"]


@dataclass(frozen=True)
class NetworkShape:
    """All that is needed to build the module again, beside its state.

    ``n_w_bits`` and ``n_a_bits`` of None build the float twin.
    """

    hidden_layer_sizes: tuple[int, ...]
    n_outputs: int
    activation: str
    n_w_bits: int | None
    n_a_bits: int | None
    n_rounding_bits: int = 0


@dataclass(frozen=True)
class Start:
    """What a training starts from, and where it goes.

    Attributes
    ----------
    going_on : bool
        From the weights, the encoding and the labels of the last one.
    partial : bool
        For one epoch of `partial_fit`.
    narrower : bool
        To narrower limits along the pruning schedule; else the limits hold all the time when
        training goes on.
    """

    going_on: bool = False
    partial: bool = False
    narrower: bool = False

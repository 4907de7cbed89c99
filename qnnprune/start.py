"""From where a training starts: `fit`, `partial_fit`, warm starts and `prune` differ in that."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Start"]


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

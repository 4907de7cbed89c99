"""The audit of integer models that others made: ranges, widths and witnesses of their sums."""

from ._prove import prove
from ._report import AccumulatorProof, Proof, Unknown, Witness

__all__ = ["AccumulatorProof", "Proof", "Unknown", "Witness", "prove"]

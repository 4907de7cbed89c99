"""Folding: the steps of a fitted pipeline into one encoding of raw columns.  Numpy alone."""

from ._fold import folded

__all__ = ["folded"]

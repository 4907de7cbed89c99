"""Input encoding: raw columns to levels, and levels to codes.  Numpy alone."""

from ._encoding import InputEncoding
from ._fit import fit_encoding, fit_input_encoding

__all__ = ["InputEncoding", "fit_encoding", "fit_input_encoding"]

"""C: the integer network as one C99 header."""

from ._header import CHeader, to_c

__all__ = ["CHeader", "to_c"]

"""C99 text: literals, and a file that grows table by table."""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import indent, wrap

import numpy as np

__all__ = ["Source", "c_string", "c_type"]

_LINE = 96


def c_type(dtype) -> str:
    """Name of a numpy type in C."""
    names = {"float32": "float", "float64": "double"}
    return names.get(np.dtype(dtype).name, f"{np.dtype(dtype).name}_t")


def c_string(text: str) -> str:
    r"""A string literal of the UTF-8 bytes; it ends neither a comment nor a line.

    Examples
    --------
    >>> print(c_string('caffè "*/" ??/'))
    "caff\303\250 \042\052/\042 \077\077/"
    """
    # An octal escape ends after three digits, whatever follows; a hexadecimal one would not.
    data = text.encode("utf-8", "backslashreplace")
    plain = (chr(b) if 32 <= b < 127 and b not in b'"\\?*' else f"\\{b:03o}" for b in data)
    return f'"{"".join(plain)}"'


def _literal(value) -> str:
    if isinstance(value, np.float32):
        return f"{value!s}f"
    if isinstance(value, float):
        return repr(float(value))
    if value == -(2**63):
        return "(-9223372036854775807 - 1)"  # C has no negative literals
    return f"{value}u" if value >= 2**63 else str(value)


@dataclass
class Source:
    """A growing C file, and the bytes of its tables.

    Attributes
    ----------
    p : str
        Prefix of all names.
    flash_bytes : int
        Of the tables that were counted.
    """

    p: str
    parts: list[str] = field(default_factory=list)
    flash_bytes: int = 0

    def add(self, text: str) -> None:
        """Append a block of lines; an empty line follows, except after a comment."""
        text = text.strip("\n")
        self.parts.append(text if text.endswith("*/") else f"{text}\n")

    def table(self, name: str, values: np.ndarray, *, counted: bool = True) -> None:
        """Append a constant array; one without values gets a 0, as C has no empty arrays."""
        values = values.ravel() if values.size else np.zeros(1, values.dtype)
        items = values.tolist() if values.dtype != np.float32 else values
        text = "\n".join(wrap(", ".join(map(_literal, items)), _LINE))
        declaration = f"static const {c_type(values.dtype)} {self.p}_{name}[{len(values)}]"
        self.add(f"{declaration} = {{\n{indent(text, '    ')}\n}};")
        self.flash_bytes += values.nbytes * counted

    def strings(self, name: str, values: list[str]) -> None:
        """Append an array of strings."""
        width = max(len(value.encode()) for value in values) + 1
        items = "\n".join(f"    {c_string(value)}," for value in values)
        declaration = f"static const char {self.p}_{name}[{len(values)}][{width}]"
        self.add(f"{declaration} = {{\n{items}\n}};")

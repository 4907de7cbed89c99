"""C text: literals, and files that grow function by function and table by table."""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import indent, wrap
from typing import NamedTuple

import numpy as np

from ._runtime import instances, memory

__all__ = ["Source", "c_string", "c_type", "literals", "macro_prefix"]

_LINE = 96


def macro_prefix(prefix: str) -> str:
    """The beginning of all macros: no two prefixes have the same.

    Examples
    --------
    >>> macro_prefix("net"), macro_prefix("Net")
    ('NET', 'Net')
    """
    return prefix.upper() if prefix == prefix.lower() else prefix


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


def literals(values: np.ndarray) -> list[str]:
    """The numbers of an array, as C writes them."""
    return list(map(_literal, values if values.dtype == np.float32 else values.tolist()))


def _literal(value) -> str:
    if isinstance(value, np.float32):
        return f"{value!s}f"
    if isinstance(value, float):
        return repr(float(value))
    if value == -(2**63):
        return "(-9223372036854775807 - 1)"  # C has no negative literals
    return f"{value}u" if value >= 2**63 else str(value)


class _Part(NamedTuple):
    """A piece of C: in a header that holds everything, or in a header and in its source file."""

    whole: str
    declared: str
    defined: str


@dataclass
class Source:
    """Growing C, and the bytes of its tables.

    Attributes
    ----------
    p : str
        Prefix of all names.
    argument, row : str
        What public functions take, as C declares it and by its name.
    parts : list
        What it consists of so far.
    flash_bytes : int
        Of the tables that were counted.
    """

    p: str
    argument: str = ""
    row: str = "x"
    parts: list[_Part] = field(default_factory=list)
    flash_bytes: int = 0
    _used: set[str] = field(default_factory=set)

    @property
    def macro(self) -> str:
        """Prefix of all macros."""
        return macro_prefix(self.p)

    def whole(self) -> str:
        """What a header holds that holds everything."""
        return _joined(part.whole for part in self.parts)

    def declared(self) -> str:
        """What a header holds that declares what its source file defines."""
        return _joined(part.declared for part in self.parts)

    def defined(self) -> str:
        """What that source file holds."""
        return _joined(part.defined for part in self.parts)

    def add(self, text: str) -> None:
        """Append lines that callers need not see."""
        text = text.strip("\n")
        self.parts.append(_Part(text, "", text))

    def read(self, dtype, place: str) -> str:
        """C that reads a constant table at a place, which may be in another memory."""
        return f"{self.macro}_READ({c_type(dtype)}, {place})"

    def everywhere(self, text: str) -> None:
        """Append lines that headers and source files hold, as those of the preprocessor."""
        self.parts.append(_Part(text, text, text))

    def use(self, function: str, **types: str) -> str:
        """Append a function of the runtime and all that it calls, unless they are there.

        Returns
        -------
        str
            Its name in this file.
        """
        found = instances(function, self.p, self.macro, **types)
        for name, text in found.items():
            if name not in self._used:
                self.add(text)
                self._used.add(name)
        return list(found)[-1]

    def function(self, comment: str, signature: str, lines, *, public: bool = False) -> None:
        """Append a function.

        Parameters
        ----------
        comment, signature : str
        lines : sequence of str
            Of its body.
        public : bool
            Whether it is for callers.
        """
        body = f"{signature}\n{{\n{indent(chr(10).join(lines), ' ' * 4)}\n}}"
        comment = f"/* {comment} */\n" if comment else ""
        private = f"{comment}static inline {body}"
        declared = f"{comment}{signature};" if public else ""
        self.parts.append(_Part(private, declared, comment + body if public else private))

    def memory(self) -> None:
        """Append the macros that `table` and `read` need, for callers as well."""
        text = memory(self.macro)
        self.parts.append(_Part(text, text, ""))

    def table(
        self, name: str, values: np.ndarray, *, counted: bool = True, public: bool = False
    ) -> None:
        """Append a constant array; one without values gets a 0, as C has no empty arrays.

        Parameters
        ----------
        name : str
            Without the prefix.
        values : array
        counted : bool
            Whether its bytes count as `flash_bytes`.
        public : bool
            Whether it is for callers, who read it as any array.  Other tables are in flash on
            every device, and `read` reads them.
        """
        values = values.ravel() if values.size else np.zeros(1, values.dtype)
        text = "\n".join(wrap(", ".join(literals(values)), _LINE))
        where = "" if public else f" {self.macro}_FLASH"
        self._array(f"{c_type(values.dtype)} {self.p}_{name}[{len(values)}]", text, public, where)
        self.flash_bytes += values.nbytes * counted

    def strings(self, name: str, values: list[str]) -> None:
        """Append an array of strings for callers."""
        width = max(len(value.encode()) for value in values) + 1
        items = "\n".join(f"{c_string(value)}," for value in values)
        self._array(f"char {self.p}_{name}[{len(values)}][{width}]", items, public=True)

    def _array(self, declaration: str, items: str, public: bool, where: str = "") -> None:
        definition = f"const {declaration}{where} = {{\n{indent(items, '    ')}\n}};"
        private = f"static {definition}"
        declared = f"extern const {declaration};" if public else ""
        self.parts.append(_Part(private, declared, definition if public else private))


def _joined(texts) -> str:
    """Texts with an empty line after each, except after a comment on what follows."""
    return "\n".join(
        text if text.startswith("/*") and text.endswith("*/") else f"{text}\n"
        for text in texts
        if text
    )

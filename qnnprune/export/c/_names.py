"""C names for columns and categories: letters, digits and underscores, no two the same."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["Names"]

# Keywords of C99 and C++11 that a column may be called.
_KEYWORDS = set(
    [
        "alignas",
        "alignof",
        "and",
        "asm",
        "auto",
        "bitand",
        "bitor",
        "bool",
        "break",
        "case",
        "catch",
        "char",
        "class",
        "compl",
        "const",
        "constexpr",
        "continue",
        "decltype",
        "default",
        "delete",
        "do",
        "double",
        "else",
        "enum",
        "explicit",
        "export",
        "extern",
        "false",
        "float",
        "for",
        "friend",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "mutable",
        "namespace",
        "new",
        "noexcept",
        "not",
        "nullptr",
        "operator",
        "or",
        "private",
        "protected",
        "public",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "template",
        "this",
        "throw",
        "true",
        "try",
        "typedef",
        "typeid",
        "typename",
        "union",
        "unsigned",
        "using",
        "virtual",
        "void",
        "volatile",
        "while",
        "xor",
    ]
)


class Names:
    """Hands out names, and no name twice.

    Parameters
    ----------
    taken : iterable of str
        Names that are in use.

    Examples
    --------
    >>> names = Names()
    >>> [names.of(text) for text in ("Größe (cm)", "grosse_cm", "2nd", "int", "", "中")]
    ['Grosse_cm', 'grosse_cm', 'x2nd', 'int_', 'x', 'x_2']
    """

    def __init__(self, taken=()):
        self._taken = set(taken)

    def of(self, text: str, prefix: str = "") -> str:
        """A name like a text, behind a prefix that begins with a letter."""
        name = prefix + _plain(text)
        if not name[:1].isalpha():
            name = f"x{name}"
        if name in _KEYWORDS:
            name += "_"
        found, number = name, 2
        while found in self._taken:
            found, number = f"{name}_{number}", number + 1
        self._taken.add(found)
        return found


def _plain(text: str) -> str:
    text = re.sub(r"^-(?=[\d.])", "minus_", text).replace("ß", "ss")
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]+", "_", ascii_text).strip("_")

"""Columns of texts: which texts are missing values, and whether the others are numbers.

Texts become numbers only where all of them are numbers, times or dates in one way, or where the
other columns of the file settle which of two ways is meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ._formats import LONGEST_INTEGER, Reading, number_readings, readings

__all__ = [
    "AS_TEXT",
    "TOO_LONG",
    "UNDECIDED",
    "Conventions",
    "TextColumn",
    "evidence",
    "may_be_missing",
]

_ALWAYS_MISSING = {"", "na", "n/a", "nan", "-nan", "null", "none", "<na>", "#n/a", "#na"}
# Missing values among numbers or dates; among other texts they may be labels.
_MISSING_AMONG_NUMBERS = {
    *("?", "-", "--", "---", "\u2013", "\u2014", ".", "..", "*", "n.a.", "k.a.", "nil", "unknown"),
    *("missing", "not available", "tba", "tbd", "inf", "+inf", "-inf", "infinity", "-infinity"),
    *("#div/0!", "#value!", "#ref!", "#num!", "#name?"),
}
AS_TEXT = "kept as categories"
UNDECIDED = "undecided, so kept as categories"
TOO_LONG = f"integers of more than {LONGEST_INTEGER} digits"
_OPTIONS = {"numbers": "--decimal", "dates": "--date-order"}


@dataclass(frozen=True)
class Conventions:
    """What the user says about the texts of a file; None leaves it to the texts.

    Attributes
    ----------
    decimal : {".", ","} or None
    date_order : {"dmy", "mdy", "ymd"} or None
    missing : tuple of str or None
        The only texts, besides the empty one, that stand for a missing value.
    """

    decimal: str | None = None
    date_order: str | None = None
    missing: tuple[str, ...] | None = None

    def of(self, kind: str) -> str | None:
        """The convention about "numbers" or "dates"."""
        return self.decimal if kind == "numbers" else self.date_order


def may_be_missing(text: str) -> bool:
    """Whether a text stands for a missing value where it is found among numbers."""
    return text.casefold() in _MISSING_AMONG_NUMBERS


class TextColumn:
    """Distinct texts of a column, with their possible readings.

    Parameters
    ----------
    texts : sequence of str
        Distinct.
    conventions : Conventions
    as_text : bool
        Whether they are no numbers, whatever they look like.

    Attributes
    ----------
    is_missing : bool array of shape (n_texts,)
        Texts that stand for a missing value, whatever the other texts are.
    is_mark : bool array of shape (n_texts,)
        Texts that do so only among numbers or dates.
    open : list of Reading
        Readings of the remaining texts that agree with `conventions`.
    """

    def __init__(self, texts: Sequence[str], conventions: Conventions, as_text: bool):
        self.as_text = as_text
        self.texts, self.conventions = np.array(texts, object), conventions
        if conventions.missing is None:
            folded = [text.casefold() for text in texts]
            always, among_numbers = _ALWAYS_MISSING, _MISSING_AMONG_NUMBERS
        else:
            folded = list(texts)
            always, among_numbers = {"", *conventions.missing}, set()
        self.is_missing = np.array([text in always for text in folded], bool)
        self.is_mark = np.array([text in among_numbers for text in folded], bool)
        self.is_value = ~(self.is_missing | self.is_mark)
        self._values = list(self.texts[self.is_value])
        self._readings = readings(self._values) if self._values and not as_text else []
        self.open = [reading for reading in self._readings if self._agrees(reading)]

    def _agrees(self, reading: Reading) -> bool:
        given = self.conventions.of(reading.kind)
        return given is None or not reading.conventions or given in reading.conventions

    def chosen(self, usual: dict[str, set[str]]) -> Reading | None:
        """The one reading that is meant, None where there is none or it stays open.

        Parameters
        ----------
        usual : dict from str to set of str
            What `evidence` found in the whole file.
        """
        if len(self.open) < 2:
            return self.open[0] if self.open else None
        found = usual[self.open[0].kind]
        meant = [r for r in self.open if (r.conventions & found if found else r.is_standard)]
        return meant[0] if len(meant) == 1 else None

    def example(self, reading: Reading) -> str:
        """A text whose reading is not what Python makes of it, or "" where there is none."""
        is_date = reading.kind == "dates"
        pairs = zip(self._values, reading.values, strict=True)
        changed = [i for i, pair in enumerate(pairs) if is_date or not _is_float(*pair)]
        index = max(changed, key=lambda i: len(self._values[i]), default=None)
        return "" if index is None else f"{self._values[index]!r} is {reading.meaning(index)}"

    def why_text(self) -> dict[str, str]:
        """A note that says why these are no numbers; empty where nobody would ask."""
        if self.as_text:
            return {}
        if len(self.open) > 1:
            return {UNDECIDED: _alternatives(self._values, self.open)}
        if self._readings:
            kind = self._readings[0].kind
            option, given = _OPTIONS[kind], self.conventions.of(kind)
            return {UNDECIDED: f"not all are {kind} with {option} {given}"}
        if self._values and all(map(str.isdecimal, self._values)):
            padded = any(len(text) > 1 and text.startswith("0") for text in self._values)
            return {AS_TEXT: "leading zeros" if padded else TOO_LONG}
        return self._mixture()

    def _mixture(self) -> dict[str, str]:
        """The reason of a column in which more than half of the texts would be numbers alone."""
        is_number = [bool(number_readings([text])) for text in self._values]
        numbers = [text for text, number in zip(self._values, is_number, strict=True) if number]
        others = [text for text, number in zip(self._values, is_number, strict=True) if not number]
        if len(numbers) <= len(others):
            return {}
        differing = [text for text in numbers[1:] if not number_readings([numbers[0], text])]
        if differing:
            return {AS_TEXT: f"numbers of two kinds, like {numbers[0]!r} and {differing[0]!r}"}
        shown = ", ".join(map(repr, others[:3])) + (", ..." if len(others) > 3 else "")
        return {UNDECIDED: f"numbers but for {shown}: --missing"}


def _alternatives(texts: Sequence[str], open_readings: Sequence[Reading]) -> str:
    """A text on which the readings disagree, and what each option makes of it."""
    option = _OPTIONS[open_readings[0].kind]
    index = next(i for i in range(len(texts)) if len({r.meaning(i) for r in open_readings}) > 1)
    ways = [f"{r.meaning(index)} with {option} {min(r.conventions)}" for r in open_readings]
    return f"{texts[index]!r} is {' or '.join(ways)}"


def _is_float(text: str, value: float) -> bool:
    try:
        return float(text) == value
    except ValueError:
        return False


def evidence(columns: Iterable[TextColumn]) -> dict[str, set[str]]:
    """Conventions of the columns that can be read in one way only, by kind of reading."""
    found: dict[str, set[str]] = {kind: set() for kind in _OPTIONS}
    for column in columns:
        if len(column.open) == 1:
            found[column.open[0].kind] |= column.open[0].conventions
    return found

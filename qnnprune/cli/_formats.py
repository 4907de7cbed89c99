"""Formats of texts: numbers with their marks and units, times of day, and dates.

Each function takes the distinct texts of one column and returns the readings that fit all of
them.  Texts that fit with two different results, such as 1,234 or 01/02/2026, have two readings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import product
from typing import Any

import numpy as np

__all__ = ["DATE_ORDERS", "DECIMALS", "LONGEST_INTEGER", "Reading", "number_readings", "readings"]

DECIMALS = (".", ",")
DATE_ORDERS = ("dmy", "mdy", "ymd")
LONGEST_INTEGER = 15  # digits that a float64 holds exactly, whatever they are

_CURRENCY = r"[^\W\d_]{0,3}[$¢£¤¥฿\u20a0-\u20cf]"
_UNIT = rf"{_CURRENCY}|[%‰]|°\s?[^\W\d_]?|[^\W\d_]+[23]?(?:/[^\W\d_]+[23]?)?\.?"
_NUMBER = r"""
    (?P<bracket>\()?                                  # accountants' negative amounts
    (?P<sign>[-+\u2212])?\s*
    (?P<currency>CURRENCY)?\s*
    (?P<inner_sign>[-+\u2212])?
    (?P<whole>
        [1-9]\d{0,2}(?P<mark>[THOUSANDS\s'’])\d{3}(?:(?P=mark)\d{3})*
        | [1-9]\d?(?:[THOUSANDS]\d\d)+[THOUSANDS]\d{3}  # lakh and crore
        | 0 | [1-9]\d*                                # leading zeros mark a code
        | (?=[DECIMAL]\d)
    )
    (?:[DECIMAL](?P<fraction>\d*))?
    (?P<exponent>[eE][-+]?\d+)?
    \s*(?P<unit>UNIT)?
    (?(bracket)\))
"""
_PLAIN = re.compile(
    rf"-?(?:0|[1-9]\d{{0,{LONGEST_INTEGER - 1}}})(?:\.\d+)?(?:e[-+]?\d+)?"
).fullmatch
_TIME = re.compile(r"(\d{1,3}):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?(?:\s?([AaPp])\.?[Mm]\.?)?")
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ].*)?")
_CLOCKS = ["", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p"]


@dataclass(frozen=True, eq=False)
class Reading:
    """One way to read the texts of a column.

    Attributes
    ----------
    values : float64 array of shape (n_texts,)
        Numbers, hours, or days since the earliest date.
    origin : Timestamp or None
        The earliest date; None where the values are numbers.
    conventions : frozenset of str
        Those of `DECIMALS` or `DATE_ORDERS` that lead to it; empty where all do.
    is_standard : bool
        Whether to prefer it where nothing else speaks for another reading.
    """

    values: np.ndarray
    origin: Any = None
    conventions: frozenset[str] = frozenset()
    is_standard: bool = False

    @property
    def kind(self) -> str:
        """Either "numbers" or "dates"."""
        return "numbers" if self.origin is None else "dates"

    def meaning(self, index: int) -> str:
        """What the text at `index` is read as."""
        value = self.values[index]
        if self.origin is None:
            return f"{value:.15g}"
        moment = (self.origin + timedelta(days=value)).round("s").tz_localize(None)
        return str(moment).removesuffix(" 00:00:00")

    def is_same(self, other: Reading) -> bool:
        """Whether both read every text as the same number or date."""
        return self.origin == other.origin and np.array_equal(self.values, other.values)


def readings(texts: Sequence[str]) -> list[Reading]:
    """All readings of the texts of a column.

    Parameters
    ----------
    texts : sequence of str
        Distinct, neither empty nor marks of a missing value.

    Returns
    -------
    list of Reading
        Empty where the texts are neither numbers nor times or dates.

    Examples
    --------
    >>> [(*r.conventions, *r.values.tolist()) for r in readings(["$1,250.50", "$3"])]
    [('.', 1250.5, 3.0)]
    >>> [(*r.conventions, *r.values.tolist()) for r in readings(["1,234"])]
    [('.', 1234.0), (',', 1.234)]
    """
    compact = all(re.fullmatch(r"(?:19|20)\d{6}", text) for text in texts)
    dates = _different(_dates(texts)) if compact else []
    return dates or number_readings(texts) or list(_times(texts)) or _different(_dates(texts))


def number_readings(texts: Sequence[str]) -> list[Reading]:
    """Those readings of `readings` that are numbers."""
    return _different(_numbers(texts))


def _different(found: Iterable[Reading]) -> list[Reading]:
    """Readings without repetitions."""
    kept: list[Reading] = []
    for reading in found:
        for index, other in enumerate(kept):
            if reading.is_same(other):
                kept[index] = replace(other, conventions=other.conventions | reading.conventions)
                break
        else:
            kept.append(reading)
    if len(kept) == 1 and len(kept[0].conventions) > 1:
        return [replace(kept[0], conventions=frozenset())]
    return kept


def _number_pattern(decimal: str) -> re.Pattern:
    thousands = "," if decimal == "." else "."
    pattern = _NUMBER.replace("CURRENCY", _CURRENCY).replace("UNIT", _UNIT)
    return re.compile(
        pattern.replace("THOUSANDS", thousands).replace("DECIMAL", decimal), re.VERBOSE
    )


_NUMBERS = {decimal: _number_pattern(decimal) for decimal in DECIMALS}


def _numbers(texts) -> Iterator[Reading]:
    if not any("." in text or "," in text for text in texts):
        values = _numbers_with(".", texts)
        if values is not None:
            yield Reading(values)
        return
    # Without commas it is the usual notation; in an amount of money, three digits behind a comma
    # are no decimals.
    is_standard = all("," not in text or re.search(_CURRENCY, text) for text in texts)
    for decimal in DECIMALS:
        values = _numbers_with(decimal, texts)
        if values is not None:
            standard = decimal == "." and is_standard
            yield Reading(values, conventions=frozenset(decimal), is_standard=standard)


def _numbers_with(decimal: str, texts) -> np.ndarray | None:
    """Values of texts that are all numbers in one unit, else None."""
    if decimal == "." and all(map(_PLAIN, texts)):
        return np.array(list(map(float, texts)))  # the bulk of most files, quickly
    matches = _all_match(_NUMBERS[decimal], texts)
    if matches is None or len({(match["currency"], match["unit"]) for match in matches}) > 1:
        return None
    if not any(match["fraction"] for match in matches) and _longest(matches) > LONGEST_INTEGER:
        return None
    return np.array([_value(match) for match in matches])


def _all_match(pattern: re.Pattern, texts) -> list[re.Match] | None:
    matches = []
    for text in texts:
        match = pattern.fullmatch(text)
        if match is None:
            return None
        matches.append(match)
    return matches


def _longest(matches) -> int:
    return max(sum(map(str.isdigit, match["whole"])) for match in matches)


def _value(match: re.Match) -> float:
    whole = re.sub(r"\D", "", match["whole"])
    value = float(f"{whole or 0}.{match['fraction'] or 0}{match['exponent'] or ''}")
    signs = [match["sign"], match["inner_sign"], match["bracket"]]
    return -value if any(sign and sign != "+" for sign in signs) else value


def _times(texts) -> Iterator[Reading]:
    """Times of day and durations, in hours."""
    matches = _all_match(_TIME, texts)
    if matches is None or len({match[4] is None for match in matches}) > 1:
        return
    values = []
    for hours, minutes, seconds, half in (match.groups() for match in matches):
        whole = int(hours) if half is None else int(hours) % 12 + 12 * (half in "Pp")
        values.append(whole + int(minutes) / 60 + float(seconds or 0) / 3600)
    yield Reading(np.array(values))


def _date_formats() -> dict[str, str | None]:
    """Formats of dates, each with its order where another order could fit too."""
    formats: dict[str, str | None] = {"%Y%m%d": None}
    for mark in "/-. ":
        formats[mark.join(["%Y", "%m", "%d"])] = None
        for order, year in product(DATE_ORDERS, "Yy"):
            codes = ["%" + (year if part == "y" else part) for part in order]
            formats.setdefault(mark.join(codes), order)
        for month in ("%b", "%B"):
            formats |= {mark.join(["%d", month, year]): None for year in ("%Y", "%y")}
            formats |= {mark.join([month, year]): None for year in ("%Y", "%y")}
        if mark != " ":
            formats |= {f"%Y{mark}%m": None, f"%m{mark}%Y": None}
    for month in ("%b", "%B"):
        formats |= {f"{month} %d, %Y": None, f"{month} %d %Y": None, f"%d. {month} %Y": None}
    return formats


_DATES = _date_formats()


def _dates(texts) -> Iterator[Reading]:
    formats: dict[str, str | None] = {}
    if all(_ISO.fullmatch(text) for text in texts):
        formats = {"ISO8601": None}
    elif re.search(r"\d", texts[0]):
        formats = {d + clock: order for (d, order), clock in product(_DATES.items(), _CLOCKS)}
    for format_, order in formats.items():
        moments = _parsed(texts[:1], format_)
        if moments is not None:
            moments = _parsed(texts, format_)
        if moments is not None:
            days = (moments - moments.min()).total_seconds() / 86400
            yield Reading(np.array(days), moments.min(), frozenset({order} - {None}))


def _parsed(texts, format_: str):
    """Moments in UTC, or None where a text does not fit."""
    import pandas as pd

    moments = pd.to_datetime(list(texts), format=format_, errors="coerce", utc=True)
    return None if moments.isna().any() else moments

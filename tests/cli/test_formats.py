"""Texts are read as the numbers and dates that they are, or in every way that fits."""

from datetime import date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnnprune.cli._formats import readings

pytest.importorskip("pandas")


def _only(texts):
    """The one reading of the texts."""
    (reading,) = readings(texts)
    return reading


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1", "-2", "+3", "\N{MINUS SIGN}4"], [1, -2, 3, -4]),
        (["1e3", "2E-2", ".5", "5."], [1000, 0.02, 0.5, 5]),
        (["1,5", "-2,75"], [1.5, -2.75]),
        (["0,125", "3"], [0.125, 3]),
        (["1.234,5", "7"], [1234.5, 7]),
        (["1,234.5", "7"], [1234.5, 7]),
        (["1,234,567", "8"], [1234567, 8]),
        (["12,34,567", "8"], [1234567, 8]),  # lakh
        (["1 234,5", "1\u00a0234\u00a0567"], [1234.5, 1234567]),
        (["1'234.50", "1’000"], [1234.5, 1000]),
        (["79%", "5.5 %"], [79, 5.5]),
        (["$950.10", "-$3", "$-4", "($5)"], [950.1, -3, -4, -5]),
        (["12,50 €", "3 €"], [12.5, 3]),
        (["R$ 10", "R$ 2"], [10, 2]),
        (["12 kg", "5kg"], [12, 5]),
        (["5 km/h", "12 km/h"], [5, 12]),
        (["21 °C", "-3 °C"], [21, -3]),
        (["14:30", "0:15"], [14.5, 0.25]),
        (["00:00:36", "100:00:00"], [0.01, 100]),
        (["2:30 PM", "12:00 am", "12:15 p.m."], [14.5, 0, 12.25]),
    ],
)
def test_numbers(texts, values):
    reading = _only(texts)
    assert reading.kind == "numbers"
    np.testing.assert_allclose(reading.values, values, rtol=1e-15)


@pytest.mark.parametrize(
    "texts",
    [
        ["red", "12"],
        ["01234", "99999"],  # leading zeros: codes
        ["-05", "12"],
        ["1234567890123456", "12"],  # more digits than a float holds
        ["A12", "A13"],
        ["12 kg", "5 g"],
        ["79%", "5"],
        ["$5", "€5"],
        ["1,5", "2.5"],
        ["1,23,4", "5"],
        ["12,3456,789", "5"],
        ["1.2.3", "1.2.4"],
        ["192.168.0.1", "10.0.0.1"],
        ["1_000", "2"],
        ["0x10", "2"],
        ["10+ years", "2 years"],
        ["1/2", "3/4"],
        ["5.", "."],
        ["31.02.2026", "01.01.2026"],
        ["2026-13-01", "2026-01-01"],
        ["31/12/2026", "12/31/2026"],
        ["25:61", "1:00"],
    ],
)
def test_neither_numbers_nor_dates(texts):
    assert readings(texts) == []


@given(
    numbers=st.lists(st.integers(-(10**12), 10**12), min_size=1),
    n_decimals=st.integers(0, 5),
    comma=st.booleans(),
)
def test_one_of_the_readings_is_what_was_written(numbers, n_decimals, comma):
    scaled = [number / 10**n_decimals for number in numbers]
    texts = [f"{number:,.{n_decimals}f}" for number in scaled]
    if comma:
        texts = [text.translate(str.maketrans(".,", ",.")) for text in texts]
    found = {c: r.values for r in readings(texts) for c in r.conventions or ".,"}
    np.testing.assert_array_equal(found["," if comma else "."], scaled)


@pytest.mark.parametrize(
    ("texts", "by_point", "by_comma", "prefers_point"),
    [
        (["1,234", "999"], [1234, 999], [1.234, 999], False),
        (["1.234", "5.678"], [1.234, 5.678], [1234, 5678], True),
        (["$1,234", "$999"], [1234, 999], [1.234, 999], True),
    ],
)
def test_thousands_or_decimals(texts, by_point, by_comma, prefers_point):
    point, comma = readings(texts)
    assert (point.conventions, comma.conventions) == ({"."}, {","})
    np.testing.assert_array_equal(point.values, by_point)
    np.testing.assert_array_equal(comma.values, by_comma)
    assert (point.is_standard, comma.is_standard) == (prefers_point, False)


_FIRST, _SECOND = date(2026, 1, 31), date(2024, 2, 29)


@pytest.mark.parametrize(
    ("format_", "conventions"),
    [
        ("%Y-%m-%d", ""),
        ("%Y/%m/%d", ""),
        ("%Y%m%d", ""),
        ("%d.%m.%Y", "dmy"),
        ("%d/%m/%Y", "dmy"),
        ("%m/%d/%Y", "mdy"),
        ("%m-%d-%y", "mdy"),
        ("%d-%b-%Y", ""),
        ("%d %B %Y", ""),
        ("%d. %B %Y", ""),
        ("%b %d, %Y", ""),
        ("%Y-%m-%dT00:00:00Z", ""),
        ("%Y-%m-%d 00:00:00.000", ""),
        ("%m/%d/%Y 12:00 AM", "mdy"),
    ],
)
def test_dates(format_, conventions):
    reading = _only([_FIRST.strftime(format_), _SECOND.strftime(format_)])
    assert reading.kind == "dates"
    assert reading.conventions == ({conventions} if conventions else set())
    np.testing.assert_array_equal(reading.values, [(_FIRST - _SECOND).days, 0])
    assert [reading.meaning(i) for i in range(2)] == [str(_FIRST), str(_SECOND)]


@pytest.mark.parametrize("format_", ["%Y-%m", "%m/%Y", "%b-%Y", "%B %Y"])
def test_months(format_):
    months = [date(2026, 3, 1), date(2026, 1, 1)]
    reading = _only([month.strftime(format_) for month in months])
    np.testing.assert_array_equal(reading.values, [59, 0])


def test_times_of_dates():
    moments = [datetime(2026, 1, 31, 18), datetime(2026, 1, 30, 6, 30, 36)]
    for format_ in ("%Y-%m-%d %H:%M:%S", "%d/%m/%Y %I:%M:%S %p", "%Y-%m-%dT%H:%M:%S+05:00"):
        reading = _only([moment.strftime(format_) for moment in moments])
        days = (moments[0] - moments[1]).total_seconds() / 86400
        np.testing.assert_allclose(reading.values, [days, 0], rtol=1e-12)


def test_dates_of_open_order():
    day_first, month_first = readings(["01/02/2026", "03/04/2026"])
    assert (day_first.conventions, month_first.conventions) == ({"dmy"}, {"mdy"})
    assert (day_first.meaning(0), month_first.meaning(0)) == ("2026-02-01", "2026-01-02")
    orders = [next(iter(reading.conventions)) for reading in readings(["05/06/07", "08/09/10"])]
    assert orders == ["dmy", "mdy", "ymd"]
    # both orders agree here, and only the year in front differs
    same, year_first = readings(["05/05/05", "06/06/07"])
    assert (same.conventions, year_first.conventions) == ({"dmy", "mdy"}, {"ymd"})
    assert _only(["05/05/2005", "06/06/2007"]).conventions == set()

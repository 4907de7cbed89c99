import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnnprune.service._frames import (
    Outcome,
    pack_outcomes,
    pack_rows,
    unpack_outcomes,
    unpack_rows,
)

_ID = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_rows_come_out_as_they_went_in(rows):
    data = pack_rows(rows)
    assert unpack_rows(data) == rows
    assert len(data) == sum(4 + len(row) for row in rows)


@given(st.lists(st.builds(Outcome, st.booleans(), _ID, st.binary(max_size=50)), max_size=5))
def test_outcomes_come_out_as_they_went_in(outcomes):
    assert unpack_outcomes(pack_outcomes(outcomes)) == outcomes


def test_the_layout_is_the_documented_one():
    assert pack_rows([b"ab", b""]) == b"\2\0\0\0ab\0\0\0\0"
    outcome = Outcome(True, "12" * 32, b"abc")
    assert pack_outcomes([outcome]) == b"\1" + b"\x12" * 32 + struct.pack("<I", 3) + b"abc"


def test_every_cut_is_found():
    rows, outcomes = [b"abc", b"defg"], [Outcome(False, "12" * 32, b"text")] * 2
    for data, unpack, parts in (
        (pack_rows(rows), unpack_rows, (0, 7)),
        (pack_outcomes(outcomes), unpack_outcomes, (0, 41)),
    ):
        for end in set(range(len(data))) - set(parts):
            with pytest.raises(ValueError, match="end within a row"):
                unpack(data[:end])

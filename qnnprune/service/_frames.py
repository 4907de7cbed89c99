"""Batches of rows and of their outcomes, as bytes.

A row is its length (4 bytes, little-endian) and a message of `FheClient.encrypt`.  An outcome is

=======  =================================================================
bytes    hold
=======  =================================================================
0        1 where the rest is a response, 0 where it is the text of an error
1-32     SHA-256 of the row that it answers
33-36    length of the rest, little-endian
37-      the response, or the text as UTF-8
=======  =================================================================

The digest ties an outcome to its row: neither a mix-up of rows nor of jobs goes unseen.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Outcome", "pack_outcomes", "pack_rows", "unpack_outcomes", "unpack_rows"]

_ROW = struct.Struct("<I")
_OUTCOME = struct.Struct("<B32sI")


@dataclass(frozen=True)
class Outcome:
    """What became of one row.

    Attributes
    ----------
    ok : bool
    row : str
        Digest of the row, as hexadecimal digits.
    body : bytes
        The response, or the text of an error.
    """

    ok: bool
    row: str
    body: bytes


def pack_rows(rows: Iterable[bytes]) -> bytes:
    """Rows as one batch."""
    return b"".join(part for row in rows for part in (_ROW.pack(len(row)), row))


def unpack_rows(data: bytes) -> list[bytes]:
    """The rows of a batch.

    Raises
    ------
    ValueError
        If the bytes end within a row.
    """
    rows, place = [], 0
    while place < len(data):
        length = _length(_ROW, data, place)[0]
        place += _ROW.size
        rows.append(_cut(data, place, length))
        place += length
    return rows


def pack_outcomes(outcomes: Iterable[Outcome]) -> bytes:
    """Outcomes one after the other."""
    parts = []
    for outcome in outcomes:
        head = _OUTCOME.pack(outcome.ok, bytes.fromhex(outcome.row), len(outcome.body))
        parts += [head, outcome.body]
    return b"".join(parts)


def unpack_outcomes(data: bytes) -> list[Outcome]:
    """What `pack_outcomes` was given.

    Raises
    ------
    ValueError
        If the bytes end within an outcome.
    """
    outcomes, place = [], 0
    while place < len(data):
        ok, row, length = _length(_OUTCOME, data, place)
        place += _OUTCOME.size
        outcomes.append(Outcome(bool(ok), row.hex(), _cut(data, place, length)))
        place += length
    return outcomes


def _length(head: struct.Struct, data: bytes, place: int) -> tuple:
    return head.unpack(_cut(data, place, head.size))


def _cut(data: bytes, place: int, length: int) -> bytes:
    part = bytes(data[place : place + length])
    if len(part) < length:
        raise ValueError(f"The batch is cut off: {len(data)} bytes end within a row.")
    return part

"""Messages between client and server, sealed with what they are and what they belong to.

=======  ==========================================
bytes    hold
=======  ==========================================
0-7      ``qnnprune``
8        version of this format
9        kind: its place in `KINDS`
10-41    id of the model; of keys, of their parameters
42-73    id of the keys
74-105   SHA-256 of all other bytes
106-     what Concrete serialized; of keys, after `NONCE_SIZE` random bytes; of a request, `joined`
=======  ==========================================

Concrete checks little of what it reads: keys of another circuit bring the process down, and
a number encrypted with another key decrypts to noise.  So nothing reaches it that does not
match.  The seal tells mix-ups and damage.  It does not tell who wrote the bytes.

The id of keys is a digest of the evaluation keys, with random bytes before them: a circuit without
lookups has empty ones, and its clients must be told apart, too.

Keys belong to parameters and not to a model: models that Concrete gave the same parameters share a
client's keys.
"""

from __future__ import annotations

import hashlib
import json
import struct
from contextlib import contextmanager

__all__ = [
    "EVALUATION_KEYS",
    "KINDS",
    "NONCE_SIZE",
    "REQUEST",
    "RESPONSE",
    "SECRET_KEYS",
    "digest",
    "joined",
    "parameters_id",
    "parse",
    "refusals",
    "seal",
    "short",
    "taken_apart",
    "unseal",
]

EVALUATION_KEYS, REQUEST, RESPONSE, SECRET_KEYS = KINDS = (
    "evaluation keys",
    "a request",
    "a response",
    "secret keys",
)

_MAGIC, _VERSION = b"qnnprune", 2
_LABEL = struct.Struct(f"{len(_MAGIC)}sBB32s32s")
_SIZE = struct.Struct("<Q")
_DIGEST_SIZE = 32
NONCE_SIZE = 32


def digest(*parts) -> str:
    """SHA-256 of bytes-like parts, as hexadecimal digits: the form of every id."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()


def parameters_id(specs) -> str:
    """Id of what keys are made of: equal where one client's keys serve several models.

    Parameters
    ----------
    specs : concrete.fhe.ClientSpecs
    """
    keyset = json.loads(specs.serialize())["keyset"]
    return digest(json.dumps(keyset, sort_keys=True).encode())


def short(identifier: str) -> str:
    """As many digits of an id as tell it from others in a sentence."""
    return identifier[:12]


def seal(kind: str, belongs_to: str, keys_id: str, body: bytes) -> bytes:
    """A message of one of the `KINDS`, for a model or, with keys, for parameters."""
    ids = bytes.fromhex(belongs_to), bytes.fromhex(keys_id)
    label = _LABEL.pack(_MAGIC, _VERSION, KINDS.index(kind), *ids)
    return b"".join([label, bytes.fromhex(digest(label, body)), body])


def unseal(data, kind: str, belongs_to: str) -> tuple[str, bytes]:
    """The id of the keys, and the body.

    Raises
    ------
    TypeError
        If `data` is not bytes-like.
    ValueError
        If it is no message, of another format version, damaged, of another kind than
        `kind`, or for another model, or other parameters, than `belongs_to`.
    """
    found_kind, found, keys_id, body = parse(data)
    if found_kind != kind:
        raise ValueError(f"The bytes are {found_kind}, but what belongs here is {kind}.")
    if found == belongs_to:
        return keys_id, bytes(body)
    if kind in (EVALUATION_KEYS, SECRET_KEYS):
        raise ValueError(
            f"The bytes are {kind} for parameters {short(found)}, but this model has "
            f"{short(belongs_to)}: make new keys with keygen()."
        )
    raise ValueError(
        f"The bytes are {kind} for model {short(found)}, but this is model "
        f"{short(belongs_to)}: client and server must be saved from one compiled network. "
        "After a new training, clients need the new folder."
    )


def parse(data) -> tuple[str, str, str, memoryview]:
    """Kind, id of model or parameters, id of keys, and body of a whole message, not copied.

    Raises
    ------
    TypeError
        If `data` is not bytes-like.
    ValueError
        If it is no message, of another format version, or damaged.
    """
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"A message is bytes, but got {type(data).__name__}.")
    data = memoryview(data).cast("B")
    start = _LABEL.size + _DIGEST_SIZE
    if data[: len(_MAGIC)] != _MAGIC:
        raise ValueError(f"The bytes are no message of FheClient or FheServer: {len(data)} bytes.")
    version = bytes(data[len(_MAGIC) : len(_MAGIC) + 1])
    if version not in (b"", bytes([_VERSION])):
        raise ValueError(
            f"The bytes have format version {version[0]}, and this package reads {_VERSION}: "
            "client and server need the same version of qnnprune."
        )
    label, checksum, body = data[: _LABEL.size], data[_LABEL.size : start], data[start:]
    if checksum != bytes.fromhex(digest(label, body)):
        raise ValueError("The bytes are damaged or cut off: their checksum does not match.")
    _, _, kind, belongs_to, keys = _LABEL.unpack(label)
    if kind >= len(KINDS):
        raise ValueError(f"The bytes are of kind {kind}, which this package does not know.")
    return KINDS[kind], belongs_to.hex(), keys.hex(), body


def joined(parts) -> bytes:
    """Several byte strings as one, each after its size in 8 bytes, little-endian."""
    return b"".join(piece for part in parts for piece in (_SIZE.pack(len(part)), part))


def taken_apart(data: bytes) -> list[bytes]:
    """What `joined` made one of.

    Raises
    ------
    ValueError
        If the sizes do not fit the bytes.
    """
    parts, place = [], 0
    while place < len(data):
        begin = place + _SIZE.size
        size = _SIZE.unpack(data[place:begin])[0] if begin <= len(data) else len(data)
        place = begin + size
        parts.append(data[begin:place])
    if place != len(data):
        raise ValueError("The body of the message is cut off.")
    return parts


@contextmanager
def refusals():
    """Turn Concrete's refusal of a message into a ValueError.

    Sealed bytes are as they were sent, so only another Concrete, or a forger, made them.
    """
    try:
        yield
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"Concrete refuses the bytes, although they are whole: {reason} Client and server "
            "need the same version of concrete-python."
        ) from error

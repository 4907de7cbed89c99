"""Secret bytes under a passphrase: a key by scrypt, and AES-256-GCM.

=======  ==========================================
bytes    hold
=======  ==========================================
0-7      ``qnnlock1``
8-23     salt of the key
24-35    nonce of the cipher
36-      ciphertext, with its tag of 16 bytes
=======  ==========================================
"""

from __future__ import annotations

import hashlib
import os

from .._common import require

__all__ = ["is_locked", "lock", "unlock"]

_MAGIC, _SALT, _NONCE = b"qnnlock1", 16, 12
# A guess takes 64 MiB and about a fifth of a second.
_SCRYPT = {"n": 2**16, "r": 8, "p": 1, "maxmem": 2**27, "dklen": 32}


def is_locked(data: bytes) -> bool:
    """Whether `lock` made these bytes."""
    return data.startswith(_MAGIC)


def lock(data: bytes, passphrase: str) -> bytes:
    """Encrypt `data`; only `unlock` with the same passphrase gives it back.

    Raises
    ------
    ImportError
        If the package cryptography is missing.
    ValueError
        If the passphrase is empty.
    """
    if not passphrase:
        raise ValueError("The passphrase is empty: pass a text, or None for a file without one.")
    head = _MAGIC + os.urandom(_SALT + _NONCE)
    return head + _cipher(head, passphrase).encrypt(_nonce(head), data, head)


def unlock(data: bytes, passphrase: str) -> bytes:
    """What was given to `lock`.

    Raises
    ------
    ImportError
        If the package cryptography is missing.
    ValueError
        If the passphrase is another one, or the bytes are damaged.
    """
    size = len(_MAGIC) + _SALT + _NONCE
    head, body = data[:size], data[size:]
    cipher, refused = _cipher(head, passphrase), require("cryptography.exceptions", "serve")
    try:
        return cipher.decrypt(_nonce(head), body, head)
    except (ValueError, refused.InvalidTag) as error:  # the first, where the nonce is cut off
        raise ValueError("The passphrase is wrong, or the file is damaged.") from error


def _nonce(head: bytes) -> bytes:
    return head[len(_MAGIC) + _SALT :]


def _cipher(head: bytes, passphrase: str):
    ciphers = require("cryptography.hazmat.primitives.ciphers.aead", "serve")
    salt = head[len(_MAGIC) : len(_MAGIC) + _SALT]
    return ciphers.AESGCM(hashlib.scrypt(passphrase.encode(), salt=salt, **_SCRYPT))

"""Limits of a service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """What a service serves, where it keeps things, and its limits.

    Attributes
    ----------
    models : Path
        A folder that `EncryptedNetwork.save_server` wrote, or one with many of them as
        ``NAME/VERSION``.
    state : Path
        Folder for tokens, keys and accepted rows.  A service that starts anew with it goes on.
    workers : int
        Processes that compute, one row at a time each.
    queue_rows : int
        Accepted rows that wait or run; more are refused with 429.
    batch_rows : int
        Rows of one request.
    row_bytes : int
        Size of one encrypted row.
    keys_bytes : int
        Disk space for evaluation keys, of all clients.  The keys that were not used for the
        longest time go first.
    owner_keys : int
        Sets of keys that one token may have; one more replaces its oldest.
    memory_bytes : int
        Memory for keys in each worker; at least one client's keys stay.
    row_seconds : float
        Time after which a row is given up.
    body_seconds : float
        Time that a client may pause while it sends.
    keep_seconds : float
        Time for which finished rows wait to be fetched.
    stop_seconds : float
        Time that a service takes to finish accepted rows before it stops.  What is left then
        stays in `state`.
    """

    models: Path
    state: Path
    workers: int = 1
    queue_rows: int = 1000
    batch_rows: int = 256
    row_bytes: int = 2**18
    keys_bytes: int = 10 * 2**30
    owner_keys: int = 4
    memory_bytes: int = 4 * 2**30
    row_seconds: float = 600.0
    body_seconds: float = 30.0
    keep_seconds: float = 3600.0
    stop_seconds: float = 30.0

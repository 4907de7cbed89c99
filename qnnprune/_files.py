"""Atomic file writes that leave links, modes and devices as they are."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

__all__ = ["errors_of", "write_whole"]


@contextmanager
def errors_of(path):
    """Errors of the operating system name `path` as it was given, not a file beside it."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def write_whole(path, data: bytes, *, mode: int = 0o666) -> None:
    """Write `data` to `path`, which is replaced only once the new file is whole.

    A symbolic link stays one: the file that it leads to is written.  A file keeps its mode and
    its owner, but where it has several names (hard links), this one parts from the others.
    What is no regular file, as a pipe or a device, is written to.

    Parameters
    ----------
    path : str or path-like
    data : bytes
    mode : int
        Permissions of a new file, less those that the process masks.

    Raises
    ------
    OSError
        If the folder is missing, or it or the file cannot be written to.  No part of a file
        is left, and an old one stays as it was.
    """
    with errors_of(path):
        try:
            old = os.stat(path)
        except FileNotFoundError:
            old = None
        if old is None or stat.S_ISREG(old.st_mode):
            _replace(os.fsdecode(os.path.realpath(path)), data, old, mode)
        else:
            with open(path, "wb") as file:
                file.write(data)


def _replace(path: str, data: bytes, old: os.stat_result | None, mode: int) -> None:
    """Write a file beside `path`, and rename it once it is whole."""
    if old is not None:
        mode = stat.S_IMODE(old.st_mode)
        open(path, "r+b").close()  # refuses a file that is not to be written to
    unfinished = f"{path}.{token_hex(4)}.tmp"
    try:
        with open(unfinished, "xb", opener=lambda *call: os.open(*call, mode)) as file:
            file.write(data)
            file.flush()
            if old is not None:
                _keep_mode_and_owner(unfinished, old)
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        Path(unfinished).unlink(missing_ok=True)


def _keep_mode_and_owner(path: str, old: os.stat_result) -> None:
    new = os.stat(path)
    if hasattr(os, "chown") and (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        with suppress(PermissionError):  # only root may give files away
            os.chown(path, old.st_uid, old.st_gid)
    os.chmod(path, stat.S_IMODE(old.st_mode))  # last, as chown clears some bits

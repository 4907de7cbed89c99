"""Files that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path
from secrets import token_hex

__all__ = ["write_whole"]


def write_whole(path, data: bytes) -> None:
    """Write `data` to `path`, which is replaced only once the new file is whole.

    Parameters
    ----------
    path : str or path-like
    data : bytes

    Raises
    ------
    OSError
        If the folder is missing or cannot be written to.  No part of a file is left.
    """
    path = Path(path)
    unfinished = path.with_name(f"{path.name}.{token_hex(4)}.tmp")
    try:
        with open(unfinished, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)

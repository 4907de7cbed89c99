"""Folders of clients and servers, written as a whole, and secret files.

Each folder has a list of its files with their digests, so that a folder in which files of
two networks were mixed is refused.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from ..._files import errors_of, write_whole
from ...exceptions import InvalidNetworkFileError
from ._messages import digest

__all__ = ["Saved", "checked_folder", "whole_folder", "write_secret"]

_LIST = "model.json"


class Saved:
    """What is saved as a folder; a subclass has a `model_id` and says in `_write` what to write."""

    model_id: str

    def save(self, folder) -> None:
        """Write the files, without keys.

        Parameters
        ----------
        folder : str or path-like
            Must not exist yet, or be empty.

        Raises
        ------
        OSError
            If the folder is there already or cannot be written; nothing is left then.
        """
        with whole_folder(folder, self.model_id) as unfinished:
            self._write(unfinished)

    def _write(self, folder: Path) -> None:
        raise NotImplementedError


@contextmanager
def whole_folder(folder, model_id: str):
    """A folder to write to that takes the place of `folder` once it is whole.

    Raises
    ------
    OSError
        If there is something in `folder` already, or it cannot be written to.
    """
    folder = Path(folder)
    unfinished = folder.with_name(f"{folder.name}.{token_hex(4)}.tmp")
    with errors_of(folder):
        unfinished.mkdir()
    try:
        yield unfinished
        files = {file.name: digest(file.read_bytes()) for file in sorted(unfinished.iterdir())}
        text = json.dumps({"model_id": model_id, "files": files}, indent=1)
        (unfinished / _LIST).write_text(text, encoding="utf-8")
        with errors_of(folder):
            os.rename(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def checked_folder(folder: Path) -> str:
    """The model's id, once the files of `folder` are known to be those that were written.

    Raises
    ------
    OSError
        If a file is missing.
    InvalidNetworkFileError
        If a file is damaged, or from another folder.
    """
    text = (folder / _LIST).read_bytes()
    try:
        found = json.loads(text)
        model_id, files = found["model_id"], dict(found["files"])
        if len(bytes.fromhex(model_id)) != 32:
            raise ValueError("an id of another length")
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidNetworkFileError(f"{str(folder / _LIST)!r} is damaged.") from error
    for name, expected in files.items():
        if digest((folder / name).read_bytes()) != expected:
            raise InvalidNetworkFileError(
                f"{str(folder / name)!r} is damaged, or of another model than the rest of its "
                "folder: copy the whole folder anew."
            )
    return model_id


def write_secret(path, data: bytes) -> None:
    """Write a new file that its owner alone may read, from its first moment on.

    Raises
    ------
    OSError
        If the folder cannot be written to; FileExistsError if there is such a file, since
        what was encrypted with the keys in it could never be read again.
    """
    if os.path.lexists(path):
        raise FileExistsError(f"{os.fspath(path)!r} is there already: keys are not written over.")
    write_whole(path, data, mode=0o600)

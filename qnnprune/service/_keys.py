"""Evaluation keys of clients, on disk."""

from __future__ import annotations

import os
from collections import Counter, OrderedDict
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from ..export.fhe._messages import EVALUATION_KEYS, digest, parse, short
from ._problems import Problem

__all__ = ["KeyStore", "checked_keys"]

_UNFINISHED = ".tmp"


@dataclass(frozen=True)
class _Stored:
    path: Path
    size: int

    @staticmethod
    def of(path: Path) -> _Stored:
        return _Stored(path, path.stat().st_size)

    @property
    def parameters_id(self) -> str:
        return self.path.name.partition("-")[2]


class KeyStore:
    """Files ``OWNER/KEYS_ID-PARAMETERS_ID``, of which those that were used least recently go first.

    Keys of rows that wait are in use, and stay.

    Parameters
    ----------
    folder : Path
    most_bytes : int
        Of all files.
    most_per_owner : int
    """

    def __init__(self, folder: Path, most_bytes: int, most_per_owner: int):
        self.folder, self.most_bytes, self.most_per_owner = folder, most_bytes, most_per_owner
        self.in_use: Counter[tuple[str, str]] = Counter()
        self._stored: OrderedDict[tuple[str, str], _Stored] = OrderedDict()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in folder.glob("*/*" + _UNFINISHED):
            path.unlink()
        for path in sorted(folder.glob("*/*"), key=lambda path: path.stat().st_mtime):
            self._stored[path.parent.name, path.name.partition("-")[0]] = _Stored.of(path)

    @property
    def n_bytes(self) -> int:
        """Size of all files."""
        return sum(stored.size for stored in self._stored.values())

    def __len__(self) -> int:
        return len(self._stored)

    def unfinished(self, owner: str) -> Path:
        """A file to write keys to before they are known to be whole."""
        (self.folder / owner).mkdir(mode=0o700, exist_ok=True)
        return self.folder / owner / (token_hex(8) + _UNFINISHED)

    def use(self, owner: str, keys_id: str) -> _Stored:
        """Note that keys are used, and return their path and parameters.

        Raises
        ------
        Problem
            If the owner has no such keys here.
        """
        stored = self._stored.get((owner, keys_id))
        if stored is None or not stored.path.exists():
            raise Problem(
                409,
                "unknown_keys",
                f"The keys {short(keys_id)} are not here, or no longer: send the evaluation keys.",
            )
        self._stored.move_to_end((owner, keys_id))
        os.utime(stored.path)
        return stored

    def make_room(self, owner: str, keys_id: str, size: int) -> None:
        """Delete keys until those to come fit.

        Raises
        ------
        Problem
            If they cannot fit beside the keys that are in use.
        """
        if (owner, keys_id) in self._stored:
            return
        own = [each for each in self._stored if each[0] == owner]
        for each in own[: max(0, len(own) + 1 - self.most_per_owner)]:
            self._evict(each)
        for each in list(self._stored):
            if self.n_bytes + size > self.most_bytes:
                self._evict(each)
        own = [each for each in self._stored if each[0] == owner]
        if self.n_bytes + size > self.most_bytes or len(own) + 1 > self.most_per_owner:
            raise Problem(
                507,
                "no_room_for_keys",
                "All keys here are in use by rows that wait, and there is no room for more: try "
                "again later.",
                retry_after=30,
            )

    def add(self, owner: str, keys_id: str, unfinished: Path, parameters_id: str) -> None:
        """Take a whole file of keys."""
        path = self.folder / owner / f"{keys_id}-{parameters_id}"
        os.replace(unfinished, path)
        self._stored[owner, keys_id] = _Stored.of(path)

    def remove(self, owner: str, keys_id: str) -> None:
        """Delete keys at their owner's wish.

        Raises
        ------
        Problem
            If there are none, or rows wait for them.
        """
        self.use(owner, keys_id)
        if self.in_use[owner, keys_id]:
            raise Problem(
                409, "keys_in_use", f"Rows wait for the keys {short(keys_id)}: cancel them first."
            )
        self._evict((owner, keys_id))

    def _evict(self, each: tuple[str, str]) -> None:
        if not self.in_use[each]:
            self._stored.pop(each).path.unlink(missing_ok=True)


def checked_keys(path: Path, keys_id: str) -> str:
    """Id of the parameters of the keys in a file, once they are known to be whole.

    Raises
    ------
    Problem
        If they are damaged, no evaluation keys, or not those of `keys_id`.
    """
    try:
        kind, parameters_id, found, body = parse(path.read_bytes())
    except ValueError as error:
        raise Problem(400, "damaged_keys", str(error)) from error
    if kind != EVALUATION_KEYS or not digest(body) == found == keys_id:
        raise Problem(400, "damaged_keys", f"These are not the evaluation keys {short(keys_id)}.")
    return parameters_id

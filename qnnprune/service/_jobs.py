"""Accepted batches, on disk until they are fetched: a restart loses none."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from .._files import write_whole
from ..export.fhe._messages import REQUEST, digest, parse
from ._frames import Outcome, pack_outcomes, unpack_outcomes, unpack_rows
from ._problems import Problem

__all__ = ["JOB_ID", "Job", "checked_rows", "saved_jobs"]

JOB_ID = re.compile(r"[0-9a-f]{32}")
_ROWS, _OUTCOME = "rows", "outcome-"
_DONE = re.compile(_OUTCOME + r"(\d+)")  # and no file that a crash left half written


class Job:
    """Rows of one model and one set of keys, and what became of them.

    Parameters
    ----------
    folder : Path
        ``OWNER/ID``; holds the rows, and one file per outcome.
    data : bytes
        The batch.

    Attributes
    ----------
    model_id, keys_id : str
    n_rows : int
    running : set of int
        Rows that a worker has.
    done : set of int
        Rows that have an outcome.
    cancelled : bool
    """

    def __init__(self, folder: Path, data: bytes):
        rows = unpack_rows(data)
        _, self.model_id, self.keys_id, _ = parse(rows[0])
        self.folder, self.owner, self.id = folder, folder.parent.name, folder.name
        self.digest, self.n_rows = digest(data), len(rows)
        self.running: set[int] = set()
        found = [_DONE.fullmatch(path.name) for path in folder.iterdir()]
        self.done = {int(match[1]) for match in found if match}
        self.cancelled, self.touched = False, time.monotonic()
        self._unsaved: dict[int, Outcome] = {}
        self._changed = asyncio.Event()

    @staticmethod
    def create(folder: Path, data: bytes) -> Job:
        """Write a new batch to disk, as a whole."""
        unfinished = _unfinished(folder)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        unfinished.mkdir(mode=0o700)
        try:
            write_whole(unfinished / _ROWS, data, mode=0o600)
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return Job(folder, data)

    @property
    def waiting(self) -> list[int]:
        """Rows that no worker has begun."""
        return [i for i in range(self.n_rows) if i not in self.done and i not in self.running]

    @property
    def finished(self) -> bool:
        """Whether every row has an outcome."""
        return len(self.done) == self.n_rows

    def row(self, index: int) -> bytes:
        """An encrypted row."""
        return unpack_rows((self.folder / _ROWS).read_bytes())[index]

    async def note(self, index: int, outcome: Outcome) -> None:
        """Note on disk what became of a row, and wake those who wait for it.

        Where the disk takes no response, the row has an error, in memory, and a service that
        starts anew computes it again.
        """
        path = self.folder / f"{_OUTCOME}{index}"
        try:
            await asyncio.to_thread(write_whole, path, pack_outcomes([outcome]), mode=0o600)
        except OSError as error:
            text = f"The response could not be stored: {error.strerror}. Send the row again."
            self._unsaved[index] = Outcome(False, outcome.row, text.encode())
        self.running.discard(index)
        self.done.add(index)
        self.wake()

    def wake(self) -> None:
        """Let those who wait look again."""
        self.touched = time.monotonic()
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def wait(self, index: int, seconds: float) -> None:
        """Until a row has its outcome, the job is cancelled, or time is up."""
        end = time.monotonic() + seconds
        while index < self.n_rows and index not in self.done and not self.cancelled:
            try:
                await asyncio.wait_for(self._changed.wait(), end - time.monotonic())
            except asyncio.TimeoutError:
                return

    def outcomes(self, first: int, most_bytes: int) -> list[Outcome]:
        """Outcomes from a row on, up to one that is not there, or to a size; one at least."""
        found, size = [], 0
        while first + len(found) in self.done and (not found or size < most_bytes):
            outcome = self._outcome(first + len(found))
            found.append(outcome)
            size += len(outcome.body)
        return found

    def _outcome(self, index: int) -> Outcome:
        if index in self._unsaved:
            return self._unsaved[index]
        return unpack_outcomes((self.folder / f"{_OUTCOME}{index}").read_bytes())[0]

    def delete(self) -> None:
        """Remove everything from disk; what a crash leaves is no job."""
        unfinished = _unfinished(self.folder)
        with suppress(OSError):
            self.folder.rename(unfinished)
        shutil.rmtree(unfinished, ignore_errors=True)

    def public(self) -> dict:
        """What its owner may know."""
        state = "done" if self.finished else "running" if self.running else "waiting"
        return {"job": self.id, "state": state, "rows": self.n_rows, "done": len(self.done)}


def _unfinished(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.{token_hex(4)}.tmp")


def checked_rows(data: bytes, most: int) -> tuple[int, str, str]:
    """Number of rows of a batch, and the ids of model and keys that they all carry.

    Raises
    ------
    Problem
        If there are none or too many, one is damaged or no request, or they differ.
    """
    try:
        rows = unpack_rows(data)
    except ValueError as error:
        raise Problem(400, "damaged_batch", str(error)) from error
    if not 0 < len(rows) <= most:
        raise Problem(413, "batch_size", f"A batch has 1 to {most} rows, but got {len(rows)}.")
    found = [_checked_row(index, row) for index, row in enumerate(rows)]
    if len(set(found)) > 1:
        raise Problem(400, "mixed_batch", "The rows of a batch have one model and one set of keys.")
    return len(rows), *found[0]


def _checked_row(index: int, row: bytes) -> tuple[str, str]:
    try:
        kind, model_id, keys_id, _ = parse(row)
    except ValueError as error:
        raise Problem(400, "damaged_row", f"Row {index}: {error}") from error
    if kind != REQUEST:
        raise Problem(
            400, "wrong_kind", f"Row {index} is {kind}, but what belongs here is {REQUEST}."
        )
    return model_id, keys_id


def saved_jobs(folder: Path) -> list[Job]:
    """Jobs that a former service accepted, the oldest first."""
    for unfinished in folder.glob("*/*.tmp"):
        shutil.rmtree(unfinished, ignore_errors=True)
    paths = sorted(folder.glob("*/*"), key=lambda path: path.stat().st_mtime)
    return [Job(path, (path / _ROWS).read_bytes()) for path in paths if JOB_ID.fullmatch(path.name)]

"""The service's side of a worker: start it, ask it, and replace it when it is lost."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ._frames import Outcome

__all__ = ["Worker", "WorkerLost"]

_START_SECONDS = 600
_END_SECONDS = 2
_LINE = 2**20  # of a message's head
_PASSED_ON = ("PATH", "LANG", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "PYTHONPATH")


class WorkerLost(Exception):
    """A worker ended, or took too long and was ended; its text says which.

    Parameters
    ----------
    message : str
    printed : str
        The last of what the process printed, for the log alone.
    """

    def __init__(self, message: str, printed: str = ""):
        super().__init__(message)
        self.printed = printed


class Worker:
    """A process that computes, one row at a time.

    Parameters
    ----------
    folders : list of Path
        Models.
    memory_bytes : int
        For keys.
    scratch : Path
        Folder for temporary files, emptied at each start: Concrete unpacks models and leaves them.
    on_end : callable
        Called when a process has ended, whatever the reason.
    """

    def __init__(
        self,
        folders: list[Path],
        memory_bytes: int,
        scratch: Path,
        on_end: Callable[[], None],
    ):
        self._scratch, self._on_end, self._ready = scratch, on_end, False
        module = f"{__package__}._worker"
        self._command = [sys.executable, "-W", "ignore", "-m", module, str(memory_bytes)]
        self._command += map(str, folders)
        self._process: asyncio.subprocess.Process | None = None
        self._said = b""

    @property
    def alive(self) -> bool:
        """Whether there is a process that has loaded its models."""
        return self._ready and self._process.returncode is None

    async def start(self) -> list[dict]:
        """Start the process; what it says of its models.

        Raises
        ------
        WorkerLost
            If it ends at once; the message has what it printed.
        """
        # Neither tokens nor proxies of the service's environment are its business.
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(mode=0o700, parents=True)
        environment["TMPDIR"] = str(self._scratch)
        pipe = asyncio.subprocess.PIPE
        self._ready = False
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, limit=_LINE,
            start_new_session=True,
        )  # fmt: skip
        self._reader = asyncio.create_task(self._listen(self._process.stderr))
        head, _ = await self._within(_START_SECONDS, self._receive())
        self._ready = True
        return head["models"]

    async def compute(
        self, folder: str, keys_id: str, keys: Path, row: bytes, seconds: float
    ) -> Outcome:
        """What becomes of a row, with the keys in a file.

        Raises
        ------
        WorkerLost
            If the process ends, or takes longer than `seconds` and is ended.
        """
        head, body = await self._within(seconds, self._ask([folder, keys_id, str(keys)], row))
        return Outcome(head["ok"], head["row"], body)

    async def stop(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            await self._reader

    async def _within(self, seconds: float, answer):
        try:
            return await asyncio.wait_for(answer, seconds)
        except asyncio.TimeoutError as error:
            await self.stop()
            raise WorkerLost(f"It took longer than {seconds:g} s and was ended.") from error
        except (OSError, EOFError, ValueError, KeyError) as error:
            with suppress(asyncio.TimeoutError):  # its own end says more than ours
                await asyncio.wait_for(self._process.wait(), _END_SECONDS)
            await self.stop()
            text = f"It ended with code {self._process.returncode}."
            raise WorkerLost(text, self._said.decode(errors="replace").strip()) from error

    async def _ask(self, about: list[str], row: bytes):
        head = {"about": about, "size": len(row)}
        self._process.stdin.write(json.dumps(head).encode() + b"\n" + row)
        await self._process.stdin.drain()
        return await self._receive()

    async def _receive(self) -> tuple[dict, bytes]:
        line = await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        head = json.loads(line)
        return head, await self._process.stdout.readexactly(head["size"])

    async def _listen(self, stream) -> None:
        """Keep the end of what the process prints: Concrete may print a stack many times over."""
        self._said = b""
        while said := await stream.read(4096):
            self._said = (self._said + said)[-2000:]
        await self._process.wait()
        self._on_end()

"""Accepted rows, in turns, to workers, to outcomes."""

from __future__ import annotations

import asyncio
import logging
import time

from ..export.fhe._messages import digest
from ._frames import Outcome
from ._jobs import Job, checked_rows, saved_jobs
from ._keys import KeyStore
from ._metrics import Metrics
from ._models import Model, Models, model_folders
from ._pool import Worker, WorkerLost
from ._problems import Problem
from ._settings import Settings

__all__ = ["Scheduler"]

_LOG = logging.getLogger("qnnprune.service")
_FETCH_SECONDS = 5.0  # for clients to fetch what is finished, before the service stops
_LONGEST_PAUSE = 30.0  # before a worker is tried again


class Scheduler:
    """Takes batches, and lets owners take turns: each gets one row computed, then the next.

    Parameters
    ----------
    settings : Settings
    metrics : Metrics

    Attributes
    ----------
    models : Models
        Known once `start` is done.
    keys : KeyStore
    stopping : bool
        Whether batches are refused, as the service will stop.
    """

    def __init__(self, settings: Settings, metrics: Metrics):
        self.settings, self.metrics, self.stopping = settings, metrics, False
        self.keys = KeyStore(settings.state / "keys", settings.keys_bytes, settings.owner_keys)
        self.models = Models([])
        self._found = model_folders(settings.models)
        folders = [folder for _, _, folder in self._found]
        places = [settings.state / f"worker-{index}" for index in range(settings.workers)]
        self._workers = [
            Worker(folders, settings.memory_bytes, place, self._wake) for place in places
        ]
        (settings.state / "jobs").mkdir(mode=0o700, exist_ok=True)
        self._jobs: dict[str, dict[str, Job]] = {}  # by owner, whose turn is next, and id
        self._arrived, self._reserved = asyncio.Event(), 0
        self._accepting = asyncio.Lock()  # so that a batch that is sent twice becomes one job
        self._tasks: list[asyncio.Task] = []

    async def start(self) -> None:
        """Start the workers, learn the models, and go on with what was accepted before.

        Raises
        ------
        WorkerLost
            If a worker cannot start.
        """
        try:
            told, *_ = await asyncio.gather(*(worker.start() for worker in self._workers))
        except WorkerLost as lost:
            _LOG.error("A worker does not start. %s %s", lost, lost.printed)
            raise
        by_folder = {each["folder"]: each for each in told}
        named = [(name, version, by_folder[str(path)]) for name, version, path in self._found]
        self.models = Models([Model(name, version, **about) for name, version, about in named])
        for job in await asyncio.to_thread(saved_jobs, self.settings.state / "jobs"):
            self._add(job)
        self._tasks = [asyncio.create_task(self._work(worker)) for worker in self._workers]
        self._tasks.append(asyncio.create_task(self._forget()))

    async def accept(self, owner: str, job_id: str, data: bytes) -> Job:
        """Take a batch; once this returns, it is on disk and will not be lost.

        Raises
        ------
        Problem
            If it is refused.
        OSError
            If it cannot be stored.
        """
        async with self._accepting:
            return await self._accepted(owner, job_id, data)

    async def _accepted(self, owner: str, job_id: str, data: bytes) -> Job:
        job = self._jobs.get(owner, {}).get(job_id)
        if job is not None and job.digest == digest(data):
            return job  # sent again, as the client did not get the answer
        if job is not None:
            raise Problem(409, "job_exists", f"Job {job_id} has other rows: choose another id.")
        n_rows, model_id, keys_id = checked_rows(data, self.settings.batch_rows)
        self._check(owner, model_id, keys_id)
        self._check_room(n_rows)
        self._reserved += n_rows
        self.keys.in_use[owner, keys_id] += 1  # until the job itself counts
        try:
            folder = self.settings.state / "jobs" / owner / job_id
            job = await asyncio.to_thread(Job.create, folder, data)
            self._add(job)
        finally:
            self._reserved -= n_rows
            self.keys.in_use[owner, keys_id] -= 1
        return job

    def _check(self, owner: str, model_id: str, keys_id: str) -> None:
        model, keys = self.models.get(model_id), self.keys.use(owner, keys_id)
        if keys.parameters_id != model.parameters_id:
            raise Problem(
                409,
                "other_parameters",
                f"The keys of these rows have other parameters than {model}: make new keys with "
                "keygen().",
            )

    def _check_room(self, n_rows: int) -> None:
        if self.stopping:
            raise Problem(503, "stopping", "The service is about to stop.", retry_after=5)
        if self.n_waiting + n_rows > self.settings.queue_rows:
            seconds = self.n_waiting * self.metrics.mean_row_seconds / len(self._workers)
            raise Problem(
                429,
                "queue_full",
                f"{self.n_waiting} rows wait, and {self.settings.queue_rows} may: try again later.",
                retry_after=int(min(max(seconds / 4, 1), 60)),
            )

    def _add(self, job: Job) -> None:
        self._jobs.setdefault(job.owner, {})[job.id] = job
        if not job.finished:
            self.keys.in_use[job.owner, job.keys_id] += 1
            self._wake()

    def _wake(self) -> None:
        """Let workers that have nothing to do look again."""
        self._arrived.set()

    def job(self, owner: str, job_id: str) -> Job:
        """A batch of an owner.

        Raises
        ------
        Problem
            If there is none.
        """
        job = self._jobs.get(owner, {}).get(job_id)
        if job is None:
            raise Problem(404, "unknown_job", f"There is no job {job_id}, or no longer.")
        return job

    async def cancel(self, job: Job) -> None:
        """Forget a batch; a row that runs is let finish, and its response dropped."""
        if job.cancelled:
            return
        del self._jobs[job.owner][job.id]
        if not job.finished:
            self._release(job)
        job.cancelled = True
        job.wake()
        await asyncio.to_thread(job.delete)

    @property
    def n_waiting(self) -> int:
        """Accepted rows without an outcome."""
        jobs = self._all()
        return self._reserved + sum(job.n_rows - len(job.done) for job in jobs)

    @property
    def n_workers(self) -> int:
        """Processes that are there."""
        if any(task.done() for task in self._tasks):  # a defect, which health must show
            return 0
        return sum(worker.alive for worker in self._workers)

    @property
    def n_jobs(self) -> int:
        """Batches that wait, run, or were not fetched."""
        return len(self._all())

    def _all(self) -> list[Job]:
        return [job for jobs in self._jobs.values() for job in jobs.values()]

    def _release(self, job: Job) -> None:
        self.keys.in_use[job.owner, job.keys_id] -= 1

    async def _work(self, worker: Worker) -> None:
        """Compute one row after the other."""
        while True:
            if not worker.alive:
                await self._revive(worker)
            found = await self._next(worker)
            if found is None:
                continue
            job, index = found
            started = time.monotonic()
            outcome = await self._outcome(worker, job, index)
            seconds = time.monotonic() - started
            self.metrics.row(seconds, "ok" if outcome.ok else "error")
            if not job.cancelled:
                await job.note(index, outcome)
            if job.finished and not job.cancelled:
                self._release(job)

    async def _next(self, worker: Worker) -> tuple[Job, int] | None:
        """The next row, once there is one; None where the worker ends before."""
        while worker.alive:
            for owner in list(self._jobs):
                for job in self._jobs[owner].values():
                    if job.waiting:
                        self._jobs[owner] = self._jobs.pop(owner)  # its next turn is the last
                        index = job.waiting[0]
                        job.running.add(index)
                        return job, index
            self._arrived.clear()
            await self._arrived.wait()
        return None

    async def _outcome(self, worker: Worker, job: Job, index: int) -> Outcome:
        try:
            row = await asyncio.to_thread(job.row, index)
        except OSError as error:
            return Outcome(False, digest(), f"The row cannot be read: {error.strerror}.".encode())
        seconds = self.settings.row_seconds
        try:
            model, keys = self.models.get(job.model_id), self.keys.use(job.owner, job.keys_id)
            outcome = await worker.compute(model.folder, job.keys_id, keys.path, row, seconds)
        except Problem as problem:
            return Outcome(False, digest(row), str(problem).encode())
        except WorkerLost as lost:
            _LOG.error(
                "Lost a worker at row %d of job %s. %s %s", index, job.id, lost, lost.printed
            )
            self.metrics.count("workers_lost_total")
            text = f"The process that computed this row was lost. {lost} The row may be sent again."
            return Outcome(False, digest(row), text.encode())
        if outcome.row != digest(row):
            await worker.stop()
            return Outcome(False, digest(row), b"The process answered another row. Send it again.")
        return outcome

    async def _revive(self, worker: Worker) -> None:
        pause = 0.5
        while True:
            try:
                await worker.start()
                return
            except WorkerLost as lost:
                _LOG.error("A worker does not start. %s %s", lost, lost.printed)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _forget(self) -> None:
        """Delete what nobody fetched."""
        while True:
            await asyncio.sleep(min(10.0, self.settings.keep_seconds))
            oldest = time.monotonic() - self.settings.keep_seconds
            for job in self._all():
                if job.finished and job.touched < oldest:
                    await self.cancel(job)

    async def drain(self) -> None:
        """Take nothing more, finish what there is time for, and let clients fetch it."""
        self.stopping = True
        await _until(lambda: not self.n_waiting, self.settings.stop_seconds)
        await _until(lambda: not self.n_jobs, _FETCH_SECONDS)

    async def stop(self) -> None:
        """End the workers; rows without an outcome stay on disk."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self._workers))


async def _until(reached, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not reached() and time.monotonic() < end:
        await asyncio.sleep(0.05)

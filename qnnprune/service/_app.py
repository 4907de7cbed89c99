"""The service as an ASGI application: paths, tokens, and the answers to requests."""

from __future__ import annotations

import asyncio
import errno
import os
import re
from contextlib import asynccontextmanager
from pathlib import Path

from ..export._common import require
from ._bodies import body_of, parts_of, size_of
from ._frames import pack_outcomes
from ._jobs import JOB_ID
from ._keys import checked_keys
from ._metrics import Metrics
from ._openapi import document, page
from ._problems import Problem
from ._scheduler import Scheduler
from ._settings import Settings
from ._tokens import ANYBODY, Tokens

__all__ = ["Service", "application"]

_KEYS_ID = re.compile(r"[0-9a-f]{64}")
_LONGEST_WAIT = 30.0  # of a request for outcomes, in seconds
_OUTCOME_BYTES = 2**23
_KEYS_MARGIN = 2**16  # Concrete's own framing, beside the numbers of the keys
_OPEN = ("/health", "/docs", "/openapi.json")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Service:
    """What the paths of the application do.

    Parameters
    ----------
    settings : Settings
    tokens : Tokens or None
        None lets anybody in.
    """

    def __init__(self, settings: Settings, tokens: Tokens | None):
        self.settings, self.tokens, self.metrics = settings, tokens, Metrics()
        self.scheduler = Scheduler(settings, self.metrics)

    def owner(self, path: str, authorization: str | None) -> str:
        """Who asks.

        Raises
        ------
        Problem
            If the path needs a token and there is no good one.
        """
        if self.tokens is None or path in _OPEN:
            return ANYBODY
        owner = self.tokens.owner(authorization)
        if owner is None:
            text = "A header 'Authorization: Bearer TOKEN' with a token of this service is needed."
            raise Problem(401, "no_token", text)
        return owner

    async def health(self, request):
        """Whether rows are computed."""
        stopping, n_workers = self.scheduler.stopping, self.scheduler.n_workers
        state = "stopping" if stopping else "ok" if n_workers else "no worker"
        return {"state": state}, 200 if state == "ok" else 503

    async def show_metrics(self, request):
        """Counts and times, as text."""
        scheduler = self.scheduler
        gauges = {
            "keys_bytes": scheduler.keys.n_bytes,
            "keys": len(scheduler.keys),
            "jobs": scheduler.n_jobs,
            "queue_rows": scheduler.n_waiting,
            "workers": scheduler.n_workers,
        }
        return self.metrics.text(gauges), 200

    async def list_models(self, request):
        """What is served, and what a batch may have."""
        models = [model.public() for model in self.scheduler.models]
        limits = {name: getattr(self.settings, name) for name in ("batch_rows", "row_bytes")}
        return {"models": models, "limits": limits}, 200

    async def show_keys(self, request):
        """Whether keys are here."""
        keys = self.scheduler.keys.use(request.state.owner, _matching(_KEYS_ID, request))
        return {"parameters_id": keys.parameters_id}, 200

    async def put_keys(self, request):
        """Store keys, once they are known to be whole."""
        owner, keys_id = request.state.owner, _matching(_KEYS_ID, request)
        store, models = self.scheduler.keys, self.scheduler.models
        size = size_of(request, int(1.1 * models.most_key_bytes) + _KEYS_MARGIN)
        store.make_room(owner, keys_id, size)
        unfinished = store.unfinished(owner)
        try:
            await self._write(unfinished, request, size)
            parameters_id = await asyncio.to_thread(checked_keys, unfinished, keys_id)
            models.key_bytes(parameters_id)
            store.make_room(owner, keys_id, size)  # others may have come in the meantime
            store.add(owner, keys_id, unfinished, parameters_id)
        finally:
            unfinished.unlink(missing_ok=True)
        return {"keys_id": keys_id}, 201

    async def _write(self, path: Path, request, size: int) -> None:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(file, "wb") as stream:
            async for part in parts_of(request, size, self.settings.body_seconds):
                await asyncio.to_thread(stream.write, part)
            await asyncio.to_thread(stream.flush)

    async def delete_keys(self, request):
        """Forget keys."""
        self.scheduler.keys.remove(request.state.owner, _matching(_KEYS_ID, request))
        return None, 204

    async def put_job(self, request):
        """Accept a batch."""
        most = self.settings.batch_rows * (self.settings.row_bytes + 4)
        job_id = _matching(JOB_ID, request)
        data = await body_of(request, most, self.settings.body_seconds)
        job = await self.scheduler.accept(request.state.owner, job_id, data)
        return job.public(), 202

    async def show_job(self, request):
        """How far a batch is."""
        return self._job(request).public(), 200

    async def show_outcomes(self, request):
        """What became of rows, from ``first`` on, once there is anything, or after ``wait``."""
        job, query = self._job(request), request.query_params
        first, wait = (_number(query.get(name, "0"), name) for name in ("first", "wait"))
        await job.wait(first, min(wait, _LONGEST_WAIT))
        if job.cancelled:
            raise Problem(404, "unknown_job", f"The job {job.id} was cancelled.")
        try:
            found = await asyncio.to_thread(job.outcomes, first, _OUTCOME_BYTES)
        except FileNotFoundError as error:
            raise Problem(404, "unknown_job", f"The job {job.id} was cancelled.") from error
        return pack_outcomes(found), 200

    async def delete_job(self, request):
        """Cancel a batch, or forget a finished one."""
        await self.scheduler.cancel(self._job(request))
        return None, 204

    def _job(self, request):
        return self.scheduler.job(request.state.owner, _matching(JOB_ID, request))

    async def show_document(self, request):
        """The OpenAPI document."""
        return document(), 200

    async def show_page(self, request):
        """The same for people."""
        return page(), 200


def _matching(pattern: re.Pattern, request) -> str:
    found = request.path_params["id"]
    if not pattern.fullmatch(found):
        raise Problem(400, "bad_id", f"An id of {pattern.pattern} belongs in the path.")
    return found


def _number(text: str, name: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise Problem(400, "bad_number", f"{name}={text!r} must be a number from 0 on.")
    return int(text)


def _routes(service: Service) -> list[tuple[str, str, object]]:
    return [
        ("GET", "/health", service.health),
        ("GET", "/metrics", service.show_metrics),
        ("GET", "/openapi.json", service.show_document),
        ("GET", "/docs", service.show_page),
        ("GET", "/v1/models", service.list_models),
        ("GET", "/v1/keys/{id}", service.show_keys),
        ("PUT", "/v1/keys/{id}", service.put_keys),
        ("DELETE", "/v1/keys/{id}", service.delete_keys),
        ("GET", "/v1/jobs/{id}", service.show_job),
        ("PUT", "/v1/jobs/{id}", service.put_job),
        ("DELETE", "/v1/jobs/{id}", service.delete_job),
        ("GET", "/v1/jobs/{id}/outcomes", service.show_outcomes),
    ]


def application(service: Service):
    """The ASGI application of a service.

    Parameters
    ----------
    service : Service

    Returns
    -------
    starlette.applications.Starlette

    Raises
    ------
    ImportError
        If Starlette is missing.
    """
    starlette = require("starlette.applications", "serve")
    routing = require("starlette.routing", "serve")

    @asynccontextmanager
    async def lifespan(app):
        await service.scheduler.start()
        yield
        await service.scheduler.stop()

    routes = [
        routing.Route(path, _endpoint(service, act), methods=[method])
        for method, path, act in _routes(service)
    ]
    return starlette.Starlette(routes=routes, lifespan=lifespan)


def _endpoint(service: Service, act):
    """A path of Starlette: the token before all else, and every refusal as JSON."""

    async def endpoint(request):
        try:
            header = request.headers.get("authorization")
            request.state.owner = service.owner(request.url.path, header)
            response = _response(*await act(request))
        except Problem as problem:
            response = _response(problem.json(), problem.status, problem.headers)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            text = "There is no space left for this: try again later."
            response = _response(Problem(507, "no_space", text).json(), 507, {"Retry-After": "30"})
        service.metrics.count("requests_total", f'status="{response.status_code}"')
        return response

    return endpoint


def _response(content, status: int, headers: dict[str, str] | None = None):
    responses = require("starlette.responses", "serve")
    if isinstance(content, dict):
        return responses.JSONResponse(content, status, headers)
    if isinstance(content, bytes):
        return responses.Response(content, status, headers, "application/octet-stream")
    if isinstance(content, str):
        kind = "text/html" if content.startswith("<!doctype") else "text/plain; version=0.0.4"
        return responses.Response(content, status, headers, kind)
    return responses.Response(None, status, headers)

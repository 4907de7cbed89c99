"""A service on a port: uvicorn, one folder of state, and a stop that loses nothing."""

from __future__ import annotations

import asyncio
import fcntl
import socket
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ..export._common import require
from ._app import Service, application
from ._settings import Settings
from ._tokens import Tokens

__all__ = ["serve"]

_MOST_CONNECTIONS = 256
_CLOSE_SECONDS = 10  # for answers that are being sent when the service stops


def serve(
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    tokens: Tokens | None,
    announce: Callable[[str], None] = print,
    **options,
) -> None:
    """Serve until a signal asks to stop.

    At the first SIGTERM or SIGINT no batch is taken any more, accepted rows are finished within
    ``settings.stop_seconds`` and clients fetch them; what is left waits on disk for the next
    start.  At the second signal the service stops at once.

    Parameters
    ----------
    settings : Settings
    host : str
        Address to listen at.
    port : int
        0 takes a free one.
    tokens : Tokens or None
        Who may use the service; None lets anybody in.
    announce : callable
        Gets the address, once it is listening.
    **options
        Of uvicorn, such as ``ssl_certfile`` and ``ssl_keyfile``.

    Raises
    ------
    ImportError
        If Starlette, uvicorn or Concrete is missing.
    ValueError
        If there is no model in ``settings.models``, or another service uses ``settings.state``.
    OSError
        If the port is taken, or the folder of state cannot be written to.
    RuntimeError
        If the worker does not start; its output is in the log.
    """
    uvicorn = require("uvicorn", "serve")
    with _alone(settings.state), _listening(host, port) as sock:
        service = Service(settings, tokens)
        config = uvicorn.Config(
            application(service), log_level="warning", access_log=False, server_header=False,
            lifespan="on", limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=_CLOSE_SECONDS, **options,
        )  # fmt: skip
        address = f"{'https' if config.is_ssl else 'http'}://{_url(*sock.getsockname()[:2])}"
        try:
            _server(uvicorn, config, service, partial(announce, address)).run(sockets=[sock])
        except SystemExit as error:  # uvicorn's way to say so
            raise RuntimeError("The service did not start: the log says why.") from error


@contextmanager
def _alone(state: Path):
    """No other service with the same folder."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(state / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(
                f"Another service uses {str(state)!r}: choose another state."
            ) from error
        yield


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def _url(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _server(uvicorn, config, service: Service, announce: Callable[[], None]):
    """A server of uvicorn that finishes accepted rows before it stops."""

    class Server(uvicorn.Server):
        async def startup(self, sockets=None):
            self.loop = asyncio.get_running_loop()
            await super().startup(sockets)
            announce()

        def handle_exit(self, sig, frame):
            if service.scheduler.stopping or not self.started:
                super().handle_exit(sig, frame)
            else:
                service.scheduler.stopping = True
                self.loop.call_soon_threadsafe(self._begin_to_drain)

        def _begin_to_drain(self):
            self.draining = asyncio.ensure_future(self._drain())

        async def _drain(self):
            await service.scheduler.drain()
            self.should_exit = True

    return Server(config)

"""Bodies of requests, whose size is known before they are read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ..export._common import require
from ._problems import Problem

__all__ = ["body_of", "parts_of", "size_of"]


def size_of(request, most: int) -> int:
    """Size of a body, from its header.

    Raises
    ------
    Problem
        If it is not said, or above `most` bytes.
    """
    text = request.headers.get("content-length", "")
    if not text.isdecimal():
        raise Problem(411, "no_length", "The header Content-Length must say how long the body is.")
    if int(text) > most:
        raise Problem(413, "too_large", f"The body has {text} bytes, and at most {most} are taken.")
    return int(text)


async def parts_of(request, size: int, seconds: float) -> AsyncIterator[bytes]:
    """The parts of a body as they come.

    Raises
    ------
    Problem
        If nothing comes for `seconds`, or less than `size` bytes in all.
    """
    gone = require("starlette.requests", "serve").ClientDisconnect
    stream, left = request.stream(), size
    while left > 0:
        try:
            part = await asyncio.wait_for(anext(stream), seconds)
        except asyncio.TimeoutError as error:
            text = f"Nothing came for {seconds:g} s, and {left} bytes are missing."
            raise Problem(408, "stalled", text) from error
        except (StopAsyncIteration, gone):
            break
        left -= len(part)
        yield part
    if left:
        raise Problem(400, "cut_off", f"The body does not have the {size} bytes that it announced.")


async def body_of(request, most: int, seconds: float) -> bytes:
    """A whole body."""
    size = size_of(request, most)
    return b"".join([part async for part in parts_of(request, size, seconds)])

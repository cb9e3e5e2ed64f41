"""The status API on its unix socket: whoever may open the socket (0600) may read it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from kiteway.status.connections import Connections, LimitedProtocol, Limits

Ready = Callable[[], Awaitable[str]]
"""Returns why it is not ready; empty when it is."""
_OF_OWNER = Limits(connections=64, of_a_peer=64, answer_seconds=60.0)
"""A unix socket has one peer; a report of thousands of pools takes its time."""
_AT_ONCE = 16
"""Connections that the event loop takes before it does something else, and looks at those that it has."""
_QUEUE = 1024
"""Connections that wait in the kernel."""
Report = Callable[[], Awaitable[dict[str, Any]]]
Errors = Callable[[], list[dict[str, Any]]]
"""Returns the diagnostics that are errors; cheap, as it is called every few seconds."""


def application(ready: Ready, report: Report, errors: Errors) -> Starlette:
    """Return the API: ``/live`` (200), ``/ready`` (200 or 503 with the reason), ``/status`` and ``/errors`` (JSON)."""

    async def get_live(_: Request) -> Response:
        return PlainTextResponse("live")

    async def get_ready(_: Request) -> Response:
        reason = await ready()
        return PlainTextResponse(reason or "ready", status_code=503 if reason else 200)

    async def get_status(_: Request) -> Response:
        return JSONResponse(await report())

    async def get_errors(_: Request) -> Response:
        return JSONResponse(errors())

    routes = {"/live": get_live, "/ready": get_ready, "/status": get_status, "/errors": get_errors}
    return Starlette(routes=[Route(path, answer) for path, answer in routes.items()])


@contextlib.asynccontextmanager
async def serve(path: Path, app: Starlette) -> AsyncIterator[None]:
    """Serve ``app`` on the unix socket ``path``, mode 0600, in a folder that is ours alone."""
    listener = _bind(path)
    try:
        async with serving(listener, app, _OF_OWNER):
            yield
    finally:
        listener.close()
        _unlink(path)


@contextlib.asynccontextmanager
async def serving(listener: socket.socket, app: Starlette, limits: Limits) -> AsyncIterator[None]:
    """Serve ``app`` on a bound socket, within ``limits``."""
    config = uvicorn.Config(
        app,
        # uvicorn calls it; its type knows only of classes.
        http=cast("type[H11Protocol]", functools.partial(LimitedProtocol, connections=Connections(limits))),
        h11_max_incomplete_event_size=limits.head_bytes,
        ws="none",
        log_config=None,
        # Whoever sends no HTTP must not fill the log.
        log_level="error",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
        backlog=_AT_ONCE,
        server_header=False,
        date_header=False,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.end()
        await task


def _bind(path: Path) -> socket.socket:
    _unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    return listener


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)


class _Server(uvicorn.Server):
    """Leaves the process's signals alone, and the processor while there is no request."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ended = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen; asyncio has made the kernel's queue as short as what it takes at once."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_QUEUE)

    def end(self) -> None:
        """Finish what is asked, and take no more."""
        self.should_exit = True
        self._ended.set()

    async def main_loop(self) -> None:
        """Wait; uvicorn's own looks ten times a second whether it should end, and what the date is."""
        await self.on_tick(0)
        await self._ended.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: the control plane handles them."""
        yield

"""The status API on a unix socket (0600): the user of the instance may read it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from kiteway.report.problem import Problem
from kiteway.report.status import Errors, Status
from kiteway.status.connections import Connections, LimitedProtocol, Limits

Ready = Callable[[], Awaitable[str]]
"""Returns why the instance is not ready; empty when it is."""
BuildStatus = Callable[[], Awaitable[Status]]
ListErrors = Callable[[], tuple[Problem, ...]]
"""Returns the diagnostics that are errors; cheap, as it is called every few seconds."""
_LOCAL_LIMITS = Limits(connections=64, of_a_peer=64, answer_seconds=60.0)
"""A unix socket has one peer, and a status of thousands of pools takes long to build."""
_BACKLOG_OF_LOOP = 16
"""Connections that the event loop accepts at once, before it serves those that it has."""
_BACKLOG_OF_KERNEL = 1024
"""Connections that wait in the kernel."""


def application(ready: Ready, status: BuildStatus, errors: ListErrors) -> Starlette:
    """Return the API: ``/live`` (200), ``/ready`` (200 or 503 with the reason), ``/status`` and ``/errors`` (JSON)."""

    async def get_live(_: Request) -> Response:
        return PlainTextResponse("live")

    async def get_ready(_: Request) -> Response:
        reason = await ready()
        return PlainTextResponse(reason or "ready", status_code=503 if reason else 200)

    async def get_status(_: Request) -> Response:
        return _json(await status())

    async def get_errors(_: Request) -> Response:
        return _json(Errors(errors=errors()))

    routes = {"/live": get_live, "/ready": get_ready, "/status": get_status, "/errors": get_errors}
    return Starlette(routes=[Route(path, answer) for path, answer in routes.items()])


def _json(value: Status | Errors) -> Response:
    try:
        body = msgspec.json.encode(value)
    except UnicodeEncodeError:
        body = msgspec.json.encode(_encodable(msgspec.to_builtins(value)))
    return Response(body, media_type="application/json")


def _encodable(value: Any) -> Any:
    r"""Return ``value`` with lone surrogates, which stand for bytes of file names that are not UTF-8, as ``\udcff``."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(each) for key, each in value.items()}
    return [_encodable(each) for each in value] if isinstance(value, list | tuple) else value


@contextlib.asynccontextmanager
async def serve(path: Path, app: Starlette) -> AsyncIterator[None]:
    """Serve ``app`` on the unix socket ``path``, mode 0600; its folder belongs to this instance alone."""
    listener = _bind(path)
    try:
        async with serving(listener, app, _LOCAL_LIMITS):
            yield
    finally:
        listener.close()
        _unlink(path)


@contextlib.asynccontextmanager
async def serving(listener: socket.socket, app: Starlette, limits: Limits) -> AsyncIterator[None]:
    """Serve ``app`` on a bound socket, within ``limits``."""
    config = uvicorn.Config(
        app,
        # uvicorn calls it like a class.
        http=cast("type[H11Protocol]", functools.partial(LimitedProtocol, connections=Connections(limits))),
        h11_max_incomplete_event_size=limits.head_bytes,
        ws="none",
        log_config=None,
        # A client that does not speak HTTP must not fill the log.
        log_level="error",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
        backlog=_BACKLOG_OF_LOOP,
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
    """Handles no signals, and uses no CPU while there is no request."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ended = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen; asyncio sets the kernel's queue to the length of its own, which is too short."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_BACKLOG_OF_KERNEL)

    def end(self) -> None:
        """Finish the requests in progress, and accept no more."""
        self.should_exit = True
        self._ended.set()

    async def main_loop(self) -> None:
        """Wait for the end; uvicorn's own loop wakes up ten times a second."""
        await self.on_tick(0)
        await self._ended.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: the control plane handles them."""
        yield

"""The status API on a unix socket (0600): the user of the instance may read it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from kiteway.report.pools import CheckedEndpoint
from kiteway.report.status import Errors, Health, Status
from kiteway.status.accepted import Accepted, ByPeer
from kiteway.status.arriving import Arriving
from kiteway.status.connections import Connections, Handshake, LimitedProtocol
from kiteway.status.limits import Limits

Ready = Callable[[], Awaitable[str]]
"""Returns why the instance is not ready; empty when it is."""
BuildStatus = Callable[[], Awaitable[Status]]
TLS = Callable[[], ssl.SSLContext]
"""Returns what a connection that begins now begins with."""
Answer = Callable[[Accepted], bool]
"""Answers the request of a connection and closes it, then or later; returns false if the request is for the application."""
ListErrors = Callable[[], Errors]
"""Returns the diagnostics that are errors; cheap, as it is called every few seconds."""
ListChecked = Callable[[], tuple[tuple[CheckedEndpoint, ...], ...]]
"""Returns the endpoints of each pool and their checks; as cheap."""
_LOCAL_LIMITS = Limits(connections=64, of_a_peer=64, answer_seconds=60.0)
"""A unix socket has one peer, and a status of thousands of pools takes long to build."""
_BACKLOG_OF_KERNEL = 4096
"""Connections that wait in the kernel. If there are more, a client waits for a second until it tries again."""
_ACCEPTED_AT_ONCE = 256
"""Connections that are accepted before the event loop does something else."""
_BEGUN_AT_ONCE = 8
"""Requests that become the HTTP server's before the event loop does something else; each costs as much as ten connections."""
_PAUSE_SECONDS = 0.5
"""Until connections are accepted again after there were no descriptors for them."""


def application(ready: Ready, status: BuildStatus, errors: ListErrors, checked: ListChecked) -> Starlette:
    """
    Return the API.

    ``/live`` is 200, ``/ready`` 200 or 503 with the reason, and ``/status``, ``/errors`` and ``/health`` are JSON.
    """

    async def get_live(_: Request) -> Response:
        return PlainTextResponse("live")

    async def get_ready(_: Request) -> Response:
        reason = await ready()
        return PlainTextResponse(reason or "ready", status_code=503 if reason else 200)

    async def get_status(_: Request) -> Response:
        return _json(await status())

    async def get_errors(_: Request) -> Response:
        return _json(errors())

    async def get_health(_: Request) -> Response:
        return _json(Health(pools=checked()))

    routes = {
        "/live": get_live,
        "/ready": get_ready,
        "/status": get_status,
        "/errors": get_errors,
        "/health": get_health,
    }
    return Starlette(routes=[Route(path, answer) for path, answer in routes.items()])


def _json(value: Status | Errors | Health) -> Response:
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
async def serving(
    listener: socket.socket, app: ASGIApp, limits: Limits, tls: TLS | None = None, answer: Answer | None = None
) -> AsyncIterator[None]:
    """Serve ``app`` on a bound socket, within ``limits``, with ``tls`` if it is given; ``answer`` has the first look, without TLS."""
    connections = Connections(limits)
    config = uvicorn.Config(
        app,
        # uvicorn calls it like a class.
        http=cast("type[H11Protocol]", functools.partial(LimitedProtocol, connections=connections)),
        h11_max_incomplete_event_size=limits.head_bytes,
        ws="none",
        log_config=None,
        # A client that does not speak HTTP must not fill the log.
        log_level="error",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
        server_header=False,
        date_header=False,
    )
    server = _Server(config, connections, tls, answer)
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
    """Handles no signals, uses no CPU while there is no request, and accepts connections within limits."""

    def __init__(
        self, config: uvicorn.Config, connections: Connections, tls: TLS | None, answer: Answer | None
    ) -> None:
        super().__init__(config)
        self._connections = connections
        self._tls = tls
        self._answer = answer
        self._waiting = ByPeer()
        self._begins = False
        self._ended = asyncio.Event()
        self._starting: set[asyncio.Task[Any]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen; asyncio would build a connection for each that comes, before there may be too many."""
        await self.lifespan.startup()
        self.servers = []
        self._arriving = Arriving(self._connections.limits, tls=self._tls is not None, serve=self._admit)
        for listener in sockets or ():
            listener.setblocking(False)
            listener.listen(_BACKLOG_OF_KERNEL)
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, and end."""
        for listener in sockets or ():
            asyncio.get_running_loop().remove_reader(listener)
        self._arriving.close()
        for each in self._waiting.shrink(0):
            each.connection.close()
        await super().shutdown(sockets)

    def _accept(self, listener: socket.socket) -> None:
        """Take connections that wait; if there are many, the others after what else there is to do."""
        loop = asyncio.get_running_loop()
        accepted: list[Accepted] = []
        try:
            while len(accepted) < _ACCEPTED_AT_ONCE:
                connection, address = listener.accept()
                connection.setblocking(False)
                accepted.append(Accepted(connection, address[0] if address else "", loop.time()))
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            pass
        except OSError:
            # There are no more descriptors, or no memory.
            loop.remove_reader(listener)
            loop.call_later(_PAUSE_SECONDS, self._accept_again, listener)
        self._arriving.add(accepted)

    def _admit(self, asking: list[Accepted]) -> None:
        """Answer requests, or let them wait for the HTTP server; if too many wait, close those of the address with the most."""
        for each in asking:
            if self._answer is None or not self._answer(each):
                self._waiting.add(each)
        for each in self._waiting.shrink(self._connections.limits.waiting):
            each.connection.close()
        if self._waiting and not self._begins:
            self._begins = True
            self._begin_some()

    def _begin_some(self) -> None:
        """Make some requests those of the HTTP server, and the others after what else there is to do."""
        loop = asyncio.get_running_loop()
        taken = self._waiting.take(_BEGUN_AT_ONCE)
        self._begins = bool(taken)
        tls = self._tls() if self._tls and taken else None
        for each in taken:
            task = loop.create_task(self._begin(each, tls))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)
        if taken:
            loop.call_soon(self._begin_some)

    async def _begin(self, accepted: Accepted, tls: ssl.SSLContext | None) -> None:
        """Make the connection; with TLS it is one of those that are limited from here on, not from the end of its handshake."""
        loop, seconds = asyncio.get_running_loop(), self._connections.limits.head_seconds
        if tls is None:
            await loop.connect_accepted_socket(functools.partial(self._protocol, accepted), accepted.connection)
            return
        handshake = Handshake(accepted.peer, accepted.connection)
        self._connections.add(handshake)

        def protocol() -> LimitedProtocol:
            made = self._protocol(accepted)
            made.handshake = handshake
            return made

        # A client that speaks no TLS, or another one, must not fill the log.
        with contextlib.suppress(OSError):
            try:
                await loop.connect_accepted_socket(
                    protocol, accepted.connection, ssl=tls, ssl_handshake_timeout=seconds, ssl_shutdown_timeout=seconds
                )
            finally:
                self._connections.remove(handshake)

    def _accept_again(self, listener: socket.socket) -> None:
        if listener.fileno() >= 0:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _protocol(self, accepted: Accepted) -> LimitedProtocol:
        made: Any = self.config.http_protocol_class
        protocol: LimitedProtocol = made(
            accepted=accepted,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        return protocol

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

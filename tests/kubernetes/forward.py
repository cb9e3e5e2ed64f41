"""Addresses of simulated pods that lead to real servers; they can be opened and closed at any time."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Mapping
from typing import Any, Self, cast


class Forwarder:
    """Hands connections on, address by address; a context manager with a separate event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._open: dict[str, tuple[list[asyncio.Server], set[asyncio.Transport]]] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for address in list(self._open):
            self.close(address)
        self._wait(self._settle())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def open(self, address: str, ports: Mapping[int, int]) -> None:
        """Let ports of ``address`` lead to ports of 127.0.0.1."""
        self._wait(self._listen(address, ports))

    def close(self, address: str) -> None:
        """Stop listening there, and end its connections."""
        self._wait(self._shut(address))

    async def _listen(self, address: str, ports: Mapping[int, int]) -> None:
        transports: set[asyncio.Transport] = set()
        servers = [
            await self._loop.create_server(lambda to=to: _Half(transports, to), address, port)  # type: ignore[misc]
            for port, to in ports.items()
        ]
        self._open[address] = (servers, transports)

    async def _shut(self, address: str) -> None:
        servers, transports = self._open.pop(address)
        for server in servers:
            server.close()
        for transport in list(transports):
            transport.abort()
        await asyncio.sleep(0)

    async def _settle(self) -> None:
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)
        await asyncio.sleep(0)

    def _wait(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


class _Half(asyncio.Protocol):
    """One side of a connection; with ``to`` it is the side that was accepted and connects the other."""

    def __init__(self, transports: set[asyncio.Transport], to: int | None = None, other: _Half | None = None) -> None:
        self._transports = transports
        self._to = to
        self.other = other
        self.transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._transports.add(self.transport)
        if self._to is not None:
            self.transport.pause_reading()
            self._task = asyncio.get_running_loop().create_task(self._connect(self._to))

    async def _connect(self, port: int) -> None:
        make = lambda: _Half(self._transports, other=self)  # noqa: E731 - a factory
        try:
            _, half = await asyncio.get_running_loop().create_connection(make, "127.0.0.1", port)
        except OSError:
            half = None
        if half is None or self.transport is None or self.transport.is_closing():
            for side in (self, half):
                if side is not None and side.transport is not None:
                    side.transport.abort()
            return
        self.other = half
        self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is not None:
            self._transports.discard(self.transport)
        if self.other is not None and self.other.transport is not None:
            with contextlib.suppress(OSError):
                self.other.transport.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on what comes from one to the other, until it ends."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()

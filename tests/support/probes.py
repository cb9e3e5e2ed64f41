"""The port of metrics and probes, and its clients."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from kiteway.envoy.admin import AdminClient
from kiteway.envoy.calls import CallsClient
from kiteway.metrics.controlplane import ControlPlaneMetrics
from kiteway.metrics.probes import Probes
from kiteway.metrics.server import application, scraped
from kiteway.status.limits import Limits

QUICK = Limits(head_seconds=0.3, answer_seconds=0.6)
"""Closes soon what waits; only for what is to be closed."""
PATIENT = Limits(head_seconds=600, answer_seconds=600)
"""Closes nothing for its time: what is answered here waits for no other client."""
SOON = 60.0
"""Seconds that suffice on a busy machine, far below those of `PATIENT`."""
KEPT = b"GET /live?kept HTTP/1.1\r\nHost: k\r\n\r\n"
"""A request that no kubelet sends: the HTTP server answers it, and keeps the connection."""
PROBE = b"GET /live HTTP/1.1\r\nHost: k\r\n\r\n"

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Page(ControlPlaneMetrics):
    """A page of 8 MiB, which no socket's buffers hold."""

    def __init__(self) -> None:
        self.served = 0

    def pools(self) -> list[object]:  # type: ignore[override]
        """Return none."""
        return []

    def text(self) -> bytes:
        """Return it."""
        self.served += 1
        return b"# page\n" * (8 * 1024 * 1024 // 7)


class Admin(AdminClient):
    """An Envoy that adds nothing to the page."""

    def __init__(self) -> None:
        pass

    async def prometheus(self, pattern: str = ".") -> AsyncIterator[bytes]:
        """Yield nothing."""
        for nothing in list[bytes]():
            yield nothing


async def always_ready() -> str:
    """Say that it is ready."""
    return ""


Served = tuple[int, Page]


@contextlib.asynccontextmanager
async def served(
    free_port: Callable[[], int], limits: Limits | None = None, ready: Callable[[], Awaitable[str]] = always_ready
) -> AsyncIterator[Served]:
    """Serve metrics and probes on a port of loopback."""
    port, page = free_port(), Page()
    probes = Probes(ready)
    app = application(page, Admin(), CallsClient(Path("/nowhere")), probes)
    async with scraped(f"127.0.0.1:{port}", app, limits or Limits(), answer=probes.answer):
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /live HTTP/1.1\r\nHost: k\r\nConnection: close\r\n\r\n")
                await reader.read()  # the server has forgotten it when it is at its end
                writer.close()
                break
        yield port, page


async def get(port: int, path: str, source: str = "127.0.0.1") -> bytes:
    """Ask as a kubelet does: a connection a probe; return the head and the beginning of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: k\r\nConnection: close\r\n\r\n".encode())
        return await reader.read(1000)
    finally:
        writer.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until ``condition`` is true."""
    async with asyncio.timeout(SOON):
        while not condition():  # noqa: ASYNC110 - what it looks at has no events
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def connected(port: int, number: int, *, peers: int = 1) -> AsyncIterator[list[Connection]]:
    """Hold connections from addresses of loopback; whoever closes them is not us."""
    opened = [
        await asyncio.open_connection("127.0.0.1", port, local_addr=(f"127.1.0.{1 + at % peers}", 0))
        for at in range(number)
    ]
    try:
        yield opened
    finally:
        for _, writer in opened:
            writer.transport.abort()

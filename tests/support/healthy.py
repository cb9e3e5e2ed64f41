"""A server that answers health checks with 200, on every address of this machine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from anyio.from_thread import start_blocking_portal


@contextlib.contextmanager
def healthy(port: int = 0) -> Iterator[int]:
    """Answer the checks of all addresses on ``port``, or on a free one; yield it."""
    with start_blocking_portal() as portal:
        server = portal.call(asyncio.start_server, _answer, "0.0.0.0", port)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            portal.call(server.close)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    writer.close()

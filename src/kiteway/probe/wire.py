"""One connection, in plaintext or TLS, that records the first bytes received."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator

from kiteway.probe.result import Endpoint
from kiteway.probe.tcp import open_socket

_CHUNK = 8192
"""Bytes of one read: what they hold is judged before the event loop does something else."""


class Wire:
    """A connected socket. TLS runs over memory buffers so that the raw bytes stay visible.

    A plain socket, not asyncio's streams: those drop received bytes when a reset follows, and a probe
    needs the last bytes before a reset.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._loop = asyncio.get_running_loop()
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.tls: ssl.SSLObject | None = None
        self.first_bytes = b""
        """The first bytes received from the other side, encrypted or not."""

    async def start_tls(self, context: ssl.SSLContext, server_name: str) -> None:
        """Run the client's side of the handshake.

        Raises:
            ssl.SSLError: the handshake failed.
            EOFError: the other side closed during it.
            OSError: the connection broke.
        """
        tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self.tls = tls
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLError:
                # The alert tells the server the reason; the server may have closed already.
                with contextlib.suppress(OSError):
                    await self._flush()
                raise
            else:
                await self._flush()
                return

    async def send(self, data: bytes) -> None:
        """Send ``data``; raises :class:`OSError` when the connection broke."""
        if self.tls is None:
            await self._loop.sock_sendall(self._socket, data)
        else:
            self.tls.write(data)
            await self._flush()

    async def receive(self) -> bytes:
        """Some received bytes; empty when the other side closed.

        Raises:
            ssl.SSLError: a TLS alert (a missing client certificate shows here in TLS 1.3).
            OSError: the connection broke.
        """
        if self.tls is None:
            return await self._read()
        while True:
            try:
                return self.tls.read(_CHUNK)
            except ssl.SSLWantReadError:
                await self._flush()
                try:
                    await self._fill()
                except EOFError:
                    return b""
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    async def _read(self) -> bytes:
        # While bytes are there, `sock_recv` does not suspend: a server that sends without end would stop the event loop, and with
        # it the time limit of this probe.
        await asyncio.sleep(0)
        data = await self._loop.sock_recv(self._socket, _CHUNK)
        self.first_bytes = self.first_bytes or data[:64]
        return data

    async def _fill(self) -> None:
        data = await self._read()
        if not data:
            raise EOFError
        self._incoming.write(data)

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._loop.sock_sendall(self._socket, self._outgoing.read())


@contextlib.asynccontextmanager
async def open_wire(endpoint: Endpoint, *, timeout: float) -> AsyncIterator[Wire]:
    """Connect by TCP; the wire is closed at the end.

    Raises:
        ProbeError: no TCP connection, with its reason.
    """
    with contextlib.closing(await open_socket(endpoint, timeout=timeout)) as connected:
        yield Wire(connected)

"""Tests for HTTP/2: the server answers the preface with SETTINGS."""

import asyncio
import ssl
from dataclasses import dataclass

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from kiteway.probe.result import (
    DEFAULT_TIMEOUT,
    Endpoint,
    ProbeError,
    ProbeFailure,
    Reason,
)
from kiteway.probe.tls import classified, start_tls
from kiteway.probe.trust import TlsOptions
from kiteway.probe.wire import Wire, open_wire

_TYPE_OF_FRAME = 3
"""The place of the type in a frame (RFC 9113, 4.1)."""
_SETTINGS = 4


@dataclass(frozen=True, slots=True)
class H2Result:
    """The result of the HTTP/2 preface: whether the server answered with its SETTINGS."""

    settings: dict[int, int] | None = None
    """Identifier to value (RFC 9113 section 6.5.2), None if none came."""
    alpn: str | None = None
    """What was negotiated; None in plaintext, or if the server chose nothing."""
    failure: ProbeFailure | None = None


async def probe_h2(endpoint: Endpoint, tls: TlsOptions | None, *, timeout: float = DEFAULT_TIMEOUT) -> H2Result:
    """Send the preface over TLS (or, with ``tls`` None, in plaintext) and wait for SETTINGS.

    Args:
        endpoint: where.
        tls: how to speak TLS, or None for h2c with prior knowledge.
        timeout: seconds.

    Raises:
        TrustFileError: a file in ``tls`` cannot be used.
    """
    alpn: str | None = None
    context = tls.context() if tls else None
    try:
        async with (
            asyncio.timeout(timeout),
            open_wire(endpoint, timeout=timeout) as wire,
        ):
            if tls is not None and context is not None:
                await start_tls(wire, context, tls.name(endpoint), str(endpoint))
            exchange = H2Exchange(wire, str(endpoint))
            alpn = exchange.alpn
            await exchange.start()
            while True:
                for event in await exchange.events():
                    if isinstance(event, h2.events.RemoteSettingsChanged):
                        settings = {int(code): change.new_value for code, change in event.changed_settings.items()}
                        return H2Result(settings, alpn)
    except ProbeError as error:
        return H2Result(None, alpn, error.failure)
    except TimeoutError:
        detail = f"{endpoint} did not answer HTTP/2 in {timeout:g} s"
        return H2Result(None, alpn, ProbeFailure(Reason.NO_ANSWER, detail))


class H2Exchange:
    """An HTTP/2 client connection over a :class:`Wire`, which distinguishes its errors."""

    def __init__(self, wire: Wire, place: str) -> None:
        self._wire = wire
        self._place = place
        self._beginning = b""
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.alpn = wire.tls.selected_alpn_protocol() if wire.tls else None

    async def start(self) -> None:
        """Send the preface."""
        self.connection.initiate_connection()
        await self.flush()

    async def flush(self) -> None:
        """Send the bytes that the state machine has queued."""
        pending = self.connection.data_to_send()
        try:
            if pending:
                await self._wire.send(pending)
        except OSError:
            # Bytes that the server sent before it closed are still to be read.
            return

    async def events(self) -> list[h2.events.Event]:
        """The next events.

        Raises:
            ProbeError: closed, not HTTP/2, or a TLS alert.
        """
        try:
            data = await self._wire.receive()
        except ssl.SSLError as error:
            raise classified(self._wire, error) from None
        except OSError:
            data = b""
        if not data:
            raise ProbeError(Reason.CLOSED, f"{self._place} closed the connection without an answer")
        self._beginning = (self._beginning + data)[:80]
        if self._beginning.startswith(b"HTTP/1"):
            # The frame parser takes this for the beginning of a very long frame and would wait for more.
            line = self._beginning.split(b"\r\n", 1)[0].decode("latin-1")
            raise ProbeError(Reason.NOT_HTTP2, f"the server answers HTTP/2 with {line!r}")
        if len(self._beginning) > _TYPE_OF_FRAME and self._beginning[_TYPE_OF_FRAME] != _SETTINGS:
            # RFC 9113, 3.4: a server's first frame is SETTINGS. Of other frames there may be no end.
            raise ProbeError(Reason.NOT_HTTP2, "the server does not speak HTTP/2")
        try:
            events = self.connection.receive_data(data)
        except h2.exceptions.ProtocolError:
            raise ProbeError(Reason.NOT_HTTP2, "the server does not speak HTTP/2") from None
        await self.flush()
        return events

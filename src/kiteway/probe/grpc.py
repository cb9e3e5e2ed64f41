"""One unary gRPC call, with the HTTP/2 exchange below it.

A gRPC library turns a 404 of nginx into UNIMPLEMENTED and drops the rest. This probe also returns the HTTP status, the
content type and the ``server`` header, so that a report can name the server that answered.
"""

import asyncio
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import h2.events
import h2.exceptions

from kiteway.probe.h2 import H2Exchange
from kiteway.probe.own import own_sentence
from kiteway.probe.result import (
    DEFAULT_TIMEOUT,
    Endpoint,
    ProbeError,
    ProbeFailure,
    Reason,
)
from kiteway.probe.tls import start_tls
from kiteway.probe.trust import TlsOptions
from kiteway.probe.wire import open_wire

_MAX_BODY = 65536
_GRPC_OK = 0

STATUS_NAMES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""By number, as in gRPC's ``doc/statuscodes.md``."""


@dataclass(frozen=True, slots=True)
class GrpcResult:
    """The answer to one call. ``failure`` is None when it was a gRPC answer, whatever its status."""

    status: int | None = None
    """``grpc-status``; None if the answer is not gRPC's."""
    message: str = ""
    """``grpc-message``, percent-decoded."""
    body: bytes = b""
    """The first response message, or (not gRPC) the beginning of the answer's body; 64 KiB."""
    http_status: int | None = None
    content_type: str | None = None
    server: str | None = None
    location: str | None = None
    """Where a redirect leads."""
    alpn: str | None = None
    spoke: bool = True
    """Whether the server sent anything at all on the connection, once it was open (and, with TLS, encrypted)."""
    failure: ProbeFailure | None = None

    @property
    def balancer(self) -> str:
        """The sentence of one of Kiteway's own answers, without a full stop; empty for an answer of another server."""
        return own_sentence(self.message if self.status is not None else self.body.decode("utf-8", "replace"))

    @property
    def redirected(self) -> bool:
        """Whether the answer is a redirect; a proxy may put a gRPC status beside it."""
        return self.location is not None and not self.ok

    @property
    def ok(self) -> bool:
        """A gRPC answer with status OK."""
        return self.failure is None and self.status == _GRPC_OK

    @property
    def status_name(self) -> str | None:
        """The status as gRPC spells it."""
        if self.status is None:
            return None
        return STATUS_NAMES[self.status] if self.status < len(STATUS_NAMES) else str(self.status)


async def probe_grpc(
    endpoint: Endpoint,
    path: str,
    request: bytes = b"",
    *,
    tls: TlsOptions | None,
    metadata: Sequence[tuple[str, str]] = (),
    timeout: float = DEFAULT_TIMEOUT,
) -> GrpcResult:
    """Make one unary call.

    ``:authority`` is what PyMilvus sends: the server name if one is given, else ``host:port``.

    Args:
        endpoint: where.
        path: ``/package.Service/Method``.
        request: the serialised request message.
        tls: how to speak TLS, or None for plaintext.
        metadata: lower-case header names and their values.
        timeout: seconds, sent as ``grpc-timeout`` too.

    Raises:
        TrustFileError: a file in ``tls`` cannot be used.
    """
    answer = _Answer()
    context = tls.context() if tls else None
    named = tls.server_name if tls else None
    headers = [
        (":method", "POST"),
        (":scheme", "https" if tls else "http"),
        (":path", path),
        (":authority", named or endpoint.authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "kiteway-probe"),
        ("grpc-timeout", f"{max(1, round(timeout * 1000))}m"),
        *metadata,
    ]
    try:
        async with (
            asyncio.timeout(timeout),
            open_wire(endpoint, timeout=timeout) as wire,
        ):
            if tls is not None and context is not None:
                await start_tls(wire, context, tls.name(endpoint), str(endpoint))
            exchange = H2Exchange(wire, str(endpoint))
            answer.alpn = exchange.alpn
            await exchange.start()
            stream = exchange.connection.get_next_available_stream_id()
            exchange.connection.send_headers(stream, headers)
            framed = struct.pack(">?I", False, len(request)) + request
            exchange.connection.send_data(stream, framed, end_stream=True)
            await exchange.flush()
            while not answer.complete:
                for event in await exchange.events():
                    answer.spoke = True
                    answer.take(event)
    except ProbeError as error:
        return answer.result(error.failure)
    except h2.exceptions.H2Error as error:
        return answer.result(ProbeFailure(Reason.NOT_HTTP2, f"the HTTP/2 exchange broke: {error}"))
    except TimeoutError:
        detail = f"{endpoint} did not answer the call in {timeout:g} s"
        return answer.result(ProbeFailure(Reason.NO_ANSWER, detail))
    return answer.result(None)


class _Answer:
    """Collects the events of the one stream."""

    def __init__(self) -> None:
        self.complete = False
        self.alpn: str | None = None
        self.spoke = False
        self._headers: dict[str, str] = {}
        self._body = b""
        self._broken: ProbeFailure | None = None

    def take(self, event: h2.events.Event) -> None:
        """Take one event of the connection."""
        match event:
            case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                for name, value in event.headers or ():
                    self._headers[_text(name)] = _text(value)
            case h2.events.DataReceived():
                self._body = (self._body + (event.data or b""))[:_MAX_BODY]
                self.complete = len(self._body) == _MAX_BODY
            case h2.events.StreamEnded():
                self.complete = True
            case h2.events.StreamReset():
                # A reset after the whole answer (NO_ERROR) is how a server ends an early answer.
                self.complete = True
                if not self._headers:
                    detail = f"the server reset the call (HTTP/2 error {event.error_code})"
                    self._broken = ProbeFailure(Reason.CLOSED, detail)
            case h2.events.ConnectionTerminated():
                self.complete = True
                if not self._headers:
                    debug_data = (event.additional_data or b"")[:80].decode("latin-1")
                    detail = f"the server ended the connection (GOAWAY {event.error_code} {debug_data})"
                    self._broken = ProbeFailure(Reason.CLOSED, detail.replace(" )", ")"))
            case _:
                return

    def result(self, failure: ProbeFailure | None) -> GrpcResult:
        """The answer as a value; ``failure`` is what ended the exchange, if something did."""
        status = self._headers.get("grpc-status", "")
        content_type = self._headers.get("content-type")
        http_status = self._headers.get(":status", "")
        is_grpc = status.isdigit()
        failure = failure or self._broken
        if failure is None and not is_grpc:
            detail = f"the answer is not gRPC: HTTP {http_status or '?'}, {content_type or 'no type'}"
            failure = ProbeFailure(Reason.NOT_GRPC, detail)
        return GrpcResult(
            status=int(status) if is_grpc else None,
            message=unquote(self._headers.get("grpc-message", "")),
            body=self._body[5:] if is_grpc else self._body,
            http_status=int(http_status) if http_status.isdigit() else None,
            content_type=content_type,
            server=self._headers.get("server"),
            location=self._headers.get("location"),
            spoke=self.spoke,
            alpn=self.alpn,
            failure=failure,
        )


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")

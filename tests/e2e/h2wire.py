"""HTTP/2 frame by frame, for clients and servers that do not follow the protocol."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable
from typing import Any, Self

import h2.config
import h2.connection
import h2.errors
import h2.events

from tests.support.accepting import Accepting

Headers = Iterable[tuple[str, str]]

# RFC 9113, 3.4 and 6.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 1, 4, 6, 8, 9
ACK = 1


def frame(kind: int, flags: int, payload: bytes = b"", stream: int = 0) -> bytes:
    """Return a frame of HTTP/2 (RFC 9113, 4.1)."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class Client:
    """An HTTP/2 connection; every method that waits does so for at most 20 s."""

    def __init__(self, port: int, prelude: bytes = b"", *, server_name: str = "") -> None:
        """Connect to a port of 127.0.0.1: over TLS, without verification, if there is a ``server_name``, else in plaintext."""
        self.socket: socket.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        if server_name:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            context.set_alpn_protocols(["h2"])
            self.socket = context.wrap_socket(self.socket, server_hostname=server_name)
        self._scheme = "https" if server_name else "http"
        self.connection = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding="utf-8", validate_outbound_headers=False)
        )
        self.events: list[Any] = []
        self.closed = False
        self.connection.initiate_connection()
        self.socket.sendall(prelude)
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.socket.close()

    def flush(self) -> None:
        """Send what the connection has to say."""
        self.socket.sendall(self.connection.data_to_send())

    def request(
        self,
        path: str,
        headers: Headers = (),
        *,
        authority: str = "milvus",
        kind: str = "application/grpc",
        end: bool = True,
        trailers: Headers = (),
    ) -> int:
        """Send the headers of a request and, with ``end``, an empty message of gRPC and ``trailers``; return the stream."""
        stream = self.connection.get_next_available_stream_id()
        pseudo = [(":method", "POST"), (":scheme", self._scheme), (":path", path), (":authority", authority)]
        self.connection.send_headers(stream, [*pseudo, ("content-type", kind), ("te", "trailers"), *headers])
        if end:
            trailers = list(trailers)
            self.connection.send_data(stream, struct.pack(">BI", 0, 0), end_stream=not trailers)
            if trailers:
                self.connection.send_headers(stream, trailers, end_stream=True)
        self.flush()
        return stream

    def wait(self, wanted: Callable[[Any], bool]) -> Any:
        """Return the first event, old or new, that is ``wanted``; None when the server closes before."""
        seen = 0
        while True:
            for event in self.events[seen:]:
                if wanted(event):
                    return event
            seen = len(self.events)
            if not self.receive():
                return None

    def receive(self) -> bool:
        """Take in what comes next; return whether the connection is still open."""
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.closed = True
            return False
        for event in self.connection.receive_data(data):
            self.events.append(event)
            if isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.flush()
        return True

    def response(self, stream: int) -> dict[str, str] | None:
        """Return the headers and trailers of an answer; None when the stream was reset or the connection closed."""
        end = self.wait(
            lambda e: isinstance(e, h2.events.StreamEnded | h2.events.StreamReset) and e.stream_id == stream
        )
        if not isinstance(end, h2.events.StreamEnded):
            return None
        kinds = h2.events.ResponseReceived | h2.events.TrailersReceived
        found = [e for e in self.events if isinstance(e, kinds) and e.stream_id == stream]
        return {str(name): str(value) for event in found for name, value in event.headers}


class Breaker(Accepting):
    """A server that reads whole requests, HTTP/2 or 1.1, and then closes the connection without an answer."""

    def __init__(self) -> None:
        super().__init__(self._break)
        self.calls = 0
        self._lock = threading.Lock()

    def _count(self) -> None:
        with self._lock:
            self.calls += 1

    def _break(self, client: socket.socket) -> None:
        if client.recv(3, socket.MSG_PEEK) != b"PRI":
            if client.recv(65536):
                self._count()
            return
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        client.sendall(connection.data_to_send())
        while data := client.recv(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                if isinstance(event, h2.events.StreamEnded):
                    self._count()
                    return
            client.sendall(connection.data_to_send())


class Refuser(Accepting):
    """An HTTP/2 server that resets each request, as Milvus does with a method that it does not know."""

    def __init__(self) -> None:
        super().__init__(self._refuse)
        self.calls = 0
        self._lock = threading.Lock()

    def _refuse(self, client: socket.socket) -> None:
        configuration = h2.config.H2Configuration(client_side=False, validate_inbound_headers=False)
        connection = h2.connection.H2Connection(configuration)
        connection.initiate_connection()
        client.sendall(connection.data_to_send())
        while data := client.recv(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    with self._lock:
                        self.calls += 1
                    connection.reset_stream(event.stream_id, h2.errors.ErrorCodes.PROTOCOL_ERROR)
            client.sendall(connection.data_to_send())


class Holder(Accepting):
    """
    An HTTP/2 server in plaintext that takes every request and answers none, until its block ends.

    It looks at no more than the heads of frames: what holds ten thousand calls must not be what is slow.
    """

    def __init__(self) -> None:
        super().__init__(self._hold)

    def _hold(self, client: socket.socket) -> None:
        with client.makefile("rb") as stream:
            stream.read(len(_PREFACE))
            # No setting is special; the connection's window is as large as it can be (RFC 9113, 6.9.1).
            client.sendall(frame(SETTINGS, 0) + frame(WINDOW_UPDATE, 0, struct.pack(">I", 2**31 - 1 - 65535)))
            while head := stream.read(9):
                length, kind, flags = int.from_bytes(head[:3]), head[3], head[4]
                payload = stream.read(length)
                if kind in {SETTINGS, PING} and not flags & ACK:
                    client.sendall(frame(kind, ACK, payload if kind == PING else b""))

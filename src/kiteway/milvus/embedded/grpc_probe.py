"""One unary gRPC call and one HTTP GET over a socket that is already connected.

A gRPC library opens its own sockets, on its own threads; these calls go over a socket made
inside a network namespace.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import struct
from pathlib import Path

import h2.config
import h2.connection
import h2.events

_GRPC_FRAME = struct.Struct(">BI")
_READ_BYTES = 65536
_UNAUTHENTICATED = "16"


class ProbeError(Exception):
    """The server answered with an error, which the message quotes."""


class UnauthenticatedError(ProbeError):
    """The server serves, and wants credentials."""


def pinned_tls(sock: socket.socket, certificate: Path, client: tuple[Path, Path] | None = None) -> ssl.SSLSocket:
    """Make a TLS connection (ALPN h2) to a server with exactly this certificate; ``client`` is a client certificate, PEM."""
    context = ssl.create_default_context(cafile=str(certificate))
    if client is not None:
        context.load_cert_chain(*client)
    # The certificate itself is the trust anchor, so its names do not matter.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    return context.wrap_socket(sock)


def http_status(sock: socket.socket, path: str) -> int:
    """Return the status code of `GET path` over HTTP/1.1; closes the socket."""
    connection = http.client.HTTPConnection("127.0.0.1")
    connection.sock = sock
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except http.client.HTTPException as error:
        raise ProbeError(f"GET {path}: {error!r}") from error
    finally:
        connection.close()


def unary_call(sock: socket.socket, method: str, request: bytes, *, scheme: str) -> bytes:
    """Call `/package.Service/Method` with serialized `request`; return the answer's bytes.

    Raises:
        UnauthenticatedError: the server wants credentials.
        ProbeError: the call did not end with grpc-status 0, or not with one message.
        OSError: the connection broke or the socket's timeout passed.
    """
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    headers = [
        (":method", "POST"),
        (":scheme", scheme),
        (":path", method),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]
    connection.send_headers(1, headers)
    connection.send_data(1, _GRPC_FRAME.pack(0, len(request)) + request, end_stream=True)
    sock.sendall(connection.data_to_send())

    body = b""
    status: str | None = None
    message = ""
    ended = False
    while not ended:
        received = sock.recv(_READ_BYTES)
        if not received:
            raise ProbeError(f"{method}: the server closed the connection")
        for event in connection.receive_data(received):
            if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                fields = {str(name): str(value) for name, value in event.headers or ()}
                status = fields.get("grpc-status", status)
                message = fields.get("grpc-message", message)
            elif isinstance(event, h2.events.DataReceived):
                body += event.data or b""
            elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                raise ProbeError(f"{method}: the server ended the stream")
            elif isinstance(event, h2.events.StreamEnded):
                ended = True
        sock.sendall(connection.data_to_send())
    if status == _UNAUTHENTICATED:
        raise UnauthenticatedError(f"{method}: {message}")
    if status != "0":
        raise ProbeError(f"{method}: grpc-status {status} {message}".rstrip())
    if len(body) < _GRPC_FRAME.size or _GRPC_FRAME.unpack_from(body) != (0, len(body) - 5):
        raise ProbeError(f"{method}: not one uncompressed message in the answer")
    return body[_GRPC_FRAME.size :]

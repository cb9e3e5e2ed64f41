"""Small real servers on loopback, each wrong in one way."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import h2.config
import h2.connection
import h2.events
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.accepting import Accepting

HOST = "my-release.milvus.io"
GET_VERSION = "/milvus.proto.milvus.MilvusService/GetVersion"
CONNECT = "/milvus.proto.milvus.MilvusService/Connect"
HEALTH_CHECK = "/grpc.health.v1.Health/Check"
VERSION_ANSWER = b"\x0a\x00\x12\x06v2.3.5"
"""GetVersionResponse: status=1 (empty), version=2."""

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve ``handler`` on a free port of 127.0.0.1; every connection is gone at the end."""
    loop = asyncio.get_running_loop()
    closing = contextlib.ExitStack()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    tasks: set[asyncio.Task[None]] = set()

    async def handle(accepted: socket.socket) -> None:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        with contextlib.suppress(OSError, ssl.SSLError):
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, accepted, ssl=context)
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            try:
                await handler(reader, writer)
            finally:
                if not transport.is_closing():
                    transport.abort()
                await writer.wait_closed()

    async def accept() -> None:
        while True:
            accepted, _ = await loop.sock_accept(listener)
            closing.callback(accepted.close)
            tasks.add(loop.create_task(handle(accepted)))

    tasks.add(loop.create_task(accept()))
    try:
        yield listener.getsockname()[1]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        listener.close()
        # A connection accepted in the last moment has a task that never ran.
        closing.close()


@contextlib.contextmanager
def tls_server(context: ssl.SSLContext) -> Iterator[int]:
    """
    Shake hands with everyone and then listen.

    Blocking, because asyncio's own TLS server drops the connection without the alert that says why.
    """

    def shake_hands(accepted: socket.socket) -> None:
        with contextlib.suppress(ssl.SSLError), context.wrap_socket(accepted, server_side=True) as connection:
            while connection.recv(4096):
                pass

    with Accepting(shake_hands) as server:
        yield server.port


async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Take everything and say nothing."""
    while await reader.read(4096):
        pass


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close after the client's first bytes."""
    await reader.read(1)
    writer.close()


def http1(status: str, body: bytes, content_type: str = "text/html", server: str = "nginx") -> Handler:
    """Answer anything with one HTTP/1.1 response."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        head = f"HTTP/1.1 {status}\r\nserver: {server}\r\ncontent-type: {content_type}\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    return handle


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def management(status: str, body: bytes, metrics: bytes | None = None) -> Handler:
    """Answer ``/metrics`` with ``metrics``, by default this process's open files, and anything else with ``body``."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.readuntil(b"\r\n\r\n"):
            answer = body
            if request.startswith(b"GET /metrics "):
                files = _open_files()
                answer = f"# TYPE process_open_fds gauge\nprocess_open_fds {files}\n".encode()
                answer = answer if metrics is None else metrics
            writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(answer)}\r\n\r\n".encode() + answer)
            await writer.drain()

    async def until_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await handle(reader, writer)

    return until_closed


def http2(headers: list[tuple[str, str]], body: bytes = b"") -> Handler:
    """Answer every stream with these response headers and body."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.StreamEnded):
                    connection.send_headers(event.stream_id, headers)
                    connection.send_data(event.stream_id, body, end_stream=True)
            writer.write(connection.data_to_send())
            await writer.drain()

    return handle


@contextlib.contextmanager
def grpc_server(
    answers: dict[str, bytes | tuple[grpc.StatusCode, str]],
    credentials: grpc.ServerCredentials | None = None,
    host: str = "127.0.0.1",
) -> Iterator[int]:
    """A real gRPC server: path to response message, or to a status and its text; all else UNIMPLEMENTED."""

    class Router(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
            answer = answers.get(details.method)
            if answer is None:
                return None

            def call(_request: bytes, context: grpc.ServicerContext) -> bytes:
                if not isinstance(answer, bytes):
                    context.abort(*answer)
                return answer

            return grpc.unary_unary_rpc_method_handler(call)

    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers((Router(),))
        if credentials is None:
            port = server.add_insecure_port(f"{host}:0")
        else:
            port = server.add_secure_port(f"{host}:0", credentials)
        server.start()
        try:
            yield port
        finally:
            server.stop(None).wait()


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose queue is full, so that the kernel answers no more SYNs, as a dropping firewall."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


class Authority:
    """A CA for tests, with the contexts and files that its certificates go into."""

    def __init__(self, directory: Path) -> None:
        self.ca = trustme.CA()
        self.directory = directory
        self.ca_file = directory / "ca.pem"
        self.ca.cert_pem.write_to_path(str(self.ca_file))

    def context(
        self,
        *names: str,
        alpn: tuple[str, ...] = ("h2", "http/1.1"),
        not_before: dt.datetime | None = None,
        not_after: dt.datetime | None = None,
        common_name: str | None = None,
    ) -> ssl.SSLContext:
        """A server context with a fresh certificate."""
        leaf = self.ca.issue_cert(
            *(names or (() if common_name else (HOST,))),
            common_name=common_name,
            not_before=not_before,
            not_after=not_after,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf.configure_cert(context)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    def mutual(self) -> ssl.SSLContext:
        """A server context that demands a client certificate, as Milvus does with tlsMode 2."""
        context = self.context()
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        self.ca.configure_trust(context)
        return context

    def client_files(self) -> tuple[Path, Path]:
        """A client certificate and its key."""
        leaf = self.ca.issue_cert("client.example")
        certificate, key = self.directory / "client.pem", self.directory / "client.key"
        certificate.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(str(key))
        return certificate, key

    def grpc_credentials(self, *names: str) -> grpc.ServerCredentials:
        """Credentials for a gRPC server."""
        leaf = self.ca.issue_cert(*(names or (HOST,)))
        chain = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
        return grpc.ssl_server_credentials([(leaf.private_key_pem.bytes(), chain)])


def self_signed(directory: Path, *, common_name: str = HOST, names: tuple[str, ...] = (HOST,)) -> tuple[Path, Path]:
    """A certificate as ``openssl req -x509`` makes it, and its key; without ``names`` it has only the CN."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
    )
    if names:
        san = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(san, critical=False)
    certificate, key_file = directory / "self.pem", directory / "self.key"
    certificate.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, key_file

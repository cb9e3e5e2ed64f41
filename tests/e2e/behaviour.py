"""
Helpers of the behaviour tests: manifests, a real Envoy that runs them, and small backends.

All backends have the same ports and different addresses, as Pods do.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import http.client
import http.server
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import grpc

from kiteway.diagnostics import Diagnostic, Severity
from kiteway.resources import load_documents
from kiteway.translate import Endpoints, Options, translate
from tests.e2e.traffic import SEARCH, Proxy, running
from tests.support.manifests import Manifest, endpoint_slice, text


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; the backends say in JSON who they are and what they got."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def name(self) -> str:
        """The backend that answered; ``kiteway`` where none did."""
        return str(self.body.get("name", "kiteway")) if isinstance(self.body, dict) else "kiteway"

    def got(self, header: str) -> str | None:
        """Return a request header as the backend got it."""
        value: str | None = self.body["headers"].get(header)
        return value


@dataclass
class Backend:
    """A gRPC server and an HTTP server at one address; both answer with their name."""

    name: str
    address: str
    grpc_port: int
    rest_port: int
    credentials: grpc.ServerCredentials | None = None
    healthy: bool = True
    hold: threading.Event = field(default_factory=threading.Event)
    waiting: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._grpc = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=[("grpc.so_reuseport", 0)])
        self._grpc.add_generic_rpc_handlers([_Calls(self)])
        address = f"{self.address}:{self.grpc_port}"
        if self.credentials is None:
            self._grpc.add_insecure_port(address)
        else:
            self._grpc.add_secure_port(address, self.credentials)
        self._grpc.start()
        handler = type("Echo", (_Echo,), {"backend": self})
        self._http = _Server((self.address, self.rest_port), handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.hold.set()
        self._grpc.stop(grace=None).wait()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Calls(grpc.GenericRpcHandler):
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        metadata = {key: value for key, value in details.invocation_metadata if isinstance(value, str)}

        def respond(request: bytes, context: grpc.ServicerContext) -> bytes:
            context.send_initial_metadata((("x-backend", self._backend.name),))
            if request == b"wait":
                self._backend.waiting.set()
                self._backend.hold.wait(timeout=30)
            return json.dumps({"name": self._backend.name, "headers": metadata}).encode()

        return grpc.unary_unary_rpc_method_handler(respond)


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: Envoy has given up a request that was held back."""


class _Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    backend: Backend

    def do_GET(self) -> None:
        """Say who answers, and what came."""
        if self.path == "/healthz":
            self._send(200 if self.backend.healthy else 500, b"")
            return
        if self.path.startswith("/wait"):
            self.backend.hold.wait(timeout=30)
        headers = {key.lower(): value for key, value in self.headers.items()}
        body = {"name": self.backend.name, "path": self.path, "headers": headers}
        self._send(200, json.dumps(body).encode())

    do_POST = do_GET  # noqa: N815 - the name http.server looks for

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Say nothing."""


class World:
    """One Envoy, backends by name, and whatever manifests a test puts in force."""

    def __init__(self, proxy: Proxy, ports: tuple[int, int], stack: contextlib.ExitStack) -> None:
        self.proxy = proxy
        self.grpc_port, self.rest_port = ports
        self.backends: dict[str, Backend] = {}
        self._stack = stack

    def backend(self, name: str, credentials: grpc.ServerCredentials | None = None) -> Backend:
        """Return the backend of a name, started when it is first asked for."""
        if name not in self.backends:
            address = f"127.0.1.{len(self.backends) + 1}"
            backend = Backend(name, address, self.grpc_port, self.rest_port, credentials)
            self.backends[name] = self._stack.enter_context(backend)
        return self.backends[name]

    def endpoints(self, service: str, *names: str, namespace: str = "default") -> Manifest:
        """Return an EndpointSlice with the backends of ``names``, by default one named as the Service."""
        addresses = [self.backend(name).address for name in names or (service,)]
        return endpoint_slice(addresses, self.grpc_port, service, namespace)

    def apply(self, *manifests: Manifest) -> tuple[Diagnostic, ...]:
        """Put manifests in force, wait until Envoy runs them, and return what is wrong with them."""
        loaded = load_documents(text(manifests), "test.yaml")
        assert not [d for d in loaded.diagnostics if d.severity is Severity.ERROR], loaded.diagnostics
        result = translate(loaded.objects, Options(), dt.datetime.now(dt.UTC), loaded.refused)
        table = Endpoints(loaded.objects).table(result.model.pools)
        self.proxy.apply(result.model, table)
        return result.diagnostics

    def rest(
        self,
        host: str,
        path: str = "/",
        *,
        tls: bool = False,
        method: str = "GET",
        sni: str | None = None,
        source: str = "127.0.0.1",
        **headers: str,
    ) -> Answer:
        """Make an HTTP/1.1 request on its own connection; of ``headers`` the underscores are dashes."""
        connection = self._connection(tls=tls, sni=sni or host.partition(":")[0], source=source)
        with contextlib.closing(connection):
            sent = {key.replace("_", "-"): value for key, value in headers.items()}
            connection.request(method, path, headers={"Host": host, **sent})
            response = connection.getresponse()
            content = response.read()
            try:
                body = json.loads(content)
            except ValueError:
                body = content.decode()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, body)

    def _connection(self, *, tls: bool, sni: str, source: str) -> http.client.HTTPConnection:
        port = self.proxy.settings.https_port if tls else self.proxy.port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20, source_address=(source, 0))
        if tls:
            connection.sock = self.handshake(sni)
        return connection

    def handshake(
        self, sni: str | None, *, version: ssl.TLSVersion | None = None, context: ssl.SSLContext | None = None
    ) -> ssl.SSLSocket:
        """Return a TLS connection with whatever certificate is there, of one ``version`` or with a whole ``context``."""
        if context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if version is not None:
            context.maximum_version = version
        raw = socket.create_connection(("127.0.0.1", self.proxy.settings.https_port), timeout=20)
        return context.wrap_socket(raw, server_hostname=sni)

    def fingerprint(self, sni: str | None) -> str:
        """Return the SHA-256 of the certificate that answers for a name."""
        with self.handshake(sni) as connection:
            return hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()

    def call(
        self, host: str, method: str = SEARCH, *, roots: bytes | None = None, request: bytes = b"", **options: Any
    ) -> Any:
        """Make a gRPC call, in plaintext or with ``roots`` over TLS, and return what the backend said."""
        with self.channel(host, roots) as channel:
            stub: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
            return json.loads(stub(request, **({"timeout": 10.0} | options)))

    def channel(self, host: str, roots: bytes | None = None) -> grpc.Channel:
        """Return a new channel to a host, with client retries off."""
        if roots is None:
            return self.proxy.channel(host)
        options = [("grpc.ssl_target_name_override", host), ("grpc.enable_retries", 0)]
        options += [("grpc.use_local_subchannel_pool", 1)]
        credentials = grpc.ssl_channel_credentials(roots)
        return grpc.secure_channel(f"127.0.0.1:{self.proxy.settings.https_port}", credentials, options)


@contextlib.contextmanager
def world(directory: Path, free_port: Callable[[], int], **settings: Any) -> Iterator[World]:
    """Run Envoy until the block ends; ``settings`` are those of `EnvoySettings`."""
    with contextlib.ExitStack() as stack:
        proxy = stack.enter_context(running(directory, free_port, **settings))
        yield World(proxy, (free_port(), free_port()), stack)

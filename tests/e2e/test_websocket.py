"""WebSocket through Kiteway, as through GKE's load balancers: a web console such as Attu, over HTTP and HTTPS."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import http.server
import shutil
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kiteway.certificates.create import create_self_signed
from kiteway.demo.guide import secret
from kiteway.files import write_atomic
from kiteway.model import Endpoint
from tests.e2e.h2wire import Refuser
from tests.e2e.traffic import SEARCH, model, running
from tests.support.kiteway import up

pytestmark = pytest.mark.e2e

HOST = "console.milvus.io"
REDIRECTED = "redirected.milvus.io"
GREETING = b"\x81\x12hello from console"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MANIFESTS = f"""
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: console}}
spec:
  tls: [{{secretName: my-release-milvus-tls}}]
  rules:
  - host: {HOST}
    http:
      paths:
      - {{path: /console, pathType: Prefix, backend: {{service: {{name: console, port: {{number: 3000}}}}}}}}
      - {{path: /milvus, pathType: Prefix, backend: {{service: {{name: milvus, port: {{number: 19530}}}}}}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: redirected
  annotations: {{networking.gke.io/v1beta1.FrontendConfig: redirect}}
spec:
  tls: [{{secretName: my-release-milvus-tls}}]
  rules:
  - host: {REDIRECTED}
    http:
      paths:
      - {{path: /, pathType: Prefix, backend: {{service: {{name: console, port: {{number: 3000}}}}}}}}
---
apiVersion: networking.gke.io/v1beta1
kind: FrontendConfig
metadata: {{name: redirect}}
spec: {{redirectToHttps: {{enabled: true}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: console}}
spec: {{ports: [{{name: http, port: 3000}}]}}
---
apiVersion: v1
kind: Service
metadata:
  name: milvus
  annotations: {{cloud.google.com/app-protocols: '{{"milvus":"HTTP2"}}'}}
spec: {{ports: [{{name: milvus, port: 19530}}]}}
"""


class _Console(http.server.BaseHTTPRequestHandler):
    """Pages, and a WebSocket that greets and then sends back every byte."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.headers.get("upgrade", "").lower() != "websocket":
            self.send_response(200)
            self.send_header("content-length", "4")
            self.end_headers()
            self.wfile.write(b"page")
            return
        accept = hashlib.sha1(  # noqa: S324 - as RFC 6455 says
            f"{self.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()
        )
        self.send_response(101)
        self.send_header("upgrade", "websocket")
        self.send_header("connection", "upgrade")
        self.send_header("sec-websocket-accept", base64.b64encode(accept.digest()).decode())
        self.end_headers()
        self.wfile.write(GREETING)
        while data := self.connection.recv(1024):
            self.connection.sendall(data)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Stay silent."""


@dataclass(frozen=True)
class Front:
    """The ports of a running Kiteway."""

    http: int
    https: int


@pytest.fixture(scope="module")
def front(free_port: Callable[[], int]) -> Iterator[Front]:
    """Start a console and Kiteway in front of it."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Console)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        write_atomic(folder / "secret.yaml", secret(create_self_signed([HOST, REDIRECTED], [])), 0o600)
        (folder / "manifests.yaml").write_text(MANIFESTS)
        found = Front(free_port(), free_port())
        arguments = ["--http-port", found.http, "--https-port", found.https, "--drain", "1", "-f", folder]
        arguments += ["--endpoint", f"console=127.0.0.1:{server.server_port}", "--endpoint", "milvus=127.0.0.1:1"]
        with up(list(map(str, arguments)), folder.with_name(f"{folder.name}-data")) as running:
            running.wait_healthy(1)
            yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        shutil.rmtree(folder)
        shutil.rmtree(folder.with_name(f"{folder.name}-data"), ignore_errors=True)


@contextlib.contextmanager
def _connected(front: Front, host: str, *, tls: bool) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", front.https if tls else front.http), 30) as opened:
        if not tls:
            yield opened
            return
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["http/1.1"])
        with context.wrap_socket(opened, server_hostname=host) as wrapped:
            yield wrapped


def _ask(front: Front, path: str, *, tls: bool, host: str = HOST, upgrade: str = "websocket") -> str:
    """Return all that the server sends to a request for an upgrade, up to the end of the connection."""
    with _connected(front, host, tls=tls) as opened:
        opened.sendall(_request(path, host, upgrade, "Connection: Upgrade, close"))
        return b"".join(iter(lambda: opened.recv(4096), b"")).decode()


def _request(path: str, host: str, upgrade: str, connection: str = "Connection: Upgrade") -> bytes:
    lines = (f"GET {path} HTTP/1.1", f"Host: {host}", f"Upgrade: {upgrade}", connection)
    return "\r\n".join((*lines, f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13", "", "")).encode()


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_websocket_passes(front: Front, *, tls: bool) -> None:
    """The upgrade is answered with 101 by the console, and bytes go both ways."""
    with _connected(front, HOST, tls=tls) as opened:
        opened.sendall(_request("/console/socket.io/?transport=websocket", HOST, "websocket"))
        received = b""
        while not received.endswith(GREETING):
            data = opened.recv(4096)
            assert data, received
            received += data
        assert received.startswith(b"HTTP/1.1 101 ")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in received
        opened.sendall(b"\x81\x04ping")
        assert opened.recv(4096) == b"\x81\x04ping"


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize(
    ("path", "host", "status", "sentence"),
    [
        ("/other", HOST, 404, "has no route for /other"),
        ("/console", "unknown.milvus.io", 404, "no Ingress routes the host unknown.milvus.io"),
        ("/milvus", HOST, 501, "Milvus serves no REST on this port"),
    ],
)
def test_a_websocket_without_a_route_gets_the_reason(
    front: Front, path: str, host: str, status: int, sentence: str, *, tls: bool
) -> None:
    """A refusal has a body with a sentence, as that of a REST call."""
    answer = _ask(front, path, host=host, tls=tls)
    assert answer.startswith(f"HTTP/1.1 {status} ")
    assert f"kiteway: {sentence}" in answer or sentence in answer.partition("kiteway: ")[2]


def test_a_websocket_is_redirected_where_pages_are(front: Front) -> None:
    """A host that redirects to HTTPS redirects a WebSocket, too, and serves it there."""
    answer = _ask(front, "/socket", host=REDIRECTED, tls=False)
    assert answer.startswith("HTTP/1.1 301 ")
    assert f"location: https://{REDIRECTED}:{front.https}/socket" in answer
    with _connected(front, REDIRECTED, tls=True) as opened:
        opened.sendall(_request("/socket", REDIRECTED, "websocket"))
        assert opened.recv(4096).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("upgrade", ["websocket2", "TLS/1.0"])
def test_another_upgrade_is_refused_with_a_sentence(front: Front, upgrade: str) -> None:
    """Nothing but WebSocket is passed on, and the refusal has a body with a sentence."""
    answer = _ask(front, "/console", upgrade=upgrade, tls=False)
    assert answer.startswith("HTTP/1.1 403 ")
    assert "kiteway: the connection can be upgraded to WebSocket alone" in answer


def test_an_upgrade_to_plaintext_http2_is_not_passed_on(front: Front) -> None:
    """A client that could speak HTTP/2 to the console through the connection would evade the routes: it gets the page."""
    answer = _ask(front, "/console", upgrade="h2c", tls=False)
    assert answer.startswith("HTTP/1.1 200 ")
    assert answer.endswith("page")


def test_an_upgrade_of_a_grpc_call_is_refused_and_ejects_no_endpoint(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """
    The client gets a sentence, and the call reaches no endpoint.

    To Milvus it would be an extended CONNECT, which is reset; three resets in a row eject a healthy endpoint.
    """
    lines = (f"POST {SEARCH} HTTP/1.1", "Host: milvus", "Content-Type: application/grpc", "TE: trailers")
    request = "\r\n".join((*lines, "Upgrade: websocket", "Connection: Upgrade, close", "", "")).encode()
    with Refuser() as first, Refuser() as second, running(tmp_path, free_port) as proxy:
        proxy.apply(model(), [Endpoint("127.0.0.1", each.port) for each in (first, second)])
        with contextlib.ExitStack() as clients:
            opened = [clients.enter_context(socket.create_connection(("127.0.0.1", proxy.port), 30)) for _ in range(12)]
            for client in opened:
                client.sendall(request)
            answers = [b"".join(iter(functools.partial(client.recv, 4096), b"")).decode() for client in opened]
        assert not proxy.failing()
        assert first.calls + second.calls == 0
    for answer in answers:
        assert answer.startswith("HTTP/1.1 200 ")
        assert "\r\ngrpc-status: 7\r\n" in answer
        assert "\r\ngrpc-message: kiteway: a gRPC call cannot be upgraded; leave out the Upgrade header." in answer

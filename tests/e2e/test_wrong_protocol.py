"""What `kiteway status` says where every call fails although the endpoint passes its health check."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from tests.support.echo import Echo
from tests.support.kiteway import Running, tls_files, up, wait_until
from tests.support.manifests import backend_config, endpoint_slice, ingress, rule, service, text

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

HOST = "milvus.example.com"
SEARCH = "/milvus.proto.milvus.MilvusService/Search"


class _Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def health_port() -> Iterator[int]:
    """Answer health checks on a port of their own, as Milvus does on 9091."""
    with http.server.HTTPServer(("127.0.0.1", 0), _Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@contextlib.contextmanager
def balancer(
    folder: Path, ports: tuple[int, int], milvus: int, health_port: int, protocol: str | None
) -> Iterator[Running]:
    """Run Kiteway with HTTP and HTTPS on ``ports`` before the endpoint at the port ``milvus``."""
    check = {"type": "HTTP", "port": health_port, "requestPath": "/healthz", "checkIntervalSec": 1, "timeoutSec": 1}
    manifests = [
        ingress(rule(HOST)),
        service(protocol=protocol, backend_config="milvus"),
        backend_config(healthCheck=check),
        endpoint_slice(["127.0.0.1"], milvus),
    ]
    (folder / "manifests.yaml").write_bytes(text(manifests))
    options = ["--http-port", str(ports[0]), "--https-port", str(ports[1])]
    with up(["-f", folder / "manifests.yaml", *options], folder / "data") as running:
        running.wait_healthy(1)
        yield running


def search(port: int) -> grpc.StatusCode:
    """Make a call on the plaintext port of Kiteway, and return its status."""
    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.default_authority", HOST)]) as channel:
        try:
            stub: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(SEARCH)
            stub(b"", timeout=10)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize(
    ("certificate", "protocol", "why"),
    [
        (True, None, "it speaks TLS, and the Service says plaintext"),
        (False, "HTTP2", "it speaks plaintext, and the Service says TLS"),
    ],
)
def test_the_wrong_protocol_makes_it_degraded_until_it_is_mended(  # noqa: PLR0917 - pytest gives them by name
    certificate: bool,  # noqa: FBT001
    protocol: str | None,
    why: str,
    health_port: int,
    tmp_path: Path,
    free_port: Callable[[], int],
) -> None:
    """The check on another port passes; after the first failed calls the status names the cause, and the line of `up` too."""
    ports, files = (free_port(), free_port()), tls_files(tmp_path, "backend", "localhost")
    with (
        Echo((files.cert, files.key) if certificate else None) as milvus,
        balancer(tmp_path, ports, milvus.port, health_port, protocol) as running,
    ):
        assert running.report()["state"] == "ready"
        assert search(ports[0]) is search(ports[0]) is grpc.StatusCode.UNAVAILABLE
        status = running.report()
        assert status["state"] == "degraded"
        (reason,) = status["reasons"]
        assert reason.startswith("every call to default/milvus/19530 fails, since ")
        assert why in reason
        assert "app-protocols" in reason
        assert why in status["pools"][0]["endpoints"][0]["callsFail"]
        wait_until(lambda: f"every call to it fails: {why}" in running.log.read_text(), "the line of `up`")
        manifests = (tmp_path / "manifests.yaml").read_text()
        right = manifests.replace('"HTTP2"', '"HTTP"') if protocol else manifests.replace("kubernetes.io/h2c", "x")
        if protocol is None:
            right = right.replace(
                "cloud.google.com/neg:", 'cloud.google.com/app-protocols: \'{"milvus":"HTTP2"}\'\n    x:'
            )
        (tmp_path / "manifests.yaml").write_text(right)
        wait_until(lambda: running.report()["state"] == "ready", "it is ready without any other call")
        assert search(ports[0]) is grpc.StatusCode.OK


def test_calls_that_milvus_refuses_leave_it_ready(
    health_port: int, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """Errors that Milvus answers with are errors of the calls, however many there are."""
    ports = (free_port(), free_port())

    class Refuses(Echo):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:  # type: ignore[override]
            return None  # UNIMPLEMENTED

    with Refuses(None) as milvus, balancer(tmp_path, ports, milvus.port, health_port, None) as running:
        assert {search(ports[0]) for _ in range(5)} == {grpc.StatusCode.UNIMPLEMENTED}
        status = running.report()
        assert status["pools"][0]["endpoints"][0]["errors"] >= 5
        assert (status["state"], status["reasons"]) == ("ready", [])

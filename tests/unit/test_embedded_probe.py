"""The calls of the readiness probe, against a real gRPC server; and the log lines in a start error."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import grpc
import pytest
import trustme

from kiteway.milvus.embedded.config import TLSFiles
from kiteway.milvus.embedded.grpc_probe import ProbeError, pinned_tls, unary_call
from kiteway.milvus.embedded.logs import last_lines
from kiteway.milvus.embedded.ports import free_ports, is_free
from kiteway.milvus.embedded.ready import MilvusEndpoint, probe
from kiteway.milvus.embedded.server import MilvusStartError, check_key_pair


class Echo(grpc.GenericRpcHandler):
    """Answers `/test/Echo` with the request twice, and `/test/Fail` with NOT_FOUND."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        """Return the handler of a method."""

        def fail(_request: bytes, context: grpc.ServicerContext) -> bytes:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such kite")
            return b""

        methods: dict[str, Callable[[bytes, grpc.ServicerContext], bytes]] = {
            "/test/Echo": lambda request, _context: request * 2,
            "/test/Fail": fail,
        }
        handler = methods.get(str(handler_call_details.method))
        return None if handler is None else grpc.unary_unary_rpc_method_handler(handler)


@contextmanager
def serving(credentials: grpc.ServerCredentials | None = None) -> Iterator[socket.socket]:
    """Run the server; give a connection to it."""
    server = grpc.server(ThreadPoolExecutor(1), handlers=[Echo()])
    address = "127.0.0.1:0"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            yield connection
    finally:
        server.stop(None).wait()


@pytest.mark.parametrize("size", [0, 5, 10_000])
def test_an_answer_comes_back_whole(size: int) -> None:
    """The message of a successful call is returned, whatever its size."""
    with serving() as connection:
        assert unary_call(connection, "/test/Echo", b"x" * size, scheme="http") == b"x" * size * 2


def test_a_failed_call_says_its_status() -> None:
    """A call that does not end with OK raises with gRPC's status and message."""
    with serving() as connection, pytest.raises(ProbeError, match=r"/test/Fail: grpc-status 5 .*no.such"):
        unary_call(connection, "/test/Fail", b"", scheme="http")


def test_a_server_that_hangs_up_is_an_error() -> None:
    """A connection that closes before the answer is an error, without a long wait."""
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()
        with pytest.raises((ProbeError, OSError)):
            unary_call(ours, "/test/Echo", b"", scheme="http")


def test_tls_is_pinned_to_the_certificate(tmp_path: Path) -> None:
    """The probe accepts only the server with exactly the given certificate, whatever its names."""
    authority = trustme.CA()
    mine, other = authority.issue_cert("a.example"), authority.issue_cert("a.example")
    for name, issued in (("mine", mine), ("other", other)):
        issued.cert_chain_pems[0].write_to_path(tmp_path / name)
    credentials = grpc.ssl_server_credentials([(mine.private_key_pem.bytes(), mine.cert_chain_pems[0].bytes())])
    with serving(credentials) as connection, pinned_tls(connection, tmp_path / "mine") as secured:
        assert unary_call(secured, "/test/Echo", b"ab", scheme="https") == b"abab"
    with serving(credentials) as connection, pytest.raises(ssl.SSLCertVerificationError):
        pinned_tls(connection, tmp_path / "other")


class Health(grpc.GenericRpcHandler):
    """Answers gRPC's health check with what `answer` is."""

    answer = b"\x08\x02"  # NOT_SERVING

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Return the one handler."""
        return grpc.unary_unary_rpc_method_handler(lambda _request, _context: self.answer)


class Healthz(BaseHTTPRequestHandler):
    """Answers /healthz with what `status` is."""

    status = 500

    def do_GET(self) -> None:
        """Answer with the status alone."""
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Keep quiet."""


def test_ready_is_healthz_and_the_serving_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Milvus is ready only if /healthz answers 200 and the serving port answers SERVING."""
    health = Health()
    server = grpc.server(ThreadPoolExecutor(1), handlers=[health])
    port = server.add_insecure_port("127.0.0.1:0")
    with HTTPServer(("127.0.0.1", 0), Healthz) as healthz:
        Thread(target=healthz.serve_forever, daemon=True).start()
        endpoint = MilvusEndpoint("127.0.0.1", port, healthz.server_port, "m")

        def ask() -> None:
            probe(endpoint, tls=None, netns=None)

        with pytest.raises(ProbeError, match="/healthz answers 500"):
            ask()
        monkeypatch.setattr(Healthz, "status", 200)
        server.start()
        with pytest.raises(ProbeError, match="does not answer SERVING"):
            ask()
        monkeypatch.setattr(health, "answer", b"\x08\x01")
        ask()
        server.stop(None).wait()
        with pytest.raises(OSError, match="refused"):
            ask()
        healthz.shutdown()


def test_a_key_that_does_not_belong_is_named(tmp_path: Path) -> None:
    """A certificate with another key, or a missing file, is an error with its name before Milvus starts."""
    authority = trustme.CA()
    mine, other = authority.issue_cert("a.example"), authority.issue_cert("a.example")
    cert, key, wrong = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "wrong.pem"
    mine.cert_chain_pems[0].write_to_path(cert)
    mine.private_key_pem.write_to_path(key)
    other.private_key_pem.write_to_path(wrong)
    check_key_pair(TLSFiles(cert, key))
    with pytest.raises(MilvusStartError, match=r"cert\.pem.*wrong\.pem.*mismatch"):
        check_key_pair(TLSFiles(cert, wrong))
    with pytest.raises(MilvusStartError, match="No such file"):
        check_key_pair(TLSFiles(cert, tmp_path / "missing.pem"))


def test_free_ports_avoid_listeners_and_what_is_taken() -> None:
    """The ports differ from each other and from those taken, and no process listens on them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert not is_free(listener.getsockname()[1])
    first = free_ports(5)
    assert len(set(first)) == 5
    assert not set(first) & set(free_ports(5, taken=first))


def test_a_panic_is_quoted_without_its_stacks(tmp_path: Path) -> None:
    """Of a log that ends in a Go panic, the error quotes the lines with the reason, not the goroutines after them."""
    log = tmp_path / "log"
    lines = [f"line {number}" for number in range(100)]
    stacks = ["", "goroutine 322 [running]:", *["\truntime.gopark()"] * 500, "goroutine 1 [semacquire]:", "end"]
    log.write_text("\n".join([*lines, "panic: no key", *stacks]))
    assert last_lines(log)[-2:] == ["line 99", "panic: no key"]
    assert last_lines(tmp_path / "missing") == []

"""Retries and time limits of calls, on a real Envoy."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import grpc
import pytest

from kiteway.model import Endpoint
from tests.e2e.h2wire import Breaker, Client
from tests.e2e.traffic import INSERT, OK_RESULT, SEARCH, SERVICE, Backend, call, failure, model, pool, running

pytestmark = pytest.mark.e2e

CALLS = 30


def test_a_refused_connection_fails_no_call(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """If one endpoint refuses connections, no read and no write fails, and every call arrives once."""
    with Backend() as good, running(tmp_path, free_port) as proxy:
        proxy.apply(model(), [Endpoint("127.0.0.1", free_port()), good.endpoint()])
        with proxy.channel() as channel:
            for _ in range(CALLS):
                assert call(channel, SEARCH) == OK_RESULT
                assert call(channel, INSERT) == OK_RESULT

    assert (good.count("Search"), good.count("Insert")) == (CALLS, CALLS)


def test_reads_outlive_a_broken_connection_and_writes_are_sent_once(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """When an endpoint dies during a call, a read is sent to another one and a write is not."""
    with Breaker() as broken, Backend() as good, running(tmp_path, free_port) as proxy:
        proxy.apply(model(), [Endpoint("127.0.0.1", broken.port), good.endpoint()])
        with proxy.channel() as channel:
            failed = 0
            for _ in range(CALLS):
                try:
                    call(channel, INSERT)
                except grpc.RpcError:
                    failed += 1

            assert good.count("Insert") + broken.calls == CALLS
            assert failed == broken.calls > 0

            proxy.apply(model(), [Endpoint("127.0.0.1", broken.port)])
            proxy.apply(model(), [Endpoint("127.0.0.1", broken.port), good.endpoint()])
            before = broken.calls
            assert {call(channel, SEARCH) for _ in range(CALLS)} == {OK_RESULT}
            assert broken.calls > before


@pytest.mark.parametrize("size", [8 << 20, 15 << 20])
def test_a_long_search_is_sent_again(tmp_path: Path, free_port: Callable[[], int], size: int) -> None:
    """A search of several MiB is buffered until it is answered, and is sent whole to another endpoint."""
    with Breaker() as broken, Backend() as good, running(tmp_path, free_port) as proxy:
        proxy.apply(model(), [Endpoint("127.0.0.1", broken.port), good.endpoint()])
        with proxy.channel() as channel:
            searches = 0
            # Envoy chooses one of the two at random.
            while not broken.calls and searches < CALLS:
                assert call(channel, SEARCH, bytes(size)) == OK_RESULT
                searches += 1

    assert broken.calls > 0
    assert [seen.size for seen in good.calls] == [size] * searches


def test_a_long_write_survives_a_refused_connection(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """An insert larger than the buffer goes to another endpoint if the first one refuses the connection."""
    size = 32 << 20
    with Backend() as good, running(tmp_path, free_port) as proxy:
        proxy.apply(model(), [Endpoint("127.0.0.1", free_port()), good.endpoint()])
        with proxy.channel() as channel:
            assert {call(channel, INSERT, bytes(size)) for _ in range(6)} == {OK_RESULT}

    assert [seen.size for seen in good.calls] == [size] * 6


def test_a_write_survives_a_blackhole(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """
    An endpoint that does not answer at all delays a write of several MiB by the connect timeout; the write
    does not fail.
    """
    size = 12 << 20
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as hole,
        Backend() as good,
        running(tmp_path, free_port) as proxy,
    ):
        port = hole.getsockname()[1]
        with _full(hole):
            proxy.apply(model(), [Endpoint("127.0.0.1", port), good.endpoint()])
            with proxy.channel() as channel:
                assert {call(channel, INSERT, bytes(size), timeout=30) for _ in range(6)} == {OK_RESULT}
            assert proxy.stat("upstream_cx_connect_timeout") > 0

    assert [seen.size for seen in good.calls] == [size] * 6


@contextlib.contextmanager
def _full(listener: socket.socket) -> Iterator[None]:
    """Fill the queue of a listener that accepts nobody: the kernel drops whoever comes after."""
    with contextlib.ExitStack() as stack:
        while True:
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.2)
            try:
                waiting.connect(listener.getsockname())
            except TimeoutError:
                break
        yield


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
def test_reads_are_retried_when_an_endpoint_gives_up_and_writes_not(
    tmp_path: Path, free_port: Callable[[], int], code: grpc.StatusCode
) -> None:
    """After UNAVAILABLE, or CANCELLED, from an endpoint a read goes to another one; a write's client gets that answer."""
    with Backend(code) as bad, running(tmp_path, free_port) as proxy, Backend() as good:
        proxy.apply(model(), [bad.endpoint()])
        with proxy.channel() as channel:
            error = failure(channel, INSERT)
            assert (error.code(), error.details()) == (code, "refused")
            assert bad.count("Insert") == 1
            proxy.apply(model(), [bad.endpoint(), good.endpoint()])
            assert {call(channel, SEARCH) for _ in range(CALLS)} == {OK_RESULT}


def test_a_proxy_that_is_starting_costs_no_call(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """
    Milvus answers UNKNOWN while a proxy starts, before it looks at a call: reads, writes and calls that Kiteway does not
    know go to another one.
    """

    def start(_request: bytes, context: grpc.ServicerContext) -> bytes:
        text = "service unavailable: internal: Milvus Proxy is not ready yet. please wait"
        context.abort(grpc.StatusCode.UNKNOWN, text)

    with Backend(start) as starting, running(tmp_path, free_port) as proxy, Backend() as good:
        proxy.apply(model(), [starting.endpoint(), good.endpoint()])
        with proxy.channel() as channel:
            for name in ("Search", "Insert", "CreateCollection", "NewInMilvus4"):
                while not starting.count(name):
                    assert call(channel, f"{SERVICE}/{name}") == OK_RESULT


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL])
def test_an_error_of_milvus_is_no_reason_to_send_again(
    tmp_path: Path, free_port: Callable[[], int], code: grpc.StatusCode
) -> None:
    """An error of the caller or the cluster is answered once and causes no ejection."""
    with Backend(code) as first, Backend(code) as second, running(tmp_path, free_port) as proxy:
        proxy.apply(model(), [first.endpoint(), second.endpoint()])
        with proxy.channel() as channel:
            assert {failure(channel, SEARCH).code() for _ in range(10)} == {code}

        assert len(first.calls) + len(second.calls) == 10
        assert proxy.failing() == {}


def _hang(request: bytes, context: grpc.ServicerContext) -> bytes:
    """Answer when the caller has gone."""
    gone = threading.Event()
    if context.add_callback(gone.set):
        gone.wait(60)
    return OK_RESULT


def test_the_deadline_of_the_client_is_kept(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """``grpc-timeout`` ends the call at the balancer and at the endpoint, as DEADLINE_EXCEEDED."""
    with Backend(_hang) as slow, running(tmp_path, free_port) as proxy:
        proxy.apply(model(), [slow.endpoint()])
        with Client(proxy.port) as client:
            answer = client.response(client.request(SEARCH, [("grpc-timeout", "300m")]))

    assert answer is not None
    assert answer["grpc-status"] == "4"


@pytest.mark.parametrize("headers", [[], [("grpc-timeout", "100S")]], ids=["no deadline", "a longer deadline"])
@pytest.mark.parametrize("method", ["Search", "Insert", "CreateCollection", "ShowCollections"])
def test_the_timeout_of_the_backend_config_caps_every_call(
    tmp_path: Path, free_port: Callable[[], int], method: str, headers: list[tuple[str, str]]
) -> None:
    """``timeoutSec`` ends a call whose own deadline, or whose class, would allow more; it is not sent again."""
    with Backend(_hang) as slow, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool(timeout=1)), [slow.endpoint()])
        with Client(proxy.port) as client:
            answer = client.response(client.request(f"{SERVICE}/{method}", headers))

    assert answer is not None
    assert answer["grpc-status"] == "4"
    assert slow.count(method) == 1


class RestServer(http.server.ThreadingHTTPServer):
    """An HTTP/1.1 server that gives every request the same status, and counts them by path."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.seen: Counter[str] = Counter()
        super().__init__(("127.0.0.1", 0), _RestHandler)
        self.port: int = self.server_address[1]
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


class _RestHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RestServer

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen[self.path] += 1
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET  # noqa: N815 - the name that the base class looks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Say nothing."""


@pytest.fixture
def rest_servers() -> Iterator[tuple[RestServer, RestServer]]:
    """One that answers 503 and one that answers 200."""
    with RestServer(503) as bad, RestServer(200) as good:
        yield bad, good


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/vector/search"),
        ("GET", "/v1/vector/collections"),
        ("GET", "/v1/vector/collections/describe?collectionName=kites"),
        ("POST", "/v2/vectordb/entities/query"),
        ("POST", "/v2/vectordb/collections/get_load_state"),
    ],
)
def test_rest_reads_are_sent_again(
    tmp_path: Path, free_port: Callable[[], int], rest_servers: tuple[RestServer, RestServer], method: str, path: str
) -> None:
    """A REST call that only reads is sent to another endpoint after a 503."""
    bad, good = rest_servers
    with running(tmp_path, free_port) as proxy:
        proxy.apply(model(), [Endpoint("127.0.0.1", bad.port), Endpoint("127.0.0.1", good.port)])
        assert [_status(proxy.port, method, path) for _ in range(10)] == [200] * 10

    assert bad.seen[path] > 0


@pytest.mark.parametrize("path", ["/v1/vector/insert", "/v2/vectordb/entities/upsert", "/v2/vectordb/collections/drop"])
def test_rest_writes_are_sent_once(
    tmp_path: Path, free_port: Callable[[], int], rest_servers: tuple[RestServer, RestServer], path: str
) -> None:
    """A REST call that changes something is sent once, whatever the answer."""
    bad, good = rest_servers
    with running(tmp_path, free_port) as proxy:
        proxy.apply(model(), [Endpoint("127.0.0.1", bad.port), Endpoint("127.0.0.1", good.port)])
        for _ in range(10):
            _status(proxy.port, "POST", path)

    assert bad.seen[path] + good.seen[path] == 10
    assert bad.seen[path] > 0


def _status(port: int, method: str, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body=b"{}", headers={"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()

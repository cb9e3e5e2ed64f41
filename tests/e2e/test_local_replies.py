"""Requests that Envoy itself refuses: each answer has a sentence, and a gRPC client gets a status that it does not repeat."""

from __future__ import annotations

import http.client
import json
import socket
import struct
from collections.abc import Callable, Iterator

import h2.errors
import h2.events
import pytest

from kiteway.envoy.xds.local_replies import HEADERS_KIB, MAX_HEADERS, REFUSALS
from tests.e2e.h2wire import Client
from tests.e2e.traffic import SEARCH, Backend, Proxy, host, model, route, running

pytestmark = pytest.mark.e2e

TEXTS = {refusal.http: refusal.text for refusal in REFUSALS}
STATUSES = {refusal.http: str(refusal.grpc) for refusal in REFUSALS}
LONG = b"x: " + b"a" * (HEADERS_KIB + 1) * 1024 + b"\r\n"
MANY = b"".join(b"x%d: a\r\n" % number for number in range(MAX_HEADERS + 1))


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Proxy]:
    """An Envoy with rules that differ by path, so that paths are made canonical."""
    with Backend() as backend, running(tmp_path_factory.mktemp("envoy"), free_port) as started:
        started.apply(model(None, host("*", route("/public"))), [backend.endpoint()])
        yield started


def exchange(proxy: Proxy, request: bytes) -> tuple[int, str, bytes]:
    """Send a request over HTTP/1; return status, content type and body of the answer."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=30) as connection:
        connection.sendall(request)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.getheader("content-type", ""), answer.read()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx y: 1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n", 400),
        (b"CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n", 404),
        (b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", 404),
        (b"GET / HTTP/1.1\r\nhost: a\r\n", 408),
        (b"GET / HTTP/1.0\r\n\r\n", 426),
        (b"GET / HTTP/1.1\r\nhost: a\r\n" + LONG + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nhost: a\r\n" + MANY + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n", 501),
    ],
    ids=[
        "garbage",
        "no-host",
        "bad-host",
        "bad-header",
        "two-lengths",
        "connect",
        "options",
        "slow",
        "http-1.0",
        "long",
        "many",
        "gzip",
    ],
)
def test_a_refused_request_is_told_why(proxy: Proxy, request_: bytes, status: int) -> None:
    """Over HTTP/1 the body is JSON with the status and the sentence."""
    got, kind, body = exchange(proxy, request_)

    assert (got, json.loads(body)) == (status, {"code": status, "message": f"kiteway: {TEXTS[status]}"})
    assert kind == "application/json"


@pytest.mark.parametrize("path", ["/public/..%2Fadmin", "/public/..%5cadmin"])
def test_a_grpc_call_with_an_escaped_slash_is_told_why(proxy: Proxy, path: str) -> None:
    """A gRPC call whose path cannot be made canonical gets INVALID_ARGUMENT and the sentence."""
    with Client(proxy.port) as client:
        got = client.response(client.request(path))

    assert got is not None
    assert got["grpc-status"] == STATUSES[400]
    assert got["grpc-message"].startswith("kiteway: the request is not valid HTTP")


def test_a_route_keeps_its_own_answer(proxy: Proxy) -> None:
    """The 404 of a path that no rule has is not replaced."""
    status, _, body = exchange(proxy, b"GET /other HTTP/1.1\r\nhost: a\r\n\r\n")

    assert status == 404
    assert "has no route for /other" in json.loads(body)["message"]
    with Client(proxy.port) as client:
        got = client.response(client.request(SEARCH))
    assert got is not None
    assert "has no route for" in got["grpc-message"]


@pytest.mark.parametrize("kind", ["application/grpc", "application/json"])
def test_connect_over_http2_is_told_why(proxy: Proxy, kind: str) -> None:
    """HTTP/2 answers a request without a path as HTTP/1 does; a gRPC client gets UNIMPLEMENTED."""
    with Client(proxy.port) as client:
        headers = [(":method", "CONNECT"), (":authority", "a:443"), ("content-type", kind)]
        client.connection.send_headers(1, headers, end_stream=True)
        client.flush()
        got = client.response(1)
        text = b"".join(e.data for e in client.events if isinstance(e, h2.events.DataReceived)).decode()

    assert got is not None
    assert TEXTS[404] in text
    assert got.get("grpc-status") == (STATUSES[404] if kind == "application/grpc" else None)


@pytest.mark.parametrize(
    "headers", [[("x", "a" * (HEADERS_KIB + 1) * 1024)], [(f"x{n}", "a") for n in range(MAX_HEADERS)]]
)
def test_too_many_headers_over_http2_end_that_stream_alone(proxy: Proxy, headers: list[tuple[str, str]]) -> None:
    """HTTP/2 has no text for such a request; other calls on the connection go on."""
    with Client(proxy.port) as client:
        assert client.response(client.request("/public/search", headers)) is None
        assert not client.closed
        got = client.response(client.request("/public/search"))

    assert got is not None
    assert got["grpc-status"] == "0"


@pytest.mark.parametrize(
    "wrong",
    [
        {"te": "gzip"},
        {":path": "milvus.proto.milvus.MilvusService/Search"},
        {":authority": None},
        {"content-length": "4"},
        {"x": "a\nb"},
    ],
    ids=["te", "path", "host", "length", "line-feed"],
)
def test_a_malformed_request_over_http2_ends_that_stream_alone(proxy: Proxy, wrong: dict[str, str | None]) -> None:
    """RFC 9113, 8.1.1: its stream is reset with PROTOCOL_ERROR; a call that is under way on the connection goes on."""
    right = {
        ":method": "POST",
        ":scheme": "http",
        ":path": SEARCH,
        ":authority": "a",
        "content-type": "application/grpc",
    }
    headers = [(name, value) for name, value in {**right, **wrong}.items() if value is not None]
    with Client(proxy.port) as client:
        other = client.request("/public/search", end=False)
        stream = client.connection.get_next_available_stream_id()
        client.connection.send_headers(stream, headers)
        client.connection.send_data(stream, bytes(5), end_stream=True)
        client.flush()
        reset = client.wait(lambda event: isinstance(event, h2.events.StreamReset))
        client.connection.send_data(other, bytes(5), end_stream=True)
        client.flush()
        got = client.response(other)

    assert (reset.stream_id, reset.error_code) == (stream, h2.errors.ErrorCodes.PROTOCOL_ERROR)
    assert got is not None
    assert got["grpc-status"] == "0"


def test_a_message_that_is_cut_short_gets_a_status(proxy: Proxy) -> None:
    """A gRPC message that ends before its announced length, or says that it is compressed by nothing, is answered by Milvus."""
    for message in (struct.pack(">BI", 0, 100) + b"\n\0", struct.pack(">BI", 1, 2) + b"\n\0", b"\0\0\0"):
        with Client(proxy.port) as client:
            stream = client.request("/public/search", end=False)
            client.connection.send_data(stream, message, end_stream=True)
            client.flush()
            got = client.response(stream)

        assert got is not None
        assert got["grpc-status"] != "0", message

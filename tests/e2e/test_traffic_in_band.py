"""In-band "not ready" of Milvus, with the configuration that Kiteway gives to Envoy."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from kiteway import filter as kiteway_filter
from kiteway.model import Endpoint
from tests.e2e.traffic import (
    INSERT,
    NOT_READY_RESULT,
    OK_RESULT,
    SEARCH,
    STARTING_RESULT,
    Backend,
    call,
    eventually,
    failure,
    health_check,
    model,
    pool,
    running,
)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(kiteway_filter.filter_path() is None, reason=kiteway_filter.missing_reason()),
]

REFUSAL = "kiteway: no endpoint that was asked is ready; nothing was done. Try again."


def test_reads_go_elsewhere_and_the_endpoint_is_ejected(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """No read gets "not ready" while another endpoint serves; after three in a row the endpoint gets no calls."""
    with Backend(NOT_READY_RESULT) as bad, Backend() as good, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool()), [bad.endpoint(), good.endpoint()])
        with proxy.channel() as channel:

            def ejected() -> bool:
                assert call(channel, SEARCH) == OK_RESULT
                return proxy.failing() == {bad.port: frozenset({"failed_outlier_check"})}

            eventually(ejected, "the endpoint is ejected")

        assert len(bad.calls) == 3


def test_a_write_gets_the_exact_answer_of_milvus_once(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A write that gets "not ready" is not sent again: the client gets Milvus's bytes, with status OK."""
    with Backend(NOT_READY_RESULT) as first, Backend(NOT_READY_RESULT) as second, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool()), [first.endpoint(), second.endpoint()])
        with proxy.channel() as channel:
            for sent in range(1, 11):
                assert call(channel, INSERT) == NOT_READY_RESULT
                assert len(first.calls) + len(second.calls) == sent


def test_a_proxy_that_is_starting_costs_no_write(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A write that a proxy refuses because it still starts was not begun: it goes to another endpoint."""
    with Backend(STARTING_RESULT) as starting, Backend() as good, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool()), [starting.endpoint(), good.endpoint()])
        with proxy.channel() as channel:
            while not starting.count("Insert"):
                assert call(channel, INSERT) == OK_RESULT


def test_a_write_gets_the_exact_answer_of_milvus_when_all_are_starting(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """If every endpoint still starts, a write gets Milvus's bytes, with status OK, after at most three attempts."""
    with Backend(STARTING_RESULT) as first, Backend(STARTING_RESULT) as second, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool()), [first.endpoint(), second.endpoint()])
        with proxy.channel() as channel:
            assert call(channel, INSERT) == STARTING_RESULT
            assert first.count("Insert") >= 1
            assert second.count("Insert") >= 1
            assert len(first.calls) + len(second.calls) <= 3


def test_one_is_left_when_all_are_not_ready(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """If every endpoint says "not ready", reads get UNAVAILABLE, which clients repeat by themselves."""
    with (
        Backend(NOT_READY_RESULT) as first,
        Backend(NOT_READY_RESULT) as second,
        Backend(NOT_READY_RESULT) as third,
        running(tmp_path, free_port) as proxy,
    ):
        proxy.apply(model(pool()), [first.endpoint(), second.endpoint(), third.endpoint()])
        with proxy.channel() as channel:

            def one_ejected() -> bool:
                assert failure(channel, SEARCH).details() == REFUSAL
                return len(proxy.failing()) == 1

            eventually(one_ejected, "one of three is ejected")
            # Half at the most: two of three would be more. For moments it is none: an ejection ends, and the next call
            # begins another one.
            seen = [(failure(channel, SEARCH).code(), len(proxy.failing()) <= 1) for _ in range(30)]
            assert set(seen) == {(grpc.StatusCode.UNAVAILABLE, True)}


def test_a_single_endpoint_is_never_ejected(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A single Milvus that is not ready is never ejected, and serves as soon as it is ready."""
    with Backend(NOT_READY_RESULT) as only, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool()), [only.endpoint()])
        with proxy.channel() as channel:
            assert {failure(channel, SEARCH).details() for _ in range(10)} == {REFUSAL}
            only.answer = OK_RESULT
            assert call(channel, SEARCH) == OK_RESULT


def test_the_last_one_that_passes_its_check_comes_back_soon(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """
    If one endpoint fails its check and the only other is ejected for "not ready", no endpoint is left. The
    ejection is short, so calls are served again without help.
    """
    with Backend(healthy=False) as sick, Backend(NOT_READY_RESULT) as starting, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool(health_check=health_check())), [sick.endpoint(), starting.endpoint()])
        eventually(lambda: set(proxy.failing()) == {sick.port}, "the check of one fails")
        with proxy.channel() as channel:
            for _ in range(3):
                call(channel, INSERT)
            eventually(lambda: set(proxy.failing()) == {sick.port, starting.port}, "the other is ejected")
            assert failure(channel, SEARCH).code() is grpc.StatusCode.UNAVAILABLE

            starting.answer = OK_RESULT
            eventually(lambda: starting.port not in proxy.failing(), "the ejection ends")
            assert call(channel, SEARCH) == OK_RESULT
        assert sick.calls == []


REST_STARTING = b'{"code":1,"message":"service not ready[proxy=7]: Initializing"}'
REST_NOT_READY = b'{"code":1,"message":"service not ready[proxy=7]: Abnormal"}'
REST_OK = b'{"code":0,"data":{"insertCount":1}}'


def test_a_proxy_that_is_starting_costs_no_rest_write(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A REST write that a starting proxy refuses goes to another endpoint, whole; the mark reaches no client."""
    with rest(REST_STARTING) as starting, rest(REST_OK) as good, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool(rest=True)), [starting.endpoint, good.endpoint])
        for path in ("/v2/vectordb/entities/insert", "/v1/vector/insert"):
            before = len(starting.bodies)
            while len(starting.bodies) == before:
                assert _post(proxy.port, path) == (200, None, REST_OK)
        assert set(starting.bodies) == set(good.bodies) == {BODY}


@pytest.mark.parametrize("answer", [REST_STARTING, REST_NOT_READY])
def test_a_rest_write_gets_the_exact_answer_of_milvus(
    tmp_path: Path, free_port: Callable[[], int], answer: bytes
) -> None:
    """If no endpoint is ready, or the call may have been begun, the client gets Milvus's bytes, without the mark."""
    with rest(answer) as first, rest(answer) as second, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool(rest=True)), [first.endpoint, second.endpoint])
        for sent in range(1, 6):
            assert _post(proxy.port, "/v2/vectordb/entities/insert") == (200, None, answer)
            if answer == REST_NOT_READY:
                assert len(first.bodies) + len(second.bodies) == sent


BODY = b'{"collectionName":"kites","data":[]}'


def _post(port: int, path: str) -> tuple[int, str | None, bytes]:
    """Return the status, the mark and the body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        connection.request("POST", path, BODY, {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, response.headers["kiteway-in-band"], response.read()


@dataclass
class Rest:
    """Milvus's REST API, as far as its answer goes: the endpoint, and the bodies of the requests."""

    endpoint: Endpoint
    bodies: list[bytes]


@contextlib.contextmanager
def rest(answer: bytes) -> Iterator[Rest]:
    """Serve REST with one answer."""
    bodies: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-type", "application/json; charset=utf-8")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Rest(Endpoint("127.0.0.1", server.server_address[1]), bodies)
        finally:
            server.shutdown()
            thread.join()

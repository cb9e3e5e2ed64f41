"""The errors that a client gets when a call cannot be served, and what PyMilvus does with them."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from pymilvus import MilvusClient, MilvusException

from kiteway._proto.envoy.config.cluster.v3.cluster_pb2 import Cluster
from kiteway.model import BackendProtocol, Endpoint, LoadBalancer, PathMatch, PathMatchType, PoolKey, Route
from tests.e2e.h2wire import Breaker, Holder
from tests.e2e.traffic import (
    INGRESS,
    KEY,
    OK_RESULT,
    SEARCH,
    SERVICE,
    Backend,
    Proxy,
    call,
    eventually,
    failure,
    health_check,
    host,
    model,
    pool,
    route,
    running,
)

pytestmark = pytest.mark.e2e

BROKEN = PoolKey("default", "broken-milvus", 19530)
BACKEND_ADDRESS = re.compile(r"127\.0\.0\.1|\[::1\]|upstream|Envoy", re.IGNORECASE)


@pytest.fixture
def client(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[tuple[Proxy, Backend, MilvusClient]]:
    """A PyMilvus that is connected to a well endpoint, which the test then takes away."""
    with Backend() as backend, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool(health_check=health_check())), [backend.endpoint()])
        connected = MilvusClient(f"http://127.0.0.1:{proxy.port}")
        yield proxy, backend, connected
        connected.close()


def attempts(proxy: Proxy) -> int:
    """Return how many requests came to the balancer."""
    return proxy.stat("http.http.downstream_rq_total")


def answered(proxy: Proxy) -> bool:
    """Tell whether a call goes through; its workers hear of a change of health after Envoy's main thread."""
    with proxy.channel() as channel, contextlib.suppress(grpc.RpcError):
        return call(channel) == OK_RESULT
    return False


def said(error: BaseException) -> str:
    """Return what a user reads; it names no endpoint."""
    text = str(error)
    assert not BACKEND_ADDRESS.search(text), text
    return text


def test_all_unhealthy_ends_soon_and_heals(client: tuple[Proxy, Backend, MilvusClient]) -> None:
    """
    With all endpoints unhealthy the status is UNAVAILABLE: PyMilvus reconnects once, is told why, and raises after a few
    requests, none of which reaches the endpoint; the same client works again when the endpoint does.
    """
    proxy, backend, pymilvus = client
    backend.healthy = False
    eventually(lambda: backend.port in proxy.failing(), "the check fails")
    before, backend.calls[:] = attempts(proxy), []
    with pytest.raises(MilvusException, match="the Service has no healthy endpoint"):
        pymilvus.list_collections()
    assert 1 <= attempts(proxy) - before <= 5
    assert backend.calls == []
    with proxy.channel() as channel:
        error = failure(channel, SEARCH)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "the Service has no healthy endpoint; nothing was sent" in said(error)

    backend.healthy = True
    eventually(lambda: not proxy.failing(), "the check passes")
    eventually(lambda: answered(proxy), "the worker knows")
    assert pymilvus.list_collections() == []


def test_refused_connections_end_soon_and_heal(client: tuple[Proxy, Backend, MilvusClient]) -> None:
    """A refused connection at every endpoint is UNAVAILABLE with its own sentence."""
    proxy, backend, pymilvus = client
    proxy.apply(model(), [backend.endpoint()])
    backend.stop_serving()
    before = attempts(proxy)
    with pytest.raises(MilvusException, match="server unavailable"):
        pymilvus.list_collections()
    assert 1 <= attempts(proxy) - before <= 5
    with proxy.channel() as channel:
        error = failure(channel, SEARCH)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "no connection to an endpoint of the Service was made: none accepts one" in said(error)

    backend.serve_again()
    assert pymilvus.list_collections() == []


def test_pymilvus_does_not_repeat_a_write_that_may_be_done(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A connection that breaks during a write is DEADLINE_EXCEEDED: PyMilvus raises at once and sends nothing again."""
    drop = Route(PathMatch(PathMatchType.EXACT, f"{SERVICE}/DropCollection"), BROKEN, INGRESS, log_sample_rate=0.0)
    with Backend() as backend, Breaker() as broken, running(tmp_path, free_port) as proxy:
        both = LoadBalancer(hosts=(host("*", drop, route()),), pools=(pool(key=BROKEN), pool()))
        proxy.apply(both, {KEY: [backend.endpoint()], BROKEN: [Endpoint("127.0.0.1", broken.port)]})
        pymilvus = MilvusClient(f"http://127.0.0.1:{proxy.port}")
        try:
            with pytest.raises(grpc.RpcError) as caught:
                pymilvus.drop_collection("kites")
        finally:
            pymilvus.close()

    assert "it may have been done or not" in said(caught.value)
    assert broken.calls == 1


def _hang(request: bytes, context: grpc.ServicerContext) -> bytes:
    gone = threading.Event()
    if context.add_callback(gone.set):
        gone.wait(60)
    return OK_RESULT


def test_pymilvus_does_not_repeat_what_took_too_long(client: tuple[Proxy, Backend, MilvusClient]) -> None:
    """After ``timeoutSec`` the status is DEADLINE_EXCEEDED, raised after one attempt."""
    proxy, _, pymilvus = client
    with Holder() as holder:
        proxy.apply(model(pool(timeout=1)), [Endpoint("127.0.0.1", holder.port)])
        before, sent = attempts(proxy), proxy.stat("/grpc.upstream_rq_total")
        with pytest.raises(grpc.RpcError, match="Milvus did not answer in time") as caught:
            pymilvus.list_collections()
        assert attempts(proxy) - before == 1
        assert proxy.stat("/grpc.upstream_rq_total") - sent == 1
    said(caught.value)


def _one_call(messages: list[Message]) -> None:
    for message in messages:
        if isinstance(message, Cluster):
            assert message.circuit_breakers.thresholds[0].max_requests.value > 10_000
            message.circuit_breakers.thresholds[0].max_requests.value = 1


def test_pymilvus_does_not_repeat_what_is_over_a_limit(client: tuple[Proxy, Backend, MilvusClient]) -> None:
    """Above a limit the status is RESOURCE_EXHAUSTED, raised after one attempt: repeating would make it worse."""
    proxy, backend, pymilvus = client
    proxy.apply(model(), [backend.endpoint()], _one_call)
    backend.answer = _hang
    backend.calls.clear()
    with proxy.channel() as channel:
        stub: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(SEARCH)
        held = stub.future(b"", timeout=60)
        eventually(lambda: backend.calls, "one call is in work")
        before = attempts(proxy)
        with pytest.raises(grpc.RpcError, match="too many calls to this Service at a time") as caught:
            pymilvus.list_collections()
        assert attempts(proxy) - before == 1
        held.cancel()
    said(caught.value)


def test_an_error_of_milvus_is_left_as_it_is(client: tuple[Proxy, Backend, MilvusClient]) -> None:
    """Milvus's own errors reach the client unchanged; only Kiteway's errors have Kiteway's sentences."""
    proxy, backend, _ = client
    for code in [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.DEADLINE_EXCEEDED]:
        backend.answer = code
        with proxy.channel() as channel:
            error = failure(channel, f"{SERVICE}/Insert")
        assert (error.code(), error.details()) == (code, "refused")


def _rest(port: int, path: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", path, body=b"{}", headers={"Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.headers["content-type"] == "application/json"
        assert "grpc-status" not in response.headers
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_tls_to_a_plaintext_milvus_is_named(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Where the Service says TLS and Milvus speaks plaintext, the sentence names that, and not the health check alone."""
    with Backend() as plain, running(tmp_path, free_port) as proxy, proxy.channel() as channel:
        proxy.apply(model(pool(protocol=BackendProtocol.HTTP2)), [plain.endpoint(health=False)])
        error = failure(channel, SEARCH)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "the Service and Milvus do not agree about TLS" in said(error)


def test_rest_errors_are_json(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A REST client gets the same sentences as JSON, with a matching HTTP status."""
    with Backend(healthy=False) as sick, Breaker() as broken, running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool(health_check=health_check())), [sick.endpoint()])
        status, body = _rest(proxy.port, "/v1/vector/search")
        assert (status, body["code"]) == (503, 503)
        assert "no healthy endpoint" in body["message"]

        proxy.apply(model(), [Endpoint("127.0.0.1", free_port())])
        status, body = _rest(proxy.port, "/v1/vector/search")
        assert (status, body["code"]) == (503, 503)
        assert "no connection to an endpoint of the Service was made" in body["message"]

        proxy.apply(model(), [Endpoint("127.0.0.1", broken.port)])
        status, body = _rest(proxy.port, "/v1/vector/search")
        assert (status, body["code"]) == (502, 502)
        assert "broke on every endpoint" in body["message"]
        status, body = _rest(proxy.port, "/v1/vector/insert")
        assert (status, body["code"]) == (504, 504)
        assert "it may have been done or not" in body["message"]


def test_the_answers_name_no_endpoint(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """No text of the balancer has an address, whatever failed at the endpoint."""
    with Breaker() as broken, running(tmp_path, free_port) as proxy:
        for port in [free_port(), broken.port]:
            proxy.apply(model(), [Endpoint("127.0.0.1", port)])
            with proxy.channel() as channel:
                for method in ["Search", "Insert"]:
                    text = failure(channel, f"{SERVICE}/{method}").details() or ""
                    assert text.startswith("kiteway: ")
                    assert not BACKEND_ADDRESS.search(text)
                    assert str(port) not in text


def test_calls_are_answered_after_the_endpoint_is_known(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A Service without endpoints answers with a sentence; with the first endpoint calls are served."""
    with Backend() as backend, running(tmp_path, free_port) as proxy, proxy.channel() as channel:
        proxy.apply(model(), [])
        error = failure(channel, SEARCH)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "no healthy endpoint" in (error.details() or "")
        proxy.apply(model(), [backend.endpoint()])
        assert call(channel, SEARCH) == OK_RESULT

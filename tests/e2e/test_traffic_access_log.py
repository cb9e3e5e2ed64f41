"""The access log of a real Envoy."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from pymilvus.client.prepare import Prepare
from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2

from kiteway.filter import filter_path, missing_reason
from kiteway.model import Endpoint, LoadBalancer
from tests.e2e.h2wire import Breaker
from tests.e2e.traffic import (
    INSERT,
    KEY,
    NOT_READY_RESULT,
    OK_RESULT,
    SEARCH,
    Backend,
    Proxy,
    call,
    eventually,
    failure,
    host,
    model,
    pool,
    route,
    running,
)

pytestmark = pytest.mark.e2e
needs_filter = pytest.mark.skipif(filter_path() is None, reason=missing_reason())

# Kiteway's filter draws; a build without it leaves that to Envoy.
DRAWN: list[Path | None] = list(dict.fromkeys((filter_path(), None)))
LIST = "/milvus.proto.milvus.MilvusService/ShowCollections"


def lines(proxy: Proxy) -> list[dict[str, Any]]:
    """Return what the log holds, after Envoy wrote what it had."""
    assert proxy.settings.access_log is not None
    proxy.reopen_logs()
    return [json.loads(line) for line in proxy.settings.access_log.read_text().splitlines()]


def logged(proxy: Proxy, count: int) -> list[dict[str, Any]]:
    """Return the log once it has ``count`` lines."""
    eventually(lambda: len(lines(proxy)) >= count, f"{count} lines")
    found = lines(proxy)
    assert len(found) == count
    return found


def logging(rate: float) -> LoadBalancer:
    """Return a load balancer whose one route logs at ``rate``."""
    return model(pool(), host("*", route(log_sample_rate=rate)))


def test_a_line_says_what_happened(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A line is one JSON object with the call, its sizes, its endpoint and its result."""
    log = tmp_path / "access.log"
    with Backend(bytes(1000)) as backend, running(tmp_path, free_port, access_log=log) as proxy:
        proxy.apply(logging(1.0), [backend.endpoint()])
        with proxy.channel("milvus.example.com") as channel:
            metadata = (("dbname", "birds"), ("client-request-id", "c-1"))
            call(channel, SEARCH, b"vectors", metadata=metadata)
        [line] = logged(proxy, 1)

    assert line["path"] == SEARCH
    assert line["host"] == "milvus.example.com"
    assert line["database"] == "birds"
    assert line["client_request_id"] == "c-1"
    assert (line["status"], line["grpc_status"]) == (200, "OK")
    assert (line["request_bytes"], line["response_bytes"]) == (5 + 7, 5 + 1000)
    assert line["endpoint"] == f"127.0.0.1:{backend.port}"
    assert line["pool"] == f"pool/{KEY}/grpc"
    assert line["attempts"] == 1
    assert line["duration_ms"] >= line["endpoint_ms"] >= 0
    assert line["protocol"] == "HTTP/2"
    assert line["client"] == "127.0.0.1"
    assert line["flags"] == "-"


@needs_filter
def test_a_line_says_what_the_call_asks_for(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A line has names and sizes of PyMilvus's search and its answer, and of a write that arrives in many pieces."""
    log = tmp_path / "access.log"
    vectors = [[0.5] * 4096] * 20
    search = Prepare.search_requests_with_expr(
        "books", "vector", {"metric_type": "L2"}, 7, vectors, expr="secret > 5", partition_names=["p"]
    )
    found = schema_pb2.SearchResultData(num_queries=20, top_k=7, topks=[7] * 20)
    results = milvus_pb2.SearchResults(status=common_pb2.Status(), results=found).SerializeToString()
    values = schema_pb2.VectorField(dim=4096, float_vector=schema_pb2.FloatArray(data=[0.5] * 4096 * 200))
    column = schema_pb2.FieldData(field_name="vector", vectors=values)
    insert = milvus_pb2.InsertRequest(db_name="other", collection_name="books", fields_data=[column], num_rows=200)
    limited = milvus_pb2.MutationResult(status=common_pb2.Status(error_code=49, code=8)).SerializeToString()
    with (
        Backend(lambda request, _: limited if len(request) > 1 << 20 else results) as backend,
        running(tmp_path, free_port, access_log=log, log_calls=True) as proxy,
    ):
        proxy.apply(logging(1.0), [backend.endpoint()])
        with proxy.channel() as channel:
            call(channel, SEARCH, search.SerializeToString(), metadata=(("dbname", "birds"),))
            call(channel, INSERT, insert.SerializeToString())
        first, second = logged(proxy, 2)
        assert "secret" not in log.read_text()

    asked = {"database": "birds", "collection": "books", "partitions": 1, "nq": 20, "limit": 7, "level": "default"}
    assert first["call"] == asked | {"code": 0, "rows": 140}
    assert second["call"] == {"database": "other", "collection": "books", "rows": 200, "code": 8}


@needs_filter
def test_calls_are_read_only_where_that_is_chosen(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """By default a line has no field for the content of messages."""
    log = tmp_path / "access.log"
    with Backend(OK_RESULT) as backend, running(tmp_path, free_port, access_log=log) as proxy:
        proxy.apply(logging(1.0), [backend.endpoint()])
        with proxy.channel() as channel:
            call(channel, SEARCH, b"\x1a\x05books")
        [line] = logged(proxy, 1)
        assert "call" not in line
        assert "books" not in log.read_text()


@needs_filter
def test_a_line_of_a_call_that_was_sent_again_has_the_last_answer(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """The line has the answer of the last endpoint, not the code of the first one, which was not ready."""
    log = tmp_path / "access.log"
    with (
        Backend(NOT_READY_RESULT) as starting,
        Backend(OK_RESULT) as ready,
        running(tmp_path, free_port, access_log=log, log_calls=True) as proxy,
    ):
        proxy.apply(logging(1.0), [starting.endpoint(), ready.endpoint()])
        with proxy.channel() as channel:
            for _ in range(6):
                call(channel, SEARCH, b"\x1a\x05books")
        found = logged(proxy, 6)

    assert max(line["attempts"] for line in found) == 2
    assert [line["call"]["code"] for line in found] == [0] * 6


@needs_filter
def test_a_malformed_message_passes_and_a_hostile_name_is_text(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """The endpoint gets the bytes unchanged, and the line is one JSON object."""
    log = tmp_path / "access.log"
    name = b'a"\n\xff' + b"x" * 300
    requests = [b"\x0b", b"\x1a" + bytes([len(name) & 0x7F | 0x80, len(name) >> 7]) + name]
    got: list[bytes] = []

    def echo(request: bytes, _context: grpc.ServicerContext) -> bytes:
        got.append(request)
        return OK_RESULT

    with Backend(echo) as backend, running(tmp_path, free_port, access_log=log, log_calls=True) as proxy:
        proxy.apply(logging(1.0), [backend.endpoint()])
        with proxy.channel() as channel:
            for request in requests:
                call(channel, SEARCH, request)
        malformed, hostile = logged(proxy, 2)

    assert got == requests
    assert malformed["call"]["unread"] == "malformed"
    collection = hostile["call"]["collection"]
    assert collection.startswith('a"\n\ufffdxxx')
    assert len(collection) == 255 + 3


def test_a_line_says_what_went_wrong(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Retries and failures appear as attempts, flags and the gRPC status that the client got."""
    log = tmp_path / "access.log"
    with Breaker() as broken, running(tmp_path, free_port, access_log=log) as proxy:
        proxy.apply(logging(1.0), [Endpoint("127.0.0.1", broken.port)])
        with proxy.channel() as channel:
            failure(channel, INSERT)
            failure(channel, SEARCH)
        insert, search = logged(proxy, 2)

    assert (insert["grpc_status"], insert["flags"], insert["attempts"]) == ("DEADLINE_EXCEEDED", "UC", 1)
    assert search["grpc_status"] == "UNAVAILABLE"
    assert search["attempts"] > 1


def test_nothing_secret_is_logged(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Credentials, bodies and queries are not in the log, in whatever part of a request they came."""
    log = tmp_path / "access.log"
    with Backend(b"s3cret-answer") as backend, running(tmp_path, free_port, access_log=log) as proxy:
        proxy.apply(logging(1.0), [backend.endpoint()])
        with proxy.channel() as channel:
            headers = (("authorization", "s3cret-token"), ("cookie", "s3cret-cookie"), ("token", "s3cret-too"))
            call(channel, SEARCH, b"s3cret-request", metadata=headers)
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
        connection.request("GET", "/v1/vector/collections?token=s3cret", headers={"Authorization": "Bearer s3cret"})
        connection.getresponse().read()
        connection.close()
        logged(proxy, 2)
        text = log.read_text()

    assert "s3cret" not in text
    assert "/v1/vector/collections" in text


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("module", DRAWN, ids=["filter" if module else "request-id" for module in DRAWN])
def test_the_rate_of_the_route_decides(
    tmp_path: Path, free_port: Callable[[], int], module: Path | None, rate: float
) -> None:
    """
    All, none or a share of a route's calls are logged; the share is within five standard deviations.
    Kiteway's own answers are always logged, and a rate changes without a new listener.
    """
    log = tmp_path / "access.log"
    calls = 1000
    with Backend() as backend, running(tmp_path, free_port, access_log=log, filter_path=module) as proxy:
        listening = [host("a.example.com", route(log_sample_rate=1.0 - rate)), host("b.example.com")]
        proxy.apply(model(pool(), *listening), [backend.endpoint()])
        listening = [host("a.example.com", route(log_sample_rate=rate)), host("b.example.com")]
        proxy.apply(model(pool(), *listening), [backend.endpoint()])
        with proxy.channel("a.example.com") as channel:
            for _ in range(calls):
                call(channel, SEARCH)
        with proxy.channel("b.example.com") as channel:
            for _ in range(10):
                call(channel, LIST)
        with proxy.channel("c.example.com") as channel:
            assert failure(channel, LIST).code() is grpc.StatusCode.PERMISSION_DENIED
        eventually(lambda: lines(proxy) and lines(proxy)[-1]["host"] == "c.example.com", "the last line")
        found = lines(proxy)
        assert proxy.stat("listener_manager.listener_modified") == 0

    assert [line for line in found if line["host"] == "b.example.com"] == []
    deviation = (calls * rate * (1 - rate)) ** 0.5
    assert abs(len(found) - 1 - calls * rate) <= 5 * deviation


@pytest.mark.parametrize("module", DRAWN, ids=["filter" if module else "request-id" for module in DRAWN])
def test_a_client_cannot_choose_what_is_logged(
    tmp_path: Path, free_port: Callable[[], int], module: Path | None
) -> None:
    """A request id that would never be in the sample if it decided is logged as often as any other."""
    log = tmp_path / "access.log"
    with Backend() as backend, running(tmp_path, free_port, access_log=log, filter_path=module) as proxy:
        proxy.apply(logging(0.5), [backend.endpoint()])
        with proxy.channel() as channel:
            for _ in range(100):
                call(channel, SEARCH, metadata=(("x-request-id", "zzzzzzzz-never-logged"),))
        eventually(lambda: len(lines(proxy)) > 10, "some lines")
        if module is None:
            assert all(not line["request_id"].startswith("z") for line in lines(proxy))


def test_a_request_id_is_the_clients(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A client's request id goes to Milvus and into the log; Kiteway makes none."""
    log = tmp_path / "access.log"
    with Backend() as backend, running(tmp_path, free_port, access_log=log) as proxy:
        proxy.apply(logging(1.0), [backend.endpoint()])
        with proxy.channel() as channel:
            call(channel, SEARCH, metadata=(("x-request-id", "order-7"),))
            call(channel, SEARCH)
        with_id, without = logged(proxy, 2)

    assert (with_id["request_id"], without["request_id"]) == ("order-7", None)
    assert [each.metadata.get("x-request-id") for each in backend.calls] == ["order-7", None]


def test_without_a_file_nothing_is_logged(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Without a file in the settings there is no log, whatever the routes say."""
    with Backend() as backend, running(tmp_path, free_port) as proxy, proxy.channel() as channel:
        proxy.apply(logging(1.0), [backend.endpoint()])
        call(channel, SEARCH)
        assert not list(tmp_path.glob("*access*"))

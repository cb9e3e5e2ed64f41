"""Traces and the access log of a real Envoy at a collector."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymilvus.client.prepare import Prepare
from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2

from kiteway.certificates.create import create_self_signed
from kiteway.envoy.filter_config import UserNaming
from kiteway.envoy.otlp import OtlpSettings, parse_otlp_endpoint
from kiteway.filter import filter_path, missing_reason
from tests.e2e.collector import Collector, attributes
from tests.e2e.traffic import (
    KEY,
    NOT_READY_RESULT,
    SEARCH,
    Backend,
    Proxy,
    call,
    eventually,
    host,
    model,
    pool,
    route,
    running,
)

pytestmark = pytest.mark.e2e
needs_filter = pytest.mark.skipif(filter_path() is None, reason=missing_reason())

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
ROOT = ("authorization", "cm9vdDpNaWx2dXM=")


def at(collector: Collector, **changes: Any) -> OtlpSettings:
    """Return settings with which every call is traced, with ``changes``."""
    values: dict[str, Any] = {"host": "127.0.0.1", "port": collector.port, "sampling": 100.0, "instance": "pod-1"}
    return OtlpSettings(**(values | changes))


def question() -> bytes:
    """Return PyMilvus's search for two vectors and seven rows."""
    request = Prepare.search_requests_with_expr("books", "vector", {"metric_type": "L2"}, 7, [[0.5] * 8] * 2)
    return bytes(request.SerializeToString())


def found() -> bytes:
    """Return an answer of fourteen rows."""
    results = schema_pb2.SearchResultData(num_queries=2, top_k=7, topks=[7, 7])
    return bytes(milvus_pb2.SearchResults(status=common_pb2.Status(), results=results).SerializeToString())


def search(proxy: Proxy, *metadata: tuple[str, str]) -> None:
    """Search as root."""
    with proxy.channel("milvus.example.com") as channel:
        call(channel, SEARCH, question(), metadata=(ROOT, *metadata))


@needs_filter
def test_a_span_says_what_was_asked_and_answered(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """The span of a search continues the client's trace, and has user, collection, size, answer, endpoint and attempts."""
    with (
        Collector() as collector,
        Backend(found()) as backend,
        running(tmp_path, free_port, otlp=at(collector)) as proxy,
    ):
        proxy.apply(model(), [backend.endpoint()])
        search(proxy, ("traceparent", SAMPLED), ("dbname", "zoo"))
        eventually(lambda: len(collector.spans()) == 1, "the span arrives")
        [span] = collector.spans()
        [sent] = backend.calls

    assert (span.name, span.trace_id.hex(), span.parent_span_id.hex()) == ("Search", TRACE, PARENT)
    values = attributes(span.attributes)
    expected = {
        "db.system.name": "milvus",
        "db.operation.name": "Search",
        "db.namespace": "zoo",
        "db.collection.name": "books",
        "db.response.status_code": "0",
        "kiteway.rows": "14",
        "kiteway.user": "root",
        "kiteway.nq": "2",
        "kiteway.topk": "7",
        "kiteway.endpoint": f"127.0.0.1:{backend.port}",
        "kiteway.attempts": "1",
        "upstream_cluster": f"pool/{KEY}/grpc",
        "grpc.status_code": "0",
    }
    assert {key: values.get(key) for key in expected} == expected
    assert "kiteway.cache" not in values
    numbers = {each.key: each.value.int_value for each in span.attributes if each.value.HasField("int_value")}
    assert numbers == {"kiteway.nq": 2, "kiteway.topk": 7, "kiteway.rows": 14, "kiteway.attempts": 1}
    # Milvus continues the trace below this span.
    assert sent.metadata["traceparent"] == f"00-{TRACE}-{span.span_id.hex()}-01"
    resource = attributes(collector.traces[0].resource_spans[0].resource.attributes)
    assert (resource["service.name"], resource["service.instance.id"]) == ("kiteway", "pod-1")


@needs_filter
def test_a_span_shows_that_a_call_was_repeated(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A search that an endpoint is not ready for has two attempts, and the endpoint and the answer of the second."""
    with (
        Collector() as collector,
        Backend(NOT_READY_RESULT) as tired,
        Backend(found()) as backend,
        running(tmp_path, free_port, otlp=at(collector)) as proxy,
    ):
        proxy.apply(model(), [tired.endpoint(), backend.endpoint()])

        def repeated() -> bool:
            search(proxy)
            return tired.count("Search") > 0

        eventually(repeated, "a search reaches the endpoint that is not ready")
        total = backend.count("Search")
        eventually(lambda: len(collector.spans("Search")) == total, "every span arrives")
        spans = [attributes(span.attributes) for span in collector.spans("Search")]

    assert [values["kiteway.attempts"] for values in spans].count("2") == tired.count("Search")
    assert {values["kiteway.endpoint"] for values in spans} == {f"127.0.0.1:{backend.port}"}
    assert {values["db.response.status_code"] for values in spans} == {"0"}


@needs_filter
@pytest.mark.parametrize(("naming", "named"), [(UserNaming.HASHED, "user-"), (UserNaming.NONE, None)])
def test_spans_name_users_as_the_log_does(
    tmp_path: Path, free_port: Callable[[], int], naming: UserNaming, named: str | None
) -> None:
    """With --log-users hashed a span has a hash of the user, with none nothing."""
    with (
        Collector() as collector,
        Backend() as backend,
        running(tmp_path, free_port, otlp=at(collector), log_users=naming) as proxy,
    ):
        proxy.apply(model(), [backend.endpoint()])
        search(proxy)
        eventually(lambda: len(collector.spans()) == 1, "the span arrives")
        user = attributes(collector.spans()[0].attributes).get("kiteway.user")

    assert user is None if named is None else user is not None and user.startswith(named)


@pytest.mark.parametrize(("sampling", "parents"), [(0.0, [PARENT]), (100.0, ["", PARENT])])
def test_a_client_decides_about_its_own_trace(
    tmp_path: Path, free_port: Callable[[], int], sampling: float, parents: list[str]
) -> None:
    """With 0 % only calls whose parent is sampled are traced; with 100 % all but those whose parent is not."""
    with (
        Collector() as collector,
        Backend() as backend,
        running(tmp_path, free_port, otlp=at(collector, sampling=sampling)) as proxy,
    ):
        proxy.apply(model(), [backend.endpoint()])
        with proxy.channel("milvus.example.com") as channel:
            for metadata in ((), (("traceparent", UNSAMPLED),), (("traceparent", SAMPLED),)):
                call(channel, SEARCH, question(), metadata=metadata)
        # One connection has one worker, whose spans arrive in order: the last one is the end.
        eventually(lambda: any(span.parent_span_id.hex() == PARENT for span in collector.spans()), "the spans arrive")
        assert [span.parent_span_id.hex() for span in collector.spans()] == parents


def test_a_span_has_no_query(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """The URL of a span ends before the query, in which a REST client may put a secret."""
    with Collector() as collector, Backend() as backend, running(tmp_path, free_port, otlp=at(collector)) as proxy:
        proxy.apply(model(), [backend.endpoint()])
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
        connection.request(
            "GET", "/v1/vector/collections?token=root:Milvus-s3cret", headers={"host": "milvus.example.com"}
        )
        connection.getresponse().read()
        connection.close()
        eventually(lambda: bool(collector.spans()), "a span arrives")
        [span] = collector.spans()

    assert attributes(span.attributes)["http.url"] == "http://milvus.example.com/v1/vector/collections"
    assert "s3cret" not in str(span)


@needs_filter
def test_the_access_log_goes_to_the_collector(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A record has the fields of a line of the file, the trace of its call, and no more calls than the route's share."""
    log = tmp_path / "access.log"
    with (
        Collector() as collector,
        Backend() as backend,
        running(tmp_path, free_port, otlp=at(collector, logs=True), access_log=log, log_calls=True) as proxy,
    ):
        proxy.apply(model(pool(), host("*", route(log_sample_rate=1.0))), [backend.endpoint()])
        search(proxy, ("traceparent", SAMPLED))
        eventually(lambda: len(collector.records()) == 1, "the record arrives")
        [record] = collector.records()
        proxy.reopen_logs()
        eventually(lambda: bool(log.read_text()), "the line is written")

    values = attributes(record.attributes)
    assert (record.trace_id.hex(), values["path"], values["grpc_status"]) == (TRACE, SEARCH, "OK")
    assert '"collection":"books"' in values["call"]


def test_a_collector_that_is_away_hurts_no_call(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Calls succeed while no process listens at the collector's address; the exports are counted as failed."""
    with Collector() as collector:
        otlp = at(collector, logs=True)
    with Backend() as backend, running(tmp_path, free_port, otlp=otlp) as proxy:
        proxy.apply(model(pool(), host("*", route(log_sample_rate=1.0))), [backend.endpoint()])
        for _ in range(50):
            search(proxy)
        assert backend.count("Search") == 50
        eventually(lambda: proxy.stat("cluster.otlp.upstream_cx_connect_fail") > 0, "an export has failed")
        # The collector comes back, and gets what is traced from then on.
        with Collector(port=collector.port) as back:

            def exported() -> bool:
                search(proxy)
                return bool(back.spans())

            eventually(exported, "a span arrives")


def test_the_token_comes_from_its_file(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Each export carries the file's token, a new one after the file was replaced, and no configuration shows it."""
    token = tmp_path / "secrets" / "token"
    token.parent.mkdir()
    token.write_text("first-s3cret\n")
    with (
        Collector() as collector,
        Backend() as backend,
        running(tmp_path / "data", free_port, otlp=at(collector, token_file=token)) as proxy,
    ):
        proxy.apply(model(), [backend.endpoint()])
        search(proxy)
        eventually(lambda: collector.authorization == ["Bearer first-s3cret"], "the export carries the token")
        dump = str(proxy._wait(proxy._admin.config_dump()))
        assert "otlp/token" in dump
        assert "s3cret" not in dump

        fresh = token.with_suffix(".new")
        fresh.write_text("second-s3cret\n")
        fresh.rename(token)

        def renewed() -> bool:
            search(proxy)
            return collector.authorization[-1] == "Bearer second-s3cret"

        eventually(renewed, "the export carries the new token")


@pytest.mark.parametrize("trusted", [True, False])
def test_a_collector_with_tls_is_verified(tmp_path: Path, free_port: Callable[[], int], trusted: bool) -> None:  # noqa: FBT001
    """Spans go to a collector whose certificate the CA of --otlp-ca has signed, and to no other."""
    pair, other = (create_self_signed(["localhost"], ["127.0.0.1"]) for _ in range(2))
    certificate, ca = tmp_path / "tls.pem", tmp_path / "ca.crt"
    certificate.touch(mode=0o600)
    certificate.write_bytes(pair.key.reveal() + pair.certificate)
    ca.write_bytes(pair.certificate if trusted else other.certificate)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with Collector(tls=tls) as collector, Backend() as backend:
        otlp = parse_otlp_endpoint(
            f"https://localhost:{collector.port}", sampling=100, logs=False, ca=ca, token_file=None, instance="me"
        )
        with running(tmp_path / "data", free_port, otlp=otlp) as proxy:
            proxy.apply(model(), [backend.endpoint()])

            def seen() -> bool:
                # What is exported before the collector's name is resolved is lost.
                search(proxy)
                return bool(collector.spans()) if trusted else proxy.stat("cluster.otlp.ssl.fail_verify_error") > 0

            eventually(seen, "the handshake succeeds or fails")
            assert trusted or not collector.traces


def test_without_a_collector_there_is_no_tracer(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Without --otlp-endpoint Envoy has no tracer and no cluster for one, and sends no traceparent."""
    with Backend() as backend, running(tmp_path, free_port) as proxy:
        proxy.apply(model(), [backend.endpoint()])
        search(proxy)
        dump = str(proxy._wait(proxy._admin.config_dump()))
        assert "traceparent" not in backend.calls[0].metadata
    assert "type.googleapis.com/envoy.config.trace" not in dump
    assert "'otlp'" not in dump

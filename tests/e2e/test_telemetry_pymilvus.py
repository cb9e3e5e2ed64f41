"""Traces of PyMilvus's calls, from its own span to a real Milvus, at a collector."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider
from pymilvus import MilvusClient

from kiteway.filter import filter_path, missing_reason
from tests.e2e.authorized import ROOT, kiteway_before, milvus_with_authorization
from tests.e2e.collector import Collector, attributes
from tests.e2e.test_cache_pymilvus import create, search
from tests.e2e.traffic import NOT_READY_RESULT, Backend
from tests.support.kiteway import KITEWAY, Running, wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.milvus,
    pytest.mark.timeout(300),
    pytest.mark.skipif(filter_path() is None, reason=missing_reason()),
]


class Traced(NamedTuple):
    """Kiteway with a cache, in front of Milvus and of a proxy that is never ready."""

    uri: str
    running: Running
    collector: Collector
    endpoint: str
    tired: Backend

    def client(self) -> MilvusClient:
        """Return a client on its own connection, whose calls carry the current span."""
        return MilvusClient(uri=self.uri, user=ROOT[0], password=ROOT[1])

    def spans(self, of: int) -> list[Span]:
        """Return the spans in a trace."""
        return [span for span in self.collector.spans() if int(span.trace_id.hex(), 16) == of]


@pytest.fixture(scope="module")
def traced(free_port: Callable[[], int]) -> Iterator[Traced]:
    """Run Milvus, the other proxy, a collector and Kiteway."""
    with milvus_with_authorization() as milvus, Collector() as collector, Backend(NOT_READY_RESULT) as tired:
        at = milvus.endpoint
        direct = MilvusClient(uri=f"http://127.0.0.1:{at.port}", user=ROOT[0], password=ROOT[1])
        create(direct, "books")
        wait_until(lambda: len(search(direct, "books")) == 5, "the rows are there")
        direct.close()
        options = ["--cache", "--endpoint", f"my-release-milvus=127.0.0.1:{tired.port},health={tired.health_port}"]
        # The client decides, so that only what it traces is there.
        options += ["--otlp-endpoint", f"http://127.0.0.1:{collector.port}", "--trace-sampling", "0"]
        with kiteway_before(milvus, free_port, *options) as front:
            front.running.wait_healthy(2)
            yield Traced(front.uri, front.running, collector, f"127.0.0.1:{at.port}", tired)


@pytest.fixture
def tracer() -> Iterator[trace.Tracer]:
    """Have PyMilvus's calls carry the current span, as an application does."""
    provider = TracerProvider()
    instrumentor = GrpcInstrumentorClient()  # type: ignore[no-untyped-call]
    instrumentor.instrument(tracer_provider=provider)
    yield provider.get_tracer("tests")
    instrumentor.uninstrument()
    provider.shutdown()


def test_the_trace_of_a_search_is_whole(traced: Traced, tracer: trace.Tracer) -> None:
    """A search of PyMilvus has one span, whose trace is the application's: user, collection, endpoint, retry, cache."""
    client = traced.client()
    found: dict[str, dict[str, str]] = {}
    traces: list[int] = []

    def seen() -> bool:
        with tracer.start_as_current_span("question") as span:
            traces.append(span.get_span_context().trace_id)
            assert len(search(client, "books", consistency_level="Strong" if len(traces) % 2 else "Bounded")) == 5
        wait_until(lambda: len(traced.spans(traces[-1])) == 1, "the span of the search arrives")
        [of_kiteway] = traced.spans(traces[-1])
        assert of_kiteway.parent_span_id
        values = attributes(of_kiteway.attributes)
        found[values["kiteway.cache"]] = values
        if values.get("kiteway.attempts") == "2":
            found["repeated"] = values
        return {"hit", "miss", "bypass", "repeated"} <= found.keys()

    wait_until(seen, "a hit, a miss, a bypass and a search that was repeated")
    client.close()

    whole = {
        "db.system.name": "milvus",
        "db.operation.name": "Search",
        "db.namespace": "default",
        "db.collection.name": "books",
        "db.response.status_code": "0",
        "kiteway.user": "root",
        "kiteway.nq": "1",
        "kiteway.topk": "5",
        "kiteway.rows": "5",
    }
    for outcome in ("hit", "miss", "bypass", "repeated"):
        assert {key: found[outcome].get(key) for key in whole} == whole, outcome
    for outcome in ("miss", "bypass", "repeated"):
        assert found[outcome]["kiteway.endpoint"] == traced.endpoint
    assert "kiteway.endpoint" not in found["hit"] or found["hit"]["kiteway.endpoint"] == "-"
    assert traced.tired.count("Search") > 0


def test_the_status_says_when_exports_are_lost(traced: Traced, tracer: trace.Tracer) -> None:
    """`kiteway status` and `kiteway doctor` say that the collector refuses exports, and that it takes them again."""
    client = traced.client()

    def exporting(problem: str) -> bool:
        with tracer.start_as_current_span("question"):
            search(client, "books")
        export = traced.running.status()["export"]
        return problem in export["problem"] if problem else not export["problem"] and export["accepted"] > 0

    wait_until(lambda: exporting(""), "exports are accepted")
    traced.collector.status = 401
    wait_until(lambda: exporting("HTTP 4xx"), "exports are lost")
    folder = str(traced.running.instance.data_dir)
    shown = subprocess.run(
        [KITEWAY, "status", "--data-dir", folder], capture_output=True, text=True, check=False
    ).stdout
    assert "exports are lost" in shown
    doctor = subprocess.run(
        [KITEWAY, "doctor", "--data-dir", folder], capture_output=True, text=True, check=False
    ).stdout
    assert "OTLP_EXPORT" in doctor
    assert "it refuses exports (HTTP 4xx)" in " ".join(doctor.split())
    traced.collector.status = 200
    wait_until(lambda: exporting(""), "exports are accepted again")
    client.close()

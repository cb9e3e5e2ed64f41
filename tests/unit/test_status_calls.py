"""The calls and errors of an endpoint in the status are those of `kiteway top`."""

from __future__ import annotations

from kiteway.envoy.calls import Calls, OfEndpoint, PoolCalls
from kiteway.envoy.clusters import Attempts, ClusterStatus, EndpointStatus
from kiteway.metrics.top import By, Key, top_rows
from kiteway.model import PoolKey
from kiteway.status.calls import Counts, EndpointCounts

POOL = PoolKey("default", "milvus", 19530)
ADDRESS = "10.0.0.1:19530"


def tallied(calls: int, **errors: int) -> OfEndpoint:
    """Return what the filter has counted of an endpoint."""
    return OfEndpoint(
        endpoint=ADDRESS,
        calls=calls,
        errors={code.strip("_"): count for code, count in errors.items()},
        rows=0,
        request_bytes=0,
        response_bytes=0,
        time=0,
        times=[calls, 0],
    )


def envoys(kind: str, total: int, error: int) -> ClusterStatus:
    """Return what Envoy has counted of the same endpoint."""
    endpoint = EndpointStatus(ADDRESS, frozenset(), 1, Attempts(total=total, error=error))
    return ClusterStatus(f"pool/{POOL}/{kind}", (endpoint,))


def test_errors_inside_an_ok_answer_count() -> None:
    """Envoy sees no error in Milvus's code 100 (no such collection); of REST it sees 5xx only."""
    pools = [
        PoolCalls(name=f"pool/{POOL}/grpc", collections=[], users=[], endpoints=[tallied(14, _100=12, none=1)]),
        PoolCalls(name=f"pool/{POOL}/rest", collections=[], users=[], endpoints=[tallied(2, _4xx=1)]),
    ]
    calls = Calls(bounds=[1], pools=pools)
    clusters = {each.name: each for each in (envoys("grpc", 14, 1), envoys("rest", 2, 0))}
    found = EndpointCounts(calls, clusters).of(POOL, ADDRESS)
    rows = top_rows(calls, By.ENDPOINT, Key.CALLS)
    assert found == (sum(row.calls for row in rows), sum(row.failed for row in rows)) == (16, 14)
    assert EndpointCounts(calls, clusters).of(POOL, "10.0.0.2:19530") == Counts(0, 0)


def test_without_the_filter_envoys_own_counts_are_shown() -> None:
    """They are all there is; those of REST are added, errors too."""
    clusters = {each.name: each for each in (envoys("grpc", 14, 1), envoys("rest", 2, 1))}
    assert EndpointCounts(None, clusters).of(POOL, ADDRESS) == Counts(16, 2)

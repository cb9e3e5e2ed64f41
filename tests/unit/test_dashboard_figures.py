"""The figures of an interval for the web page."""

from __future__ import annotations

from kiteway.dashboard.figures import figures
from kiteway.envoy.calls import Calls, OfCollection, PoolCalls
from kiteway.metrics.top import By

POOL = "pool/default/milvus/19530/grpc"


def counted(**calls: int) -> Calls:
    """Return so many searches of each collection since Envoy's start, each of 0.5 ms."""
    collections = [
        OfCollection(
            database="default",
            collection=name,
            rpc="Search",
            other=False,
            calls=number,
            errors={},
            rows=0,
            request_bytes=0,
            response_bytes=0,
            time=500 * number,
            times=[number, 0],
        )
        for name, number in calls.items()
    ]
    return Calls(bounds=[1000], pools=[PoolCalls(name=POOL, collections=collections, users=[], endpoints=[])])


def test_all_calls_are_those_of_all_collections() -> None:
    """Of the interval, and since Envoy's start."""
    found = figures(counted(a=110, b=1001), counted(a=100, b=1000), 5)
    assert found.all_now is not None
    assert found.all_total is not None
    assert (found.all_now.calls, found.all_total.calls) == (11, 1111)


def test_a_collection_that_is_gone_takes_no_calls_from_the_others() -> None:
    """Its counts are dropped, so the sum is smaller than before; that is no restart of Envoy."""
    found = figures(counted(a=110), counted(a=100, gone=1000), 5)
    assert found.all_now is not None
    assert (found.all_now.calls, found.now[By.COLLECTION][POOL, "default", "a"].calls) == (10, 10)


def test_after_a_restart_of_envoy_the_counts_begin_again() -> None:
    """What was counted before is another Envoy's."""
    found = figures(counted(a=7), counted(a=100), 5)
    assert found.all_now is not None
    assert found.all_now.calls == 7

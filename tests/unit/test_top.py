"""What `kiteway top` shows of what was counted."""

from __future__ import annotations

import math
from typing import Any

import pytest

from kiteway.envoy.calls import Calls, OfCollection, OfEndpoint, OfUser, PoolCalls
from kiteway.metrics.calls import calls_text
from kiteway.metrics.top import By, Key, quantile, top_rows
from kiteway.report.calls import ReadOutcomes

BOUNDS = [1_000, 2_000, 4_000]


def tally(
    calls: int, *, errors: dict[str, int] | None = None, rows: int = 0, times: list[int] | None = None
) -> dict[str, Any]:
    """Return the counts of so many calls."""
    return {
        "calls": calls,
        "errors": errors or {},
        "rows": rows,
        "request_bytes": 10 * calls,
        "response_bytes": calls,
        "time": 1_500_000 * calls,
        "times": times or [0, calls, 0, 0],
    }


def counted(searches: int, *, errors: dict[str, int] | None = None) -> Calls:
    """Return counts of a pool with one collection, two users and two endpoints."""

    def of(
        database: str, collection: str, rpc: str, calls: int, *, other: bool = False, **more: object
    ) -> OfCollection:
        values = tally(calls) | more
        return OfCollection(database=database, collection=collection, rpc=rpc, other=other, **values)

    way: dict[str, Any] = {
        "cache": ReadOutcomes(hit=searches // 2, miss=searches - searches // 2),
        "waited": 2,
        "wait": 500_000,
    }
    collections = [
        of("default", "books", "Search", searches, rows=10 * searches, errors=errors or {}, refused=searches, **way),
        of("default", "books", "Insert", 2, rows=7),
        of("", "", "Connect", 1),
        of("", "", "Search", 5, other=True, errors={"100": 5}),
    ]
    users = [
        OfUser(user="root", other=False, **tally(searches) | way),
        OfUser(user="", other=False, **tally(3)),
        OfUser(user="", other=True, **tally(5)),
    ]
    endpoints = [OfEndpoint(endpoint=f"10.0.0.{number}:19530", **tally(number)) for number in (1, 2)]
    pool = PoolCalls(name="pool/default/m/19530/grpc", collections=collections, users=users, endpoints=endpoints)
    return Calls(bounds=BOUNDS, pools=[pool])


def test_rows_are_by_collection_rpc_user_or_endpoint() -> None:
    """Each call is in one row, whatever rows are about."""
    calls = counted(10)
    shown = {by: [(row.name, row.calls) for row in top_rows(calls, by, Key.CALLS)] for by in By}
    assert shown[By.COLLECTION] == [(("default", "books"), 12), (("(other)", "(other)"), 5), (("(none)", "(none)"), 1)]
    assert shown[By.RPC][0] == (("default", "books", "Search"), 10)
    assert shown[By.USER] == [(("root",), 10), (("(other)",), 5), (("(none)",), 3)]
    assert shown[By.ENDPOINT] == [(("10.0.0.2:19530",), 2), (("10.0.0.1:19530",), 1)]


def test_rows_say_what_the_cache_did_and_which_calls_waited_or_were_refused() -> None:
    """Collections, rpcs and users have it; an endpoint sees neither hits nor calls that wait."""
    for by in (By.COLLECTION, By.RPC, By.USER):
        row = top_rows(counted(10), by, Key.HITS)[0]
        assert row.cache == ReadOutcomes(hit=5, miss=5)
        assert (row.waited, row.wait) == (2, 0.25)
    assert top_rows(counted(10), By.COLLECTION, Key.REFUSED)[0].refused == 10
    assert top_rows(counted(10), By.RPC, Key.QUEUE)[0].rpc == "Search"
    assert all(row.cache is None for row in top_rows(counted(10), By.ENDPOINT, Key.HITS))
    assert [row.share for row in top_rows(counted(10), By.ENDPOINT, Key.CALLS)] == [2 / 3, 1 / 3]
    [row] = top_rows(counted(30), By.RPC, Key.CALLS, counted(10))
    assert (row.cache, row.waited, row.wait, row.refused) == (ReadOutcomes(hit=10, miss=10), 0, None, 20)


def test_an_interval_is_the_difference_of_two_readings() -> None:
    """Rows that had no call in between are left out."""
    [row] = top_rows(counted(30, errors={"8": 3}), By.RPC, Key.CALLS, counted(10, errors={"8": 1}))
    assert (row.name, row.calls, row.errors, row.rows) == (("default", "books", "Search"), 20, {"8": 2}, 200)
    assert row.bytes == 20 * 11
    assert top_rows(counted(10), By.COLLECTION, Key.CALLS, counted(10)) == []


def test_after_a_restart_of_envoy_nothing_is_subtracted() -> None:
    """Counts that are lower than before are those of a new process."""
    assert top_rows(counted(3), By.USER, Key.NAME, counted(10)) == top_rows(counted(3), By.USER, Key.NAME)


@pytest.mark.parametrize(
    ("key", "first"),
    [(Key.CALLS, "books"), (Key.ERRORS, "(other)"), (Key.ROWS, "books"), (Key.NAME, "(none)"), (Key.BYTES, "books")],
)
def test_rows_are_sorted_by_a_key(key: Key, first: str) -> None:
    """The largest is first, and names are in alphabetical order."""
    assert top_rows(counted(10), By.COLLECTION, key)[0].name[-1] == first


def test_a_quantile_is_between_the_bounds_of_its_bucket() -> None:
    """Calls of a bucket are taken as evenly spread."""
    assert quantile(0.5, [10, 0, 0, 0], BOUNDS) == pytest.approx(0.0005)
    assert quantile(0.5, [0, 10, 0, 0], BOUNDS) == pytest.approx(0.0015)
    assert quantile(0.99, [99, 0, 1, 0], BOUNDS) == pytest.approx(0.001)
    assert quantile(0.999, [99, 0, 1, 0], BOUNDS) == pytest.approx(0.0038)
    assert quantile(0.99, [0, 0, 0, 1], BOUNDS) == math.inf
    assert quantile(0.99, [0, 0, 0, 0], BOUNDS) is None


def test_the_page_of_metrics_has_the_same_counts_and_users_apart() -> None:
    """Labels are pool, database, collection and rpc, or pool and user; the overflow has its own label."""
    page = calls_text(counted(10, errors={"8": 4})).decode()
    lines = set(page.splitlines())

    def value(name: str, **wanted: str) -> float:
        found = [
            line
            for line in lines
            if line.startswith(f"{name}{{") and all(f'{label}="{text}"' in line for label, text in wanted.items())
        ]
        assert len(found) == 1, (name, wanted, found)
        return float(found[0].rpartition(" ")[2])

    assert value("kiteway_calls_total", collection="books", rpc="Search") == 10
    assert value("kiteway_call_errors_total", collection="books", rpc="Search", code="8") == 4
    assert value("kiteway_call_rows_total", collection="books", rpc="Insert") == 7
    assert value("kiteway_cache_collection_reads_total", collection="books", rpc="Search", outcome="hit") == 5
    assert value("kiteway_call_refusals_total", collection="books", rpc="Search") == 10
    assert value("kiteway_call_queue_seconds_count", collection="books") == 2
    assert value("kiteway_call_queue_seconds_sum", collection="books") == 0.5
    assert value("kiteway_call_request_bytes_total", collection="books", rpc="Search") == 100
    assert value("kiteway_call_response_bytes_total", collection="books", rpc="Search") == 10
    assert value("kiteway_call_duration_seconds_bucket", collection="books", rpc="Search", le="0.001") == 0
    assert value("kiteway_call_duration_seconds_bucket", collection="books", rpc="Search", le="0.002") == 10
    assert value("kiteway_call_duration_seconds_bucket", collection="books", rpc="Search", le="+Inf") == 10
    assert value("kiteway_call_duration_seconds_sum", collection="books", rpc="Search") == 15
    assert value("kiteway_calls_total", collection="other", database="", rpc="Search") == 5
    assert value("kiteway_user_calls_total", user="root") == 10
    assert not [line for line in lines if "user=" in line and "collection=" in line]

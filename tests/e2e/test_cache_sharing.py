"""Equal reads at once, with a real Milvus of two proxies: one search, whatever becomes of the client whose call the others share."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import struct
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import h2.settings
import pytest

from kiteway.demo.guide import HOST
from kiteway.filter import filter_path, missing_reason
from tests.chaos.world import World, world
from tests.consistency.records import Level
from tests.consistency.requests import rows_of, set_level
from tests.e2e import h2wire
from tests.support.extras import needs_cluster
from tests.support.kiteway import up_with_guide, wait_until
from tests.support.load import insert_request, query_request
from tests.support.reads import fill, service

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.milvus,
    pytest.mark.timeout(300),
    needs_cluster,
    pytest.mark.skipif(filter_path() is None, reason=missing_reason()),
]

_BOOKS = "books"
_PROXIES = 2
_MANY = 16_000
"""Rows whose vectors are an answer of more than half a megabyte."""
_QUERY = "/milvus.proto.milvus.MilvusService/Query"
_FOLLOWERS = 10
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Served:
    """Milvus with two proxies, and Kiteway with a cache before it."""

    world: World
    port: int
    metrics: str

    def connect(self) -> grpc.Channel:
        """Connect to Kiteway."""
        return self.world.target("kiteway", self.port).connect()

    def misses(self) -> int:
        """Return how many reads were sent to Milvus as fills."""
        return _metric(self.metrics, 'kiteway_cache_reads_total{outcome="miss"')

    def queries(self) -> int:
        """Return how many queries the proxies have received."""
        name = 'milvus_proxy_req_count{function_name="Query"'
        return sum(
            _metric(f"127.0.0.1:{place.health_port}", name, 'status="total"') for place in self.world.cluster.endpoints
        )

    def stop(self, *proxies: int) -> None:
        """Stop the execution of proxies."""
        for proxy in proxies:
            self.world.cluster.pause(proxy)

    def resume(self, *proxies: int) -> None:
        """Let them go on."""
        for proxy in proxies:
            self.world.cluster.resume(proxy)


def _metric(address: str, *parts: str) -> int:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    found = [line for line in lines if all(part in line for part in parts)]
    return sum(int(float(line.rpartition(" ")[2])) for line in found)


@pytest.fixture(scope="module")
def served(free_port: Callable[[], int]) -> Iterator[Served]:
    """Run Milvus with a filled collection whose default level is Bounded, and Kiteway before it."""
    with asyncio.Runner() as runner:
        entered = world(_PROXIES)
        found = runner.run(entered.__aenter__())
        try:
            fill(f"https://127.0.0.1:{found.cluster.endpoints[0].port}", found.backend, "localhost", _BOOKS)
            with found.direct(0) as connection:
                keys = range(1000, 1000 + _MANY)
                assert service(connection).Insert(insert_request(_BOOKS, keys), timeout=60).insert_cnt == _MANY
            port, metrics = free_port(), f"127.0.0.1:{free_port()}"
            places = [(place.port, place.health_port) for place in found.places]
            policy = {"cache": {"enabled": True}}
            options = ["--metrics-bind", metrics]
            with up_with_guide(found.folder / "kiteway", found.front, port, places, policy=policy, options=options):
                yield Served(found, port, metrics)
        finally:
            runner.run(entered.__aexit__(None, None, None))


def _question(*fields: str, level: Level = Level.DEFAULT) -> Any:
    """Return a query for the first 50 rows, or with `fields` for all, that was never asked before."""
    most = "" if fields else " and id < 1000"
    request = query_request(_BOOKS, f"id > -{next(_numbers)}{most}", 0, *fields)
    set_level(request, level, 0)
    return request


def _did(call: Any) -> str:
    return str(dict(call.initial_metadata() or ()).get("kiteway-cache", "")).partition("; age")[0]


def _until_ready(stub: Any) -> None:
    """Ask until the collection's level is known and a timestamp is old enough."""

    def is_fill() -> bool:
        call = stub.Query.future(_question(), timeout=20)
        call.result()
        return _did(call) == "miss"

    wait_until(is_fill, "a read is a fill")


def _rows(calls: list[Any]) -> set[frozenset[int]]:
    return {rows_of("Query", call.result()) for call in calls}


_FIRST_ROWS = {frozenset(range(50))}


def test_two_hundred_clients_with_a_new_question_make_one_search(served: Served) -> None:
    """Each has a connection of its own; Milvus gets one query, and all get its rows."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(served.connect()) for _ in range(200)]
        for ready in [grpc.channel_ready_future(each) for each in connections]:
            ready.result(timeout=60)
        stubs = [service(each) for each in connections]
        for _ in range(3):
            _until_ready(stubs[0])
            request, before = _question(), served.queries()
            calls = [stub.Query.future(request, timeout=30) for stub in stubs]
            assert _rows(calls) == _FIRST_ROWS
            assert served.queries() - before == 1
            did = Counter(map(_did, calls))
            assert did["miss"] == 1
            assert did["joined"] + did["hit"] == len(calls) - 1, did
        # However long it takes to send them all, none of them comes too late to join, because Milvus answers none before.
        request, before = _question(level=Level.EVENTUALLY), served.queries()
        misses = served.misses()
        served.stop(*range(_PROXIES))
        try:
            calls = [stub.Query.future(request, timeout=60) for stub in stubs]
            wait_until(lambda: served.misses() > misses, "one of them is sent")
        finally:
            served.resume(*range(_PROXIES))
        assert _rows(calls) == _FIRST_ROWS
        assert served.queries() - before == 1
        assert Counter(map(_did, calls))["joined"] > len(calls) // 2


def _share(served: Served, stub: Any, timeout: float = 30, *proxies: int) -> tuple[Any, list[Any]]:
    """
    Begin a query that does not return because its proxy is stopped, and equal ones behind it on the same connection.

    Kiteway may send the first one to a proxy that runs; then another question is tried.
    """
    while True:
        _until_ready(stub)
        served.stop(*proxies)
        request = _question()
        leader = stub.Query.future(request, timeout=timeout)
        followers = [stub.Query.future(request, timeout=60) for _ in range(_FOLLOWERS)]
        end = time.monotonic() + min(0.3, timeout)
        while time.monotonic() < end and not followers[-1].done():
            time.sleep(0.01)
        if not followers[-1].done():
            return leader, followers
        served.resume(*proxies)


@pytest.mark.parametrize("end", ["reset", "deadline"])
def test_one_follower_is_promoted_when_the_leader_is_lost(served: Served, end: str) -> None:
    """All proxies are stopped; the leader is reset, or its deadline of 0.5 s passes. One follower is sent, and none fails."""
    with served.connect() as connection:
        stub = service(connection)
        before = served.misses()
        proxies = range(_PROXIES)
        leader, followers = _share(served, stub, 0.5 if end == "deadline" else 30, *proxies)
        try:
            if end == "reset":
                leader.cancel()
            with pytest.raises((grpc.RpcError, grpc.FutureCancelledError)):
                leader.result()
            # The leader, the follower in its place, and the one read before that shows that the cache is ready.
            wait_until(lambda: served.misses() - before >= 3, "a follower is sent")
            assert not [_did(call) for call in followers if call.done()]
        finally:
            served.resume(*proxies)
        assert _rows(followers) == _FIRST_ROWS
        assert Counter(map(_did, followers)) == {"miss": 1, "joined": _FOLLOWERS - 1}
        assert served.misses() - before == 3


def test_followers_wait_no_longer_than_the_cap_for_a_stopped_proxy(served: Served) -> None:
    """While the leader's proxy does not run, the followers are sent unchanged after 3 s, and the other proxy answers."""
    with served.connect() as connection:
        leader, followers = _share(served, service(connection), 60, 0)
        try:
            wait_until(lambda: any(call.done() for call in followers), "a follower is answered")
            assert not leader.done()
        finally:
            served.resume(0)
        assert _rows([leader, *followers]) == _FIRST_ROWS
        assert _did(leader) == "miss"
        assert set(map(_did, followers)) == {"bypass; reason=waited"}


def test_a_leader_that_does_not_read_holds_up_nobody(served: Served) -> None:
    """Its client has a window of 0 bytes; the others get the whole answer, of more than half a megabyte."""
    with served.connect() as connection, h2wire.Client(served.port, server_name=HOST) as idle:
        stub = service(connection)
        _until_ready(stub)
        before = served.misses()
        request = _question("id", "vector", level=Level.EVENTUALLY)
        idle.connection.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
        stream = idle.request(_QUERY, authority=HOST, end=False)
        message = request.SerializeToString()
        idle.connection.send_data(stream, struct.pack(">BI", 0, len(message)) + message, end_stream=True)
        idle.flush()
        wait_until(lambda: served.misses() > before, "the leader is sent")
        calls = [stub.Query.future(request, timeout=60) for _ in range(_FOLLOWERS)]
        answers = [call.result() for call in calls]
        assert {len(rows_of("Query", answer)) for answer in answers} == {50 + _MANY}
        assert min(answer.ByteSize() for answer in answers) > 1 << 19
        assert set(map(_did, calls)) <= {"joined", "hit"}
        assert served.misses() - before == 1

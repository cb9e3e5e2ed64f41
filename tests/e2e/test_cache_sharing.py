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
from kiteway.milvus.embedded import Tuning
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
_CLIENTS = 200
_PATIENCE = 600.0
"""A `maxWait` in seconds that is longer than any call here: none is sent only because a busy machine took its time."""
_CAP = 4.0
"""
A `maxWait` in seconds that ends: longer than the default of 3 s, so that a busy machine has the time to send all calls; and
shorter than the 6 s after which Envoy pings a proxy that hangs, and sends its reads to another one.
"""
_UNKNOWN = "level-unknown"
"""On a busy machine a call of Kiteway's own may not be answered in time: such a read is sent unchanged and does not wait."""
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

    def bypasses(self, *reasons: str) -> int:
        """Return how many reads were sent unchanged for any of these reasons."""
        name = "kiteway_cache_bypasses_total{"
        return sum(_metric(self.metrics, name, f'reason="{reason}"') for reason in reasons)

    def active(self) -> int:
        """Return how many calls of clients are in progress."""
        return _metric(self.metrics, "envoy_http_downstream_rq_active{")

    def queries(self) -> int:
        """Return how many queries the proxies have received."""
        name = 'milvus_proxy_req_count{function_name="Query"'
        return sum(
            _metric(f"127.0.0.1:{place.health_port}", name, 'status="total"') for place in self.world.cluster.endpoints
        )

    def answered(self, proxy: int) -> None:
        """Wait until a proxy has answered queries that it got after all others."""
        with self.world.direct(proxy) as connection:
            for _ in range(2):
                service(connection).Query(_question(level=Level.EVENTUALLY), timeout=60)

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
def milvus() -> Iterator[World]:
    """Run Milvus with a filled collection whose default level is Bounded."""
    with asyncio.Runner() as runner:
        # A proxy that is stopped for longer than its session ends itself afterwards.
        entered = world(_PROXIES, Tuning(session_ttl=60))
        found = runner.run(entered.__aenter__())
        try:
            fill(f"https://127.0.0.1:{found.cluster.endpoints[0].port}", found.backend, "localhost", _BOOKS)
            with found.direct(0) as connection:
                keys = range(1000, 1000 + _MANY)
                assert service(connection).Insert(insert_request(_BOOKS, keys), timeout=60).insert_cnt == _MANY
            yield found
        finally:
            runner.run(entered.__aexit__(None, None, None))


@contextlib.contextmanager
def _kiteway(milvus: World, free_port: Callable[[], int], max_wait: float) -> Iterator[Served]:
    port, metrics = free_port(), f"127.0.0.1:{free_port()}"
    places = [(place.port, place.health_port) for place in milvus.places]
    policy = {"cache": {"enabled": True, "maxWait": f"{max_wait:g}s", "eventualBound": "60s"}}
    options = ["--metrics-bind", metrics]
    folder = milvus.folder / f"kiteway-{max_wait:g}"
    with up_with_guide(folder, milvus.front, port, places, policy=policy, options=options):
        yield Served(milvus, port, metrics)


@contextlib.contextmanager
def _connected(served: Served) -> Iterator[list[Any]]:
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(served.connect()) for _ in range(_CLIENTS)]
        for ready in [grpc.channel_ready_future(each) for each in connections]:
            ready.result(timeout=60)
        yield [service(each) for each in connections]


@pytest.fixture(scope="module")
def served(milvus: World, free_port: Callable[[], int]) -> Iterator[Served]:
    """Run Kiteway before Milvus; a read waits for an equal one as long as its client does."""
    with _kiteway(milvus, free_port, _PATIENCE) as found:
        yield found


@pytest.fixture(scope="module")
def clients(served: Served) -> Iterator[list[Any]]:
    """Connect 200 clients, each by its own connection."""
    with _connected(served) as found:
        yield found


@pytest.fixture
def capped(milvus: World, free_port: Callable[[], int]) -> Iterator[tuple[Served, list[Any]]]:
    """Run another Kiteway before Milvus, with as many clients; a read waits for an equal one until the cap."""
    with _kiteway(milvus, free_port, _CAP) as found, _connected(found) as connected:
        yield found, connected


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


def _assert_shared(calls: list[Any], *, misses: int) -> None:
    """Calls got the answer to another one, and so many were sent as fills; none waited in vain."""
    did = Counter(map(_did, calls))
    assert set(did) <= {"miss", "joined", "hit", f"bypass; reason={_UNKNOWN}"}, did
    assert did["miss"] == misses, did
    assert did["joined"], did


_FIRST_ROWS = {frozenset(range(50))}


def test_two_hundred_clients_with_a_new_question_make_one_search(served: Served, clients: list[Any]) -> None:
    """Milvus gets one query, and all get its rows."""
    for _ in range(3):
        _until_ready(clients[0])
        request, before = _question(), served.queries()
        calls = [stub.Query.future(request, timeout=30) for stub in clients]
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
        calls = [stub.Query.future(request, timeout=60) for stub in clients]
        wait_until(lambda: served.misses() > misses, "one of them is sent")
    finally:
        served.resume(*range(_PROXIES))
    assert _rows(calls) == _FIRST_ROWS
    assert served.queries() - before == 1
    assert Counter(map(_did, calls))["joined"] > len(calls) // 2


@dataclass(frozen=True)
class _Shared:
    """
    A query whose answer does not come, because its proxy is stopped, and equal ones of other clients behind it.

    Attributes:
        leader: the first one.
        followers: the others.
        misses: how many fills there were before.
        sent: when the last one was sent.
    """

    leader: Any
    followers: list[Any]
    misses: int
    sent: float


def _share(served: Served, clients: list[Any], timeout: float, *proxies: int) -> _Shared:
    """
    Stop proxies and send the query, its first client with this timeout.

    It is at Eventually: at other levels a read does not wait for one that takes 0.5 s longer than usual. Kiteway may send the first one to a proxy that runs; then another question is tried.
    """
    while True:
        _until_ready(clients[0])
        served.stop(*proxies)
        request, misses = _question(level=Level.EVENTUALLY), served.misses()
        leader = clients[0].Query.future(request, timeout=timeout)
        while served.misses() == misses and not leader.done():
            time.sleep(0.01)
        for proxy in set(range(_PROXIES)) - set(proxies):
            served.answered(proxy)  # so it has answered the first one, too
        if not leader.done():
            followers = [stub.Query.future(request, timeout=60) for stub in clients[1:]]
            return _Shared(leader, followers, misses, time.monotonic())
        served.resume(*proxies)


@pytest.mark.parametrize("end", ["reset", "deadline"])
def test_one_follower_is_promoted_when_the_leader_is_lost(served: Served, clients: list[Any], end: str) -> None:
    """All proxies are stopped; the leader is reset, or its deadline of 0.5 s passes. One follower is sent, and none fails."""
    proxies = range(_PROXIES)
    shared = _share(served, clients, 0.5 if end == "deadline" else 60, *proxies)
    try:
        if end == "reset":
            shared.leader.cancel()
        with pytest.raises((grpc.RpcError, grpc.FutureCancelledError)):
            shared.leader.result()
        wait_until(lambda: served.misses() - shared.misses >= 2, "a follower is sent")
        assert not [_did(call) for call in shared.followers if call.done()]
    finally:
        served.resume(*proxies)
    assert _rows(shared.followers) == _FIRST_ROWS
    _assert_shared(shared.followers, misses=1)
    assert served.misses() - shared.misses == 2


def test_followers_wait_no_longer_than_the_cap_for_a_stopped_proxy(capped: tuple[Served, list[Any]]) -> None:
    """While the leader's proxy does not run, all followers are sent unchanged after `maxWait`, and the other proxy answers."""
    served, clients = capped
    before = served.bypasses("waited", _UNKNOWN)
    shared = _share(served, clients, 60, 0)
    try:
        # At the cap, and some seconds for the test itself.
        are_sent = lambda: served.bypasses("waited", _UNKNOWN) - before >= _CLIENTS - 1  # noqa: E731
        wait_until(are_sent, "all followers are sent", _CAP + 6)
        assert time.monotonic() - shared.sent > _CAP - 3
        wait_until(lambda: any(call.done() for call in shared.followers), "a follower is answered")
        assert not shared.leader.done()
    finally:
        served.resume(0)
    assert _rows([shared.leader, *shared.followers]) == _FIRST_ROWS
    assert _did(shared.leader) == "miss"
    assert set(map(_did, shared.followers)) - {f"bypass; reason={_UNKNOWN}"} == {"bypass; reason=waited"}
    assert served.misses() - shared.misses == 1


def test_a_leader_that_does_not_read_holds_up_nobody(served: Served, clients: list[Any]) -> None:
    """Its client has a window of 0 bytes; the others get the whole answer, of more than half a megabyte."""
    with h2wire.Client(served.port, server_name=HOST) as idle:
        _until_ready(clients[0])
        before, waited = served.misses(), served.bypasses("waited")
        request = _question("id", "vector", level=Level.EVENTUALLY)
        idle.connection.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
        stream = idle.request(_QUERY, authority=HOST, end=False)
        message = request.SerializeToString()
        idle.connection.send_data(stream, struct.pack(">BI", 0, len(message)) + message, end_stream=True)
        # The answer does not come before all of them wait for it, however long it takes to send them.
        served.stop(*range(_PROXIES))
        try:
            idle.flush()
            wait_until(lambda: served.misses() > before, "the leader is sent")
            calls = [stub.Query.future(request, timeout=60) for stub in clients[1:]]
            wait_until(lambda: served.active() == _CLIENTS, "the leader and its followers wait")
        finally:
            served.resume(*range(_PROXIES))
        answers = [call.result() for call in calls]
        assert {len(rows_of("Query", answer)) for answer in answers} == {50 + _MANY}
        assert min(answer.ByteSize() for answer in answers) > 1 << 19
        _assert_shared(calls, misses=0)
        assert served.misses() - before == 1
        assert served.bypasses("waited") == waited

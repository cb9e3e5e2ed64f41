"""What the cache must not cost: with a real Milvus whose broker stops, whose proxy is slow, and clients that give up."""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from pymilvus.grpc_gen import milvus_pb2

from kiteway.filter import filter_path, missing_reason
from kiteway.milvus.embedded.cluster import MilvusCluster
from tests.chaos.world import World, world
from tests.consistency.records import Level
from tests.consistency.requests import rows_of, set_level
from tests.support.extras import needs_cluster
from tests.support.kiteway import up_with_guide
from tests.support.load import query_request
from tests.support.reads import fill, search_request, service

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.milvus,
    pytest.mark.timeout(300),
    needs_cluster,
    pytest.mark.skipif(filter_path() is None, reason=missing_reason()),
]

_BOOKS = "books"
_AHEAD_MS = 2000
_LOGICAL_BITS = 18
_PREFIX = "/milvus.proto.milvus.MilvusService/"
_EXPIRY = 5.2
"""Seconds after which no answer is served again."""


@dataclass(frozen=True)
class Served:
    """Milvus with one proxy, and Kiteway with a cache before it."""

    world: World
    port: int

    def kiteway(self) -> grpc.Channel:
        """Connect to Kiteway."""
        return self.world.target("kiteway", self.port).connect()


@pytest.fixture(scope="module")
def milvus() -> Iterator[World]:
    """Run Milvus with a filled collection whose default level is Bounded."""
    with asyncio.Runner() as runner:
        entered = world(1)
        found = runner.run(entered.__aenter__())
        try:
            fill(f"https://127.0.0.1:{found.cluster.endpoints[0].port}", found.backend, "localhost", _BOOKS)
            yield found
        finally:
            runner.run(entered.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def served(milvus: World, free_port: Callable[[], int]) -> Iterator[Served]:
    """Run Kiteway before it."""
    port = free_port()
    places = [(place.port, place.health_port) for place in milvus.places]
    policy = {"cache": {"enabled": True}}
    with up_with_guide(milvus.folder / "kiteway", milvus.front, port, places, policy=policy):
        yield Served(milvus, port)


def _query(expression: str, level: Level = Level.DEFAULT, guarantee: int = 0) -> Any:
    request = query_request(_BOOKS, expression, 0)
    set_level(request, level, guarantee)
    return request


def _outcome(call: Any) -> str:
    return str(dict(call.initial_metadata() or ()).get("kiteway-cache", ""))


@pytest.mark.parametrize(("method", "numbers"), [("Query", (8, 11, 12)), ("Search", (11, 14, 15))])
@pytest.mark.parametrize("whole", [True, False])
def test_milvus_heeds_a_guarantee_only_with_all_three_fields(
    milvus: World,
    method: str,
    numbers: tuple[int, int, int],
    whole: bool,  # noqa: FBT001 - a parameter of pytest
) -> None:
    """Appended to a read with the default level, a guarantee 2 s ahead takes 2 s, or no time without the third field."""
    request = _query("id >= 0") if method == "Query" else search_request(_BOOKS, 1)
    set_level(request, Level.DEFAULT, 0)
    with milvus.direct(0) as connection:
        timestamp = service(connection).AllocTimestamp(milvus_pb2.AllocTimestampRequest(), timeout=10).timestamp
        values = (timestamp + (_AHEAD_MS << _LOGICAL_BITS), int(Level.CUSTOMIZED), 0)
        pairs = list(zip(numbers, values, strict=True))[: 3 if whole else 2]
        suffix = b"".join(_varint(number << 3) + _varint(value) for number, value in pairs)
        call: Any = connection.unary_unary(_PREFIX + method)
        began = time.monotonic()
        call(request.SerializeToString() + suffix, timeout=20)
        took = time.monotonic() - began
    assert took > _AHEAD_MS / 1000 - 0.2 if whole else took < _AHEAD_MS / 1000 - 0.5


def test_a_guarantee_ahead_is_waited_for(served: Served) -> None:
    """Through the cache a Customized read for a time 2 s ahead takes as long as without it, however often it is asked."""
    with served.kiteway() as connection:
        stub = service(connection)
        timestamp = stub.AllocTimestamp(milvus_pb2.AllocTimestampRequest(), timeout=10).timestamp
        ahead = timestamp + (_AHEAD_MS << _LOGICAL_BITS)
        began = time.monotonic()
        pending = [stub.Query.future(_query("id == 7", Level.CUSTOMIZED, ahead), timeout=20) for _ in range(5)]
        assert [rows_of("Query", each.result()) for each in pending] == [frozenset({7})] * 5
        assert time.monotonic() - began > _AHEAD_MS / 1000 - 0.2


def test_reads_while_the_broker_stands_still(served: Served) -> None:
    """
    Milvus's time stands still then, so it answers no read that asks for a newer time.

    Without Kiteway Eventually reads are answered all the time, and Bounded ones as long as the stop is shorter than 5 s.
    With the cache they are too: a fill that is late is sent again as its client sent it.
    """
    numbers = itertools.count()
    with served.kiteway() as connection:
        stub = service(connection)
        for _ in range(3):  # both questions are known, their level too
            for level in (Level.EVENTUALLY, Level.DEFAULT):
                stub.Query(_query("id == 1", level), timeout=10)
                stub.Query(_query("id >= 0", level), timeout=10)
            time.sleep(0.5)
        cluster = served.world.cluster
        assert isinstance(cluster, MilvusCluster)
        broker = cluster.broker
        broker.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        late: list[tuple[float, str, str]] = []
        answered = 0
        try:
            while (since := time.monotonic() - stopped) < 3.5:
                level = (Level.EVENTUALLY, Level.DEFAULT)[next(numbers) % 2]
                expression = ("id == 1", "id >= 0")[next(numbers) // 2 % 2]
                try:
                    stub.Query(_query(expression, level), timeout=2.0)
                    answered += 1
                except grpc.RpcError as error:
                    late.append((round(since, 2), level.name, str(error)[:80]))
                time.sleep(0.01)
        finally:
            broker.send_signal(signal.SIGCONT)
    assert answered > 20
    assert not late


def test_an_impatient_leader(served: Served) -> None:
    """The client whose call others have joined gives up: the others get the answer, and none gets its error."""
    with served.kiteway() as connection:
        stub = service(connection)
        request = _query("id in [1, 2, 3]")
        for _ in range(3):
            stub.Query(request, timeout=10)
            time.sleep(0.3)
        expired = time.monotonic() + _EXPIRY
        while time.monotonic() < expired:  # timestamps are asked for only while reads come
            stub.Query(_query("id == 4"), timeout=10)
            time.sleep(0.1)
        served.world.relay.set_delay(1.0)
        try:
            began = time.monotonic()
            leader = stub.Query.future(request, timeout=0.4)
            time.sleep(0.1)
            followers = [stub.Query.future(request, timeout=20) for _ in range(10)]
            assert [rows_of("Query", each.result()) for each in followers] == [frozenset({1, 2, 3})] * 10
            took = time.monotonic() - began
            with pytest.raises(grpc.RpcError):
                leader.result()
        finally:
            served.world.relay.set_delay(0)
    outcomes = Counter(_outcome(each).partition(";")[0] for each in followers)
    assert outcomes == {"joined": 9, "miss": 1}, Counter(map(_outcome, followers))
    assert took < 4


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*found, value))

"""The cache in a real Envoy, in front of a small gRPC server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from pymilvus.grpc_gen import milvus_pb2

from kiteway import filter as kiteway_filter
from tests.e2e.admission import until
from tests.e2e.cached import (
    BOUNDED,
    CUSTOMIZED,
    EVENTUALLY,
    SESSION,
    STRONG,
    Client,
    Milvus,
    arrived,
    behind,
    cache,
    http_request,
    hybrid,
    outcome,
    question,
    updates,
    warm,
)
from tests.e2e.routed import write_routes

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(kiteway_filter.filter_path() is None, reason=kiteway_filter.missing_reason()),
]

PATIENT = cache(max_wait_ms=30_000)
"""Reads that wait for the answer to another one are not sent on while a busy machine starts all of them."""
EVENTUAL = question(consistency_level=EVENTUALLY)
"""A read that waits for the answer to another one although that takes more than 0.5 s: it cannot be a slow fill."""


def test_the_same_search_is_a_hit_for_less_than_the_bound(tmp_path: Path) -> None:
    """Milvus sees the first as a fill with a timestamp that is 1 s old; equal reads get its answer, until it is 5 s old."""
    with Milvus() as milvus, behind(milvus, tmp_path) as envoy, Client(envoy) as client:
        warm(client)
        sent = time.time()
        number, did = client.search()
        assert did == "miss"
        fill = milvus.reads[-1]
        assert hybrid(sent - 5) <= fill.guarantee_timestamp <= hybrid(sent - 0.9)
        assert (fill.consistency_level, fill.use_default_consistency) == (CUSTOMIZED, False)
        assert fill.placeholder_group == b"v"
        # The number of the answer tells them apart.
        while time.time() < sent + 3.5:
            assert client.search() == (number, "hit")
        until(lambda: client.search()[0] != number, seconds=3)
        assert time.time() - sent <= 5.2


def test_a_strong_read_is_never_answered_from_the_cache(tmp_path: Path) -> None:
    """It reaches Milvus unchanged each time, whether it or the collection says Strong."""
    with Milvus() as milvus, behind(milvus, tmp_path) as envoy, Client(envoy) as client:
        warm(client)
        for _ in range(5):
            assert client.search(question(consistency_level=STRONG))[1] == "bypass; reason=strong"
            assert milvus.reads[-1].guarantee_timestamp == 0
        milvus.level = STRONG
        until(lambda: client.search(question("strict"))[1] == "bypass; reason=strong")
        for _ in range(5):
            assert client.search(question("strict"))[1] == "bypass; reason=strong"
            assert milvus.reads[-1].use_default_consistency


def test_each_level_is_kept_apart_where_its_promise_is_another(tmp_path: Path) -> None:
    """A Bounded answer serves Bounded and Eventually; an Eventually answer serves Eventually only; none goes too far back."""
    with Milvus() as milvus, behind(milvus, tmp_path) as envoy, Client(envoy) as client:
        warm(client)
        eventually, bounded = (question(consistency_level=level) for level in (EVENTUALLY, BOUNDED))
        until(lambda: client.search(eventually)[1] == "miss")
        assert milvus.reads[-1].consistency_level == EVENTUALLY
        assert client.search(eventually)[1] == "hit"
        assert client.search(bounded)[1] == "miss"
        number, did = client.search(bounded)
        assert did == "hit"
        # A guarantee that the answer does not have is asked for where Milvus waits for it too.
        guarantee = hybrid(time.time())
        later = question(guarantee_timestamp=guarantee)
        assert client.search(later)[1] == "bypass; reason=guarantee-ahead"
        session = question(guarantee_timestamp=guarantee, consistency_level=SESSION)
        assert client.search(session)[1] == "miss"
        assert milvus.reads[-1].guarantee_timestamp == guarantee
        assert client.search(session)[1] == "hit"
        assert client.search(later)[1] == "hit"
        assert client.search(later)[0] != number


def test_users_collections_and_questions_do_not_share_answers(tmp_path: Path) -> None:
    """Whatever differs, header or field, is another question."""
    with Milvus() as milvus, behind(milvus, tmp_path) as envoy:
        numbers: dict[tuple[str, ...], int] = {}
        for user, tenant in (("a", "x"), ("b", "x"), ("a", "y")):
            with Client(envoy, authorization=user, **{"x-tenant": tenant}) as client:
                warm(client)
                until(lambda: client.search()[1] == "hit")
                numbers[user, tenant] = client.search()[0]
                numbers[user, tenant, "other"] = client.search(question(vectors=b"w"))[0]
        assert len(set(numbers.values())) == len(numbers)


def test_a_change_empties_the_cache_before_it_is_answered(tmp_path: Path) -> None:
    """After DropCollection nothing is answered from before; a refusal by rights changes nothing."""
    with Milvus() as milvus, behind(milvus, tmp_path) as envoy, Client(envoy) as client:
        warm(client)
        until(lambda: client.search()[1] == "hit")
        number = client.search()[0]
        milvus.code = 1401  # not permitted
        assert client.call("DropCollection") == 1401
        milvus.code = 0
        assert client.search() == (number, "hit")

        assert client.call("DropCollection") == 0

        assert client.search()[1].startswith("bypass")
        until(lambda: client.search()[1] == "hit")
        assert client.search()[0] > number


def test_a_change_that_is_never_complete_closes_nothing(tmp_path: Path) -> None:
    """A stranger who sends the headers of DropCollection, and no message, costs the hits of others nothing."""
    with Milvus() as milvus, behind(milvus, tmp_path) as envoy, Client(envoy) as client, Client(envoy) as stranger:
        warm(client)
        until(lambda: client.search()[1] == "hit")
        before = milvus.calls["DropCollection"]
        never = threading.Event()

        def messages() -> Iterator[bytes]:
            never.wait()
            yield b""

        call = stranger.stream("DropCollection", messages())
        time.sleep(0.5)
        assert client.search()[1] == "hit"
        call.cancel()
        never.set()
        assert milvus.calls["DropCollection"] == before


def test_equal_reads_of_many_clients_are_one_search(tmp_path: Path) -> None:
    """Those that come while one is at Milvus wait for its answer; clients are on both workers."""
    with Milvus() as milvus, behind(milvus, tmp_path, PATIENT) as envoy:
        clients = [Client(envoy) for _ in range(40)]
        for client in clients:
            client.call("GetVersion")
        warm(clients[0])
        milvus.open.clear()
        before = milvus.calls["Search"]
        calls = [client.start(EVENTUAL) for client in clients]
        until(lambda: milvus.calls["Search"] > before)
        arrived(clients)

        milvus.open.set()

        outcomes = [outcome(call) for call in calls]
        assert {number for number, _ in outcomes} == {before + 1}
        assert sorted(did for _, did in outcomes) == ["joined"] * 39 + ["miss"]
        assert milvus.calls["Search"] == before + 1
        for client in clients:
            client.__exit__()


def test_a_leader_that_gives_up_is_replaced_by_one_follower(tmp_path: Path) -> None:
    """The others go on waiting, and get the new leader's answer."""
    with Milvus() as milvus, behind(milvus, tmp_path, PATIENT) as envoy:
        leader, *followers = clients = [Client(envoy) for _ in range(10)]
        for client in clients:
            client.call("GetVersion")
        warm(leader)
        milvus.open.clear()
        before = milvus.calls["Search"]
        first = leader.start(EVENTUAL)
        until(lambda: milvus.calls["Search"] == before + 1)
        calls = [client.start(EVENTUAL) for client in followers]
        arrived(clients)
        first.cancel()
        until(lambda: milvus.calls["Search"] == before + 2)
        time.sleep(0.3)
        assert milvus.calls["Search"] == before + 2

        milvus.open.set()

        outcomes = [outcome(call) for call in calls]
        assert {number for number, _ in outcomes} == {before + 2}
        assert sorted(did for _, did in outcomes) == ["joined"] * 8 + ["miss"]


def test_nobody_waits_longer_than_the_cap(tmp_path: Path) -> None:
    """While Milvus does not answer, followers are forwarded after `max_wait_ms`."""
    with Milvus() as milvus, behind(milvus, tmp_path, cache(max_wait_ms=500)) as envoy:
        clients = [Client(envoy) for _ in range(5)]
        warm(clients[0])
        milvus.open.clear()
        before, began = milvus.calls["Search"], time.monotonic()
        calls = [client.start(question()) for client in clients]
        until(lambda: milvus.calls["Search"] == before + 5)
        assert 0.4 <= time.monotonic() - began < 2

        milvus.open.set()

        assert sorted(outcome(call)[1] for call in calls) == ["bypass; reason=waited"] * 4 + ["miss"]


def test_an_answer_with_an_error_or_too_large_is_not_kept(tmp_path: Path) -> None:
    """Each client gets its own."""
    with Milvus() as milvus, behind(milvus, tmp_path, cache(max_entry_bytes=1000)) as envoy, Client(envoy) as client:
        warm(client)
        milvus.size = 2000
        assert client.search()[1] == "miss"
        for _ in range(3):
            assert client.search()[1] == "bypass; reason=too-large"
        milvus.size = 0
        until(lambda: client.search(question("other"))[1] == "hit")


def test_followers_of_a_read_that_fails_are_forwarded_at_once(tmp_path: Path) -> None:
    """Milvus says to each of them that the collection is not loaded; no read waits for the failures of others."""
    with Milvus() as milvus, behind(milvus, tmp_path, PATIENT) as envoy:
        clients = [Client(envoy) for _ in range(10)]
        for client in clients:
            client.call("GetVersion")
        warm(clients[0])
        milvus.open.clear()
        before = milvus.calls["Search"]
        calls = [client.start(EVENTUAL) for client in clients]
        until(lambda: milvus.calls["Search"] > before)
        arrived(clients)
        milvus.code = 101

        milvus.open.set()

        answers = [milvus_pb2.SearchResults.FromString(call.result()) for call in calls]
        assert {answer.status.code for answer in answers} == {101}
        milvus.code = 0
        assert clients[0].search(EVENTUAL)[1] == "bypass; reason=failed"
        until(lambda: clients[0].search(EVENTUAL)[1] == "hit")


def test_a_large_request_passes_without_waiting_to_be_whole(tmp_path: Path) -> None:
    """Above 512 KiB the cache does not hold it."""
    with Milvus() as milvus, behind(milvus, tmp_path) as envoy, Client(envoy) as client:
        warm(client)
        vectors = b"v" * (8 << 20)
        for _ in range(2):
            assert client.search(question(vectors=vectors))[1] == "bypass; reason=too-large"
            assert milvus.reads[-1].placeholder_group == vectors
        middle = b"v" * (400 << 10)
        until(lambda: client.search(question(vectors=middle))[1] == "hit")
        assert milvus.reads[-1].placeholder_group == middle


def test_a_leader_with_a_short_deadline_takes_nobody_with_it(tmp_path: Path) -> None:
    """Its own call fails; one follower takes its place, and all others get that one's answer."""
    with Milvus() as milvus, behind(milvus, tmp_path) as envoy:
        leader, *followers = clients = [Client(envoy) for _ in range(10)]
        for client in clients:
            client.call("GetVersion")
        warm(leader)
        milvus.open.clear()
        before = milvus.calls["Search"]
        first = leader.start(question(), timeout=1)
        until(lambda: milvus.calls["Search"] == before + 1)
        calls = [client.start(question()) for client in followers]
        error = first.exception()
        assert isinstance(error, grpc.RpcError)
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        until(lambda: milvus.calls["Search"] == before + 2)

        milvus.open.set()

        outcomes = [outcome(call) for call in calls]
        assert {number for number, _ in outcomes} == {before + 2}
        assert sorted(did for _, did in outcomes) == ["joined"] * 8 + ["miss"]


def test_a_follower_leaves_at_its_own_deadline(tmp_path: Path) -> None:
    """Envoy ends it, and nothing of it stays behind."""
    with Milvus() as milvus, behind(milvus, tmp_path) as envoy, Client(envoy) as leader, Client(envoy) as follower:
        follower.call("GetVersion")
        warm(leader)
        milvus.open.clear()
        before = milvus.calls["Search"]
        first = leader.start(question())
        until(lambda: milvus.calls["Search"] == before + 1)
        # The client would wait longer than the header says, so it is Envoy that ends the call.
        with Client(envoy, **{"grpc-timeout": "300m"}) as late:
            error = late.start(question(), timeout=None).exception()
        assert isinstance(error, grpc.RpcError)
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED

        milvus.open.set()

        assert outcome(first) == (before + 1, "miss")
        assert follower.search() == (before + 1, "hit")
        assert milvus.calls["Search"] == before + 1


def test_changes_by_rest_and_unknown_calls_empty_the_cache(tmp_path: Path) -> None:
    """A REST request with a method that reads does not."""
    with Milvus() as milvus, behind(milvus, tmp_path) as envoy, Client(envoy) as client:
        warm(client)
        changes: list[tuple[str, str, bool]] = [
            ("GET", "/v2/vectordb/collections/drop", False),
            ("POST", "/v2/vectordb/collections/list", False),
            ("gRPC", "Insert", False),
            ("POST", "/v2/vectordb/collections/drop", True),
            ("gRPC", "NoSuchMethod", True),
            ("gRPC", "RenameCollection", True),
        ]
        for method, path, empties in changes:
            until(lambda: client.search()[1] == "hit")
            number = client.search()[0]
            if method == "gRPC":
                client.call(path)
            else:
                http_request(envoy, method, path)
            assert (client.search() == (number, "hit")) != empties, path


def test_another_epoch_empties_the_cache(tmp_path: Path) -> None:
    """A configuration with another epoch says that the endpoints are others; the same one again changes nothing."""
    with Milvus() as milvus, behind(milvus, tmp_path) as envoy, Client(envoy) as client:
        warm(client)
        until(lambda: client.search()[1] == "hit")
        number = client.search()[0]
        routes = tmp_path / "routes.json"
        write_routes(routes, {"cache": cache(), "log_rate": 0.5}, "2")
        until(lambda: updates(envoy) == 2)
        assert client.search() == (number, "hit")
        write_routes(routes, {"cache": cache(epoch=1)}, "3")
        until(lambda: updates(envoy) == 3)
        assert client.search()[1] == "bypass; reason=no-sample"
        until(lambda: client.search()[1] == "hit")
        assert client.search()[0] > number


def test_limits_do_not_count_what_the_cache_answers(tmp_path: Path) -> None:
    """Hits pass while every other read of the user is refused."""
    limits = [{"by": ["user", "collection"], "requestsPerSecond": 1e-3, "burstMs": 0}]
    config = cache(eventual_bound_ms=60_000)
    kept = question(consistency_level=EVENTUALLY)
    with Milvus() as milvus, behind(milvus, tmp_path, config) as envoy, Client(envoy, authorization="a") as client:
        warm(client)
        until(lambda: client.search(kept)[1] == "hit")
        parts = {"cache": config, "policy": {"scope": "policy", "limits": limits}}
        write_routes(tmp_path / "routes.json", parts, "2")
        until(lambda: client.refused(question(vectors=b"w")))
        for _ in range(20):
            assert client.search(kept)[1] == "hit"
        assert client.refused(question(vectors=b"w"))


def test_reads_are_sent_unchanged_while_fills_are_slow(tmp_path: Path) -> None:
    """Milvus's time lags, so it waits for the timestamp of a fill; after two of them reads are as without a cache."""
    with Milvus() as milvus, behind(milvus, tmp_path) as envoy, Client(envoy) as client:
        warm(client)
        questions = [question(vectors=bytes([number])) for number in range(3)]
        milvus.lag = 0.9
        assert [client.search(each)[1] for each in questions[:2]] == ["miss", "miss"]
        began = time.monotonic()
        assert client.search(questions[2])[1] == "bypass; reason=slow-fill"
        assert time.monotonic() - began < 0.8
        assert milvus.reads[-1].use_default_consistency
        # What is stored is still served.
        assert client.search(questions[1])[1] == "hit"

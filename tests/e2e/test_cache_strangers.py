"""What a client can do to the cache of the others that Milvus has never answered well: in a real Envoy."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from kiteway import filter as kiteway_filter
from tests.e2e.admission import until
from tests.e2e.cached import Client, Milvus, behind, question, warm
from tests.e2e.test_filter import SERVICE

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(kiteway_filter.filter_path() is None, reason=kiteway_filter.missing_reason()),
]

USER, STRANGER = "user:password", "stranger:guess"


def _until_hit(client: Client) -> None:
    until(lambda: client.search()[1] == "hit", seconds=10)


def test_a_header_with_another_value_in_each_read_costs_milvus_nothing(tmp_path: Path) -> None:
    """Such reads make no call of Kiteway's own, although none of them can be answered for another one."""
    with Milvus() as milvus, behind(milvus, tmp_path) as envoy, Client(envoy, authorization=USER) as client:
        warm(client)
        before = milvus.calls["DescribeCollection"]
        for number in range(50):
            with Client(envoy, authorization=USER, **{"x-run": str(number)}) as other:
                assert other.search(question(vectors=b"%d" % number))[1] == "bypass; reason=level-unknown"
        # The level that `client` uses may be asked for again.
        assert milvus.calls["DescribeCollection"] - before <= 1


def test_a_stranger_takes_no_sample_from_the_others(tmp_path: Path) -> None:
    """While one with a wrong password reads as fast as it can, reads of a user are hits nearly all the time."""
    with (
        Milvus(users=[USER]) as milvus,
        behind(milvus, tmp_path) as envoy,
        Client(envoy, authorization=USER) as client,
        Client(envoy, authorization=STRANGER) as stranger,
    ):
        warm(client)
        _until_hit(client)
        over = threading.Event()

        def guess() -> None:
            while not over.is_set():
                assert stranger.start(question()).exception() is not None

        guessing = [threading.Thread(target=guess) for _ in range(3)]
        for thread in guessing:
            thread.start()
        seen = []
        end = time.monotonic() + 8
        while time.monotonic() < end:
            seen.append(client.search()[1])
            time.sleep(0.25)
        over.set()
        for thread in guessing:
            thread.join()
        assert seen.count("hit") > 0.6 * len(seen), {each: seen.count(each) for each in set(seen)}


def test_a_stranger_cannot_close_the_cache(tmp_path: Path) -> None:
    """Neither a change that is reset, nor one with a deadline that has passed, nor an unknown call, nor one without end."""
    with (
        Milvus(users=[USER]) as milvus,
        behind(milvus, tmp_path) as envoy,
        Client(envoy, authorization=USER) as client,
        Client(envoy, authorization=STRANGER) as stranger,
    ):
        warm(client)
        milvus.changes.clear()
        for method in ("DropCollection", "NoSuchMethod"):
            _until_hit(client)
            number = client.search()[0]
            stranger.start(b"", method=method, timeout=0.001).exception()
            call = stranger.start(b"", method=method)
            time.sleep(0.3)
            assert client.search() == (number, "hit")
            call.cancel()
            time.sleep(0.2)
            assert client.search() == (number, "hit")
        over = threading.Event()

        def endless() -> Iterator[bytes]:
            yield b"x" * (600 << 10)
            over.wait()

        stream = stranger.stream("DropCollection", endless())
        time.sleep(0.5)
        assert client.search()[1] == "hit"
        over.set()
        stream.cancel()


def test_a_change_without_an_answer_closes_the_cache_if_its_caller_is_known(tmp_path: Path) -> None:
    """Milvus may have made it: what was stored before is not used again."""
    with Milvus() as milvus, behind(milvus, tmp_path) as envoy, Client(envoy, authorization=USER) as client:
        warm(client)
        _until_hit(client)
        number = client.search()[0]
        milvus.changes.clear()
        call = client.start(b"", method="DropCollection")
        until(lambda: milvus.calls["DropCollection"] == 1)
        assert client.search()[1] == "bypass; reason=closed"
        call.cancel()
        time.sleep(0.2)
        assert client.search()[1].startswith("bypass")
        _until_hit(client)
        assert client.search()[0] > number


def test_a_change_that_kiteway_refuses_empties_nothing(tmp_path: Path) -> None:
    """Milvus does not get it: a limit needs its message, which is compressed."""
    limits = [{"by": ["user", "collection"], "requestsPerSecond": 1e6, "burstMs": 1000}]
    policy = {"scope": "policy", "limits": limits}
    with (
        Milvus() as milvus,
        behind(milvus, tmp_path, policy=policy) as envoy,
        Client(envoy, authorization=USER) as client,
    ):
        warm(client)
        _until_hit(client)
        number = client.search()[0]
        channel = grpc.insecure_channel(f"127.0.0.1:{envoy.port}")
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"{SERVICE}/DropCollection")
        body = b"\x1a\xc8\x01" + b"x" * 200
        call(body, metadata=(("authorization", USER),), compression=grpc.Compression.Gzip, timeout=10)
        channel.close()
        assert milvus.calls["DropCollection"] == 0
        assert client.search() == (number, "hit")

"""Fair admission in a real Envoy with two workers, in front of a small gRPC server."""

from __future__ import annotations

import contextlib
import random
import threading
import time
import urllib.request
from pathlib import Path

import grpc
import pytest
from pymilvus.grpc_gen import milvus_pb2

from kiteway import filter as kiteway_filter
from tests.e2e.admission import RATE_LIMIT, Client, Milvus, admission, behind, question, statistic, until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(kiteway_filter.filter_path() is None, reason=kiteway_filter.missing_reason()),
]


def test_a_read_waits_for_its_turn(tmp_path: Path) -> None:
    """With one place the second read waits, then is answered; the queue is a metric; a write does not wait for it."""
    with Milvus() as milvus, behind(milvus, admission(), tmp_path) as envoy, Client(envoy, "a") as client:
        milvus.open.clear()
        first = client.start()
        until(lambda: milvus.calls["a"] == 1)
        second = client.start()
        until(lambda: statistic(envoy, "queued.pool.pool") == 1)
        assert client.call("Insert").status.code == 0
        assert milvus.calls["a"] == 2

        milvus.open.set()

        assert (first.result(), second.result()) == (b"\x0a\x00",) * 2
        assert milvus.calls["a"] == 3
        until(lambda: statistic(envoy, "queued.pool.pool") == 0)


def test_reads_of_many_connections_are_one_at_a_time(tmp_path: Path) -> None:
    """Both workers share the places: of 30 clients' reads never two are at Milvus, and all are answered."""
    with Milvus() as milvus, behind(milvus, admission(queuedBytes=1 << 30), tmp_path) as envoy:
        milvus.open.clear()
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Client(envoy, f"user{number % 3}")) for number in range(30)]
            calls = [client.start() for client in clients]
            until(lambda: statistic(envoy, "queued.pool.pool") == 29)
            assert sum(milvus.calls.values()) == 1

            milvus.open.set()

            assert {call.result() for call in calls} == {b"\x0a\x00"}
        assert sum(milvus.calls.values()) == 30


def test_a_wait_ends(tmp_path: Path) -> None:
    """A read that has waited as long as it may is refused, and never reaches Milvus."""
    policy = admission(waitMs=300)
    with Milvus() as milvus, behind(milvus, policy, tmp_path) as envoy, Client(envoy, "a") as client:
        milvus.open.clear()
        first = client.start()
        until(lambda: milvus.calls["a"] == 1)
        began = time.monotonic()

        status = client.call().status

        assert time.monotonic() - began >= 0.3
        assert status.code == RATE_LIMIT
        assert "has waited as long as it may" in status.reason
        milvus.open.set()
        first.result()
        assert milvus.calls["a"] == 1


def test_a_client_that_gives_up_leaves_the_queue(tmp_path: Path) -> None:
    """A read that is cancelled, or whose deadline passes, while it waits never reaches Milvus and keeps no place."""
    with Milvus() as milvus, behind(milvus, admission(), tmp_path) as envoy, Client(envoy, "a") as client:
        milvus.open.clear()
        first = client.start()
        until(lambda: milvus.calls["a"] == 1)
        cancelled, late = client.start(), client.start(timeout=0.5)
        until(lambda: statistic(envoy, "queued.pool.pool") == 2)

        cancelled.cancel()

        # Whichever is first: the answer, or the client itself.
        error = late.exception()
        if error is None:
            assert milvus_pb2.SearchResults.FromString(late.result()).status.code == RATE_LIMIT
        else:
            assert isinstance(error, grpc.RpcError)
            assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        until(lambda: statistic(envoy, "queued.pool.pool") == 0)
        first.cancel()
        milvus.open.set()
        assert client.call().status.code == 0
        assert milvus.calls["a"] == 2


def test_large_requests_pass_whole(tmp_path: Path) -> None:
    """Requests far beyond what is read ahead (512 KiB) and Envoy's buffers (1 MiB) arrive whole, waiting or not."""
    sizes = [1, 100_000, 524_288, 600_000, 1_200_000, 8 << 20]
    policy = admission(queuedBytes=1 << 30, writes=1)
    with Milvus() as milvus, behind(milvus, policy, tmp_path) as envoy, Client(envoy, "a") as client:
        for size in sizes:
            assert client.call(request=question(vectors=bytes(size))).status.code == 0
        milvus.open.clear()
        first = client.start()
        until(lambda: len(milvus.sizes) == len(sizes) + 1)
        calls = [client.start(request=question(vectors=bytes(size))) for size in sizes]
        until(lambda: statistic(envoy, "queued.pool.pool") == len(sizes))
        milvus.open.set()
        first.result()
        assert {call.result() for call in calls} == {b"\x0a\x00"}

        expected = [len(question(vectors=bytes(size))) for size in sizes]
        assert milvus.sizes[: len(sizes)] == expected
        assert sorted(milvus.sizes[len(sizes) + 1 :]) == expected


def test_waiting_and_refused_calls_are_on_the_page_of_metrics(tmp_path: Path) -> None:
    """Envoy's page for Prometheus has the metrics by their documented names, with labels."""
    policy = admission(waitMs=200)
    with Milvus() as milvus, behind(milvus, policy, tmp_path) as envoy, Client(envoy, "a") as client:
        milvus.open.clear()
        first = client.start()
        until(lambda: milvus.calls["a"] == 1)
        assert client.call().status.code == RATE_LIMIT
        second = client.start()
        until(lambda: statistic(envoy, "queued.pool.pool") == 1)
        milvus.open.set()
        first.result()
        second.result()

        def shown() -> set[str]:
            with urllib.request.urlopen(f"http://{envoy.admin}/stats/prometheus", timeout=5) as response:
                lines = response.read().decode().splitlines()
            return {line for line in lines if line.startswith("envoy_kiteway_")}

        until(lambda: 'envoy_kiteway_queue_time_count{pool="pool"} 1' in shown())
        assert shown() >= {'envoy_kiteway_refused_total{reason="waited"} 1', 'envoy_kiteway_queued{pool="pool"} 0'}


def test_calls_that_are_cancelled_at_every_moment_leave_nothing_behind(tmp_path: Path) -> None:
    """After seconds of calls that are cancelled anywhere, every place is free and the queue is empty."""
    policy = {
        "scope": "policy",
        "limits": [{"by": ["user"], "inFlight": 6}],
        **admission(reads=2, waitMs=50, queuedBytes=100_000),
    }
    with Milvus() as milvus, behind(milvus, policy, tmp_path) as envoy:

        def run(seed: int) -> None:
            chance = random.Random(seed)
            end = time.monotonic() + 4
            with Client(envoy, f"user{seed % 2}") as client:
                while time.monotonic() < end:
                    call = client.start(request=question(vectors=bytes(chance.choice([1, 700_000]))))
                    if chance.random() < 0.7:
                        time.sleep(chance.random() / 100)
                        call.cancel()
                    else:
                        call.exception()

        threads = [threading.Thread(target=run, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            milvus.open.clear()
            time.sleep(0.05)
            milvus.open.set()
            time.sleep(0.05)
        for thread in threads:
            thread.join()

        until(lambda: statistic(envoy, "queued.pool.pool") == 0)
        assert envoy.process.poll() is None
        with Client(envoy, "user0") as one, Client(envoy, "user1") as other:
            assert [one.call().status.code, other.call().status.code] == [0, 0]
            before = sum(milvus.calls.values())
            milvus.open.clear()
            calls = [one.start(), other.start()]
            until(lambda: sum(milvus.calls.values()) == before + 2)
            milvus.open.set()
            assert {call.result() for call in calls} == {b"\x0a\x00"}

"""Large messages and large numbers: what passes, what is refused, and how much memory Envoy uses."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from pymilvus import MilvusClient

from kiteway.milvus.embedded import StandaloneMilvus
from kiteway.model import Endpoint, PoolKey
from tests.e2e.h2wire import CONTINUATION, HEADERS, Client, Holder, frame
from tests.e2e.traffic import (
    INSERT,
    KEY,
    OK_RESULT,
    SEARCH,
    Backend,
    Proxy,
    call,
    eventually,
    failure,
    health_check,
    host,
    model,
    pool,
    route,
    running,
)

pytestmark = pytest.mark.e2e

MIB = 1 << 20


def peak(proxy: Proxy, work: Callable[[], None]) -> int:
    """Return the most memory Envoy held over what it held before, while ``work`` ran."""
    before = highest = proxy.resident()
    done = threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.wait(0.02):
            highest = max(highest, proxy.resident())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        work()
    finally:
        done.set()
        watching.join()
    return highest - before


def times(count: int, work: Callable[[], object]) -> None:
    """Do ``work`` so often."""
    for _ in range(count):
        work()


def test_a_64_mib_insert_passes_without_being_held(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """
    The largest insert that Milvus accepts passes, and Envoy holds less than half of it, even with a slow
    endpoint.
    """
    size = 64 * MIB - 1024
    with Backend() as backend, running(tmp_path, free_port) as proxy, proxy.channel() as channel:
        proxy.apply(model(), [backend.endpoint()])
        call(channel, INSERT)
        used = peak(proxy, lambda: times(4, lambda: call(channel, INSERT, bytes(size), timeout=60)))
        assert [seen.size for seen in backend.calls[1:]] == [size] * 4
    assert used < 48 * MIB


def test_a_200_mib_answer_passes_without_being_held(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """An answer of 200 MiB arrives complete, and Envoy holds a fraction of it."""
    size = 200 * MIB
    with Backend(bytes(size)) as backend, running(tmp_path, free_port) as proxy, proxy.channel() as channel:
        proxy.apply(model(), [backend.endpoint()])
        used = peak(proxy, lambda: size_is(call(channel, SEARCH, timeout=60), size))
    assert used < 48 * MIB


def size_is(answer: bytes, size: int) -> None:
    """Check the size alone: a diff of so much cannot be read."""
    assert len(answer) == size


def test_too_large_is_refused_early_with_the_sizes(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """65 MiB against a limit of 64: RESOURCE_EXHAUSTED with both numbers, sent once."""
    with (
        Backend(max_request=64 * MIB) as first,
        Backend(max_request=64 * MIB) as second,
        running(tmp_path, free_port) as proxy,
        proxy.channel() as channel,
    ):
        proxy.apply(model(), [first.endpoint(), second.endpoint()])
        for method in (INSERT, SEARCH):
            error = failure(channel, method, bytes(65 * MIB), timeout=60)
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert str(65 * MIB) in (error.details() or "")
            assert str(64 * MIB) in (error.details() or "")
        assert proxy.stat("upstream_rq_retry") == 0
        assert proxy.failing() == {}
        assert call(channel, INSERT) == OK_RESULT


@pytest.fixture(scope="module")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A real Milvus without TLS."""
    with asyncio.Runner() as runner:
        server = StandaloneMilvus(tmp_path_factory.mktemp("milvus"))
        runner.run(server.start())
        yield Endpoint("127.0.0.1", server.endpoint.port, health_port=server.endpoint.health_port)
        runner.run(server.stop())


@pytest.mark.milvus
def test_milvus_itself_says_what_is_too_large(tmp_path: Path, free_port: Callable[[], int], milvus: Endpoint) -> None:
    """A real Milvus accepts an insert of 60 MB; PyMilvus raises at once for one above 64 MiB, with both sizes."""
    with running(tmp_path, free_port) as proxy:
        proxy.apply(model(pool(health_check=health_check())), [milvus])
        client = MilvusClient(f"http://127.0.0.1:{proxy.port}")
        try:
            dimension = 8192
            client.create_collection("large", dimension=dimension)
            vector = [0.5] * dimension
            rows = [{"id": number, "vector": vector} for number in range(1900)]
            assert client.insert("large", rows[:1800])["insert_count"] == 1800
            before = proxy.stat("http.http.downstream_rq_total")
            more = [{"id": number, "vector": vector} for number in range(2200)]
            with pytest.raises(grpc.RpcError, match="67108864") as caught:
                client.insert("large", more)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert proxy.stat("http.http.downstream_rq_total") - before == 1
        finally:
            client.close()


@contextlib.contextmanager
def holding(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Proxy]:
    """Run Envoy before a server that never answers, which has the host ``held``, and one that does, with all others."""
    held = PoolKey("default", "held-milvus", 19530)
    both = model(None, host("held", route(key=held)), host("*"))
    with Holder() as holder, Backend() as backend, running(tmp_path, free_port) as proxy:
        proxy.apply(
            replace(both, pools=(*both.pools, pool(key=held))),
            {KEY: [backend.endpoint()], held: [Endpoint("127.0.0.1", holder.port)]},
        )
        yield proxy


def test_ten_thousand_streams_at_a_time(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Ten thousand open calls on ten connections use bounded memory while other calls are served."""
    streams, connections = 1000, 10
    with holding(tmp_path, free_port) as proxy, contextlib.ExitStack() as stack:

        def open_all() -> None:
            for _ in range(connections):
                client = stack.enter_context(Client(proxy.port))
                for _ in range(streams):
                    client.request(SEARCH, authority="held")
            everything = streams * connections
            eventually(lambda: proxy.stat("http.http.downstream_rq_active") == everything, "all are open", 60)
            with proxy.channel() as channel:
                assert call(channel, SEARCH) == OK_RESULT

        used = peak(proxy, open_all)
        assert used < 400 * MIB
    assert proxy.process.returncode == 0


def test_slow_readers_affect_no_other_client(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Two hundred clients that never read their answers of 8 MiB use bounded memory, and other clients are served."""
    with Backend(bytes(8 * MIB)) as backend, running(tmp_path, free_port) as proxy, contextlib.ExitStack() as stack:
        proxy.apply(model(), [backend.endpoint()])

        def open_all() -> None:
            for _ in range(20):
                client = stack.enter_context(Client(proxy.port))
                for _ in range(10):
                    client.request(SEARCH)
            eventually(lambda: len(backend.calls) >= 200, "all have asked", 60)
            with proxy.channel() as channel:
                size_is(call(channel, SEARCH, timeout=60), 8 * MIB)

        used = peak(proxy, open_all)
        assert used < 400 * MIB


def test_header_floods_leave_nothing_behind(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Connections that send endless headers are closed; memory does not grow with their number."""
    with Backend() as backend, running(tmp_path, free_port) as proxy, proxy.channel() as channel:
        proxy.apply(model(), [backend.endpoint()])

        def flood() -> None:
            for _ in range(50):
                with (
                    contextlib.suppress(ConnectionError),
                    socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as client,
                ):
                    client.sendall(b"GET / HTTP/1.1\r\nHost: milvus\r\n")
                    for number in range(1000):
                        client.sendall(b"X-%d: %s\r\n" % (number, b"a" * 1000))

        flood()
        assert peak(proxy, lambda: times(4, flood)) < 64 * MIB
        assert call(channel, SEARCH) == OK_RESULT
        assert backend.count("GET") == 0


def test_continuation_floods_leave_nothing_behind(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """HTTP/2 headers with endless CONTINUATION frames end the connection (CVE-2024-27919)."""
    # A literal header without indexing: name "x", a value of 4,000 bytes (RFC 7541, 6.2.2).
    literal = b"\x00\x01x\x7f\xa1\x1e" + b"a" * 4000
    with Backend() as backend, running(tmp_path, free_port) as proxy, proxy.channel() as channel:
        proxy.apply(model(), [backend.endpoint()])

        def flood() -> None:
            with Client(proxy.port) as client:
                client.socket.sendall(frame(HEADERS, 0, literal, 1))
                with pytest.raises(ConnectionError):  # noqa: PT012 - whichever of them finds it closed
                    for _ in range(100_000):
                        client.socket.sendall(frame(CONTINUATION, 0, literal, 1))

        flood()
        assert peak(proxy, lambda: times(10, flood)) < 32 * MIB
        assert call(channel, SEARCH) == OK_RESULT


def test_rapid_resets_leave_nothing_behind(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """After tens of thousands of opened and reset streams no stream is open and no memory is used."""
    with holding(tmp_path, free_port) as proxy, proxy.channel() as channel:

        def flood() -> None:
            with contextlib.suppress(OSError), Client(proxy.port) as client:
                for _ in range(8_000):
                    stream = client.request(SEARCH, authority="held", end=False)
                    client.connection.reset_stream(stream, error_code=8)

        flood()
        assert peak(proxy, lambda: times(3, flood)) < 48 * MIB
        eventually(lambda: proxy.stat("http.http.downstream_rq_active") == 0, "nothing is left open")
        assert call(channel, SEARCH) == OK_RESULT

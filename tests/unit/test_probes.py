"""Probes and scrapes while other clients use all connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kiteway.envoy.calls import CallsClient
from kiteway.metrics.probes import Probes
from kiteway.metrics.server import application
from kiteway.status.connections import Connections, LimitedProtocol
from kiteway.status.limits import Limits
from kiteway.status.server import serving
from tests.support.probes import (
    KEPT,
    PATIENT,
    PROBE,
    SOON,
    Admin,
    Page,
    always_ready,
    connected,
    get,
    served,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("number", "peers"), [(64, 1), (300, 1), (600, 200)])
async def test_silent_connections_keep_no_probe_out(free_port: Callable[[], int], number: int, peers: int) -> None:
    """Probes are answered while others hold any number of connections, from one address or many."""
    async with served(free_port, PATIENT) as (port, _), connected(port, number, peers=peers):
        for path in ("/live", "/ready") * 5:
            async with asyncio.timeout(SOON):
                assert (await get(port, path)).startswith(b"HTTP/1.1 200")


async def test_a_probe_from_the_attackers_own_address_is_answered(free_port: Callable[[], int]) -> None:
    """On one machine all connections come from loopback."""
    async with served(free_port, PATIENT) as (port, _), connected(port, 300):
        async with asyncio.timeout(SOON):
            assert (await get(port, "/live", "127.1.0.1")).startswith(b"HTTP/1.1 200")


async def test_a_storm_pushes_out_no_request_that_is_there(free_port: Callable[[], int]) -> None:
    """
    However many connections wait behind a probe, also of its own address, the probe is read before they are
    accepted.
    """
    async with served(free_port) as (port, _):
        # The server shares this thread: it sees them all at once.
        with contextlib.ExitStack() as stack:
            probe, *_ = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(500)]
            probe.sendall(b"GET /live HTTP/1.1\r\nHost: k\r\nConnection: close\r\n\r\n")
            probe.setblocking(False)
            async with asyncio.timeout(SOON):
                assert (await asyncio.get_running_loop().sock_recv(probe, 100)).startswith(b"HTTP/1.1 200")
                # It is the last in the queue: all have been taken.
                assert (await get(port, "/live")).startswith(b"HTTP/1.1 200")


async def test_a_client_that_asks_late_is_not_closed_for_a_storm(free_port: Callable[[], int]) -> None:
    """A probe may come to send its request when hundreds of connections from its address were accepted after it."""
    async with served(free_port) as (port, _), contextlib.AsyncExitStack() as stack:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        stack.callback(writer.transport.abort)
        for _ in range(8):
            # They wait in the kernel together.
            for _ in range(60):
                stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            # It is the last in the queue: all have been taken.
            assert (await get(port, "/live", "127.1.0.1")).startswith(b"HTTP/1.1 200")
        writer.write(PROBE)
        assert (await reader.readuntil(b"live")).startswith(b"HTTP/1.1 200")


async def test_silent_connections_cost_nothing_of_the_http_server(
    free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a thousand connections of one address on which nothing comes, none becomes a connection of the HTTP server."""
    made = _made(monkeypatch)
    async with served(free_port) as (port, _):
        before = len(made)
        with contextlib.ExitStack() as stack:
            for _ in range(1000):
                stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            assert (await get(port, "/elsewhere", "127.1.0.1")).startswith(b"HTTP/1.1 404")
    assert len(made) - before == 1


async def test_a_connection_that_seems_to_have_bytes_does_not_hold_the_server(tmp_path: Path) -> None:
    """The kernel calls a unix socket readable on which only out-of-band data is, and a read of it would wait for ever."""
    app = application(Page(), Admin(), CallsClient(Path("/nowhere")), Probes(always_ready))
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        async with serving(listener, app, PATIENT):
            client.connect(str(tmp_path / "s"))
            try:
                client.send(b"a", socket.MSG_OOB)
            except OSError:
                pytest.skip("this kernel has no out-of-band data on unix sockets")
            rescue = threading.Timer(SOON, client.shutdown, [socket.SHUT_RDWR])
            rescue.start()
            try:
                reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
                writer.write(PROBE)
                assert (await reader.readuntil(b"live")).startswith(b"HTTP/1.1 200")
                writer.close()
                assert rescue.is_alive()
            finally:
                rescue.cancel()


@pytest.mark.parametrize("peers", [1, 200])
@pytest.mark.parametrize(
    "sent", [b"G", b"GET /live HTTP/1.1\r\nHost: k\r\n", PROBE], ids=["a byte", "half a head", "a probe"]
)
async def test_connections_on_which_something_comes_keep_no_probe_out(
    free_port: Callable[[], int], peers: int, sent: bytes
) -> None:
    """A probe among hundreds of connections that each send something, also from its own address, is answered."""
    async with served(free_port, PATIENT) as (port, _):
        with contextlib.ExitStack() as stack:
            # The server shares this thread: it sees them all at once.
            _flood(stack, port, 150, peers, sent)
            probes = [
                _flood(stack, port, 1, 1, b"GET %s HTTP/1.1\r\nHost: k\r\n\r\n" % path)[0]
                for path in (b"/live", b"/ready")
            ]
            _flood(stack, port, 600, peers, sent)
            for probe in probes:
                probe.setblocking(False)
                async with asyncio.timeout(SOON):
                    assert (await asyncio.get_running_loop().sock_recv(probe, 100)).startswith(b"HTTP/1.1 200")


async def test_parts_of_heads_close_no_silent_connection(free_port: Callable[[], int]) -> None:
    """A probe may come to send its request when a thousand connections of its address have sent a byte after it connected."""
    async with served(free_port, PATIENT) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.ExitStack() as stack:
            _flood(stack, port, 1000, 1, b"G")
            # It is the last in the queue: all have been taken.
            assert (await get(port, "/live", "127.1.0.1")).startswith(b"HTTP/1.1 200")
            writer.write(PROBE)
            assert (await reader.readuntil(b"live")).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_parts_of_heads_cost_nothing_of_the_http_server(
    free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a thousand connections of many addresses with a byte each, none becomes a connection of the HTTP server."""
    made = _made(monkeypatch)
    async with served(free_port) as (port, _):
        before = len(made)
        with contextlib.ExitStack() as stack:
            _flood(stack, port, 1000, 200, b"G")
            assert (await get(port, "/elsewhere", "127.2.0.1")).startswith(b"HTTP/1.1 404")
    assert len(made) - before == 1


async def test_of_a_burst_of_requests_as_many_are_answered_as_may_wait(free_port: Callable[[], int]) -> None:
    """Of hundreds of requests of one address at the same time the oldest are closed, and another address is answered."""
    async with served(free_port, PATIENT) as (port, _):
        with contextlib.ExitStack() as stack:
            burst = _flood(stack, port, 200, 1, b"GET /elsewhere HTTP/1.1\r\nHost: k\r\n\r\n")
            assert (await get(port, "/elsewhere", "127.2.0.1")).startswith(b"HTTP/1.1 404")
            first = [await _first_bytes(each) for each in burst]
            assert [bool(each) for each in first] == [False] * 72 + [True] * Limits().waiting
            assert set(first) == {b"", b"HTTP/1.1 404"}


async def _first_bytes(connection: socket.socket) -> bytes:
    connection.setblocking(False)
    async with asyncio.timeout(SOON):
        try:
            return (await asyncio.get_running_loop().sock_recv(connection, 100))[:12]
        except ConnectionError:
            return b""


def _flood(stack: contextlib.ExitStack, port: int, number: int, peers: int, sent: bytes) -> list[socket.socket]:
    """Connect from addresses of loopback, and send so much on each connection."""
    made = []
    for at in range(number):
        source = (f"127.1.0.{1 + at % peers}" if peers > 1 else "127.0.0.1", 0)
        made.append(stack.enter_context(socket.create_connection(("127.0.0.1", port), source_address=source)))
        made[-1].sendall(sent)
    return made


@pytest.mark.parametrize("request_", [PROBE, KEPT], ids=["a probe", "another request"])
async def test_a_head_may_come_in_pieces(free_port: Callable[[], int], request_: bytes) -> None:
    """A request is answered when its last byte comes, wherever it was cut."""
    async with served(free_port, PATIENT) as (port, _):
        for cut in (1, len(request_) - 3, len(request_) - 2, len(request_) - 1):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request_[:cut])
            # It is behind the piece in the queue.
            assert (await get(port, "/live")).startswith(b"HTTP/1.1 200")
            writer.write(request_[cut:])
            async with asyncio.timeout(SOON):
                assert (await reader.readuntil(b"live")).startswith(b"HTTP/1.1 200")
            writer.close()


async def test_what_comes_with_a_head_is_not_lost(free_port: Callable[[], int]) -> None:
    """Requests that come together are answered one after the other, also by a server that has read the first one already."""
    async with served(free_port, PATIENT) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(PROBE + KEPT + b"GET /elsewhere HTTP/1.1\r\nHost: k\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(SOON):
            answers = await reader.read()
        assert [line for line in answers.split(b"\r\n") if b"HTTP/1.1" in line] == [
            b"HTTP/1.1 200 OK",
            b"liveHTTP/1.1 200 OK",
            b"liveHTTP/1.1 404 Not Found",
        ]
        writer.close()


@pytest.mark.parametrize("request_", [PROBE, KEPT], ids=["a probe", "another request"])
async def test_a_client_that_only_reads_on_is_answered(free_port: Callable[[], int], request_: bytes) -> None:
    """A client may end its half of the connection after the request; one that ends it before gets no answer."""
    async with served(free_port, PATIENT) as (port, _):
        for sent, begin in ((request_, b"HTTP/1.1 200"), (request_[:-1], b"")):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            writer.write_eof()
            async with asyncio.timeout(SOON):
                assert (await reader.read())[:12] == begin
            writer.close()


@pytest.mark.parametrize("sent", ["GET /ready HTTP/1.1\r\nHost: k\r\n\r\n", "GET /ready? HTTP/1.1\r\nHost: k\r\n\r\n"])
async def test_a_probe_learns_only_that_the_instance_is_not_ready(free_port: Callable[[], int], sent: str) -> None:
    """The port may be open to others, so the reason is in the status alone."""

    async def ready() -> str:
        return "the host a.test is in quarantine"

    async with served(free_port, PATIENT, ready) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent.encode())
        async with asyncio.timeout(SOON):
            answer = await reader.readuntil(b"not ready")
        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"a.test" not in answer
        writer.close()


async def test_a_probe_is_closed_when_readiness_cannot_be_told(free_port: Callable[[], int]) -> None:
    """An error while the instance is asked ends the probe at once, and the next one asks again."""
    fails = True

    async def ready() -> str:
        if fails:
            raise RuntimeError
        return ""

    async with served(free_port, PATIENT, ready) as (port, _), asyncio.timeout(SOON):
        assert await get(port, "/ready") == b""
        fails = False
        assert (await get(port, "/ready")).startswith(b"HTTP/1.1 200")


def _made(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return the connections of the HTTP server from now on, those that it closes too."""
    made: list[object] = []
    add = Connections.add

    def counted(self: Connections, connection: LimitedProtocol) -> None:
        made.append(connection)
        add(self, connection)

    monkeypatch.setattr(Connections, "add", counted)
    return made

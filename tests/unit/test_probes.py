"""Probes and scrapes while other clients use all connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from kiteway.envoy.admin import AdminClient
from kiteway.envoy.calls import CallsClient
from kiteway.metrics.controlplane import ControlPlaneMetrics
from kiteway.metrics.probes import Probes
from kiteway.metrics.server import application, scraped
from kiteway.status.connections import Connections, LimitedProtocol
from kiteway.status.limits import Limits
from kiteway.status.server import serving

pytestmark = pytest.mark.anyio
QUICK = Limits(head_seconds=0.3, answer_seconds=0.6)
"""Closes soon what waits; only for what is to be closed."""
PATIENT = Limits(head_seconds=600, answer_seconds=600)
"""Closes nothing for its time: what is answered here waits for no other client."""
SOON = 60.0
"""Seconds that suffice on a busy machine, far below those of `PATIENT`."""


KEPT = b"GET /live?kept HTTP/1.1\r\nHost: k\r\n\r\n"
"""A request that no kubelet sends: the HTTP server answers it, and keeps the connection."""
PROBE = b"GET /live HTTP/1.1\r\nHost: k\r\n\r\n"


class Page(ControlPlaneMetrics):
    """A page of 8 MiB, which no socket's buffers hold."""

    def __init__(self) -> None:
        self.served = 0

    def pools(self) -> list[object]:  # type: ignore[override]
        """Return none."""
        return []

    def text(self) -> bytes:
        """Return it."""
        self.served += 1
        return b"# page\n" * (8 * 1024 * 1024 // 7)


class Admin(AdminClient):
    """An Envoy that adds nothing to the page."""

    def __init__(self) -> None:
        pass

    async def prometheus(self, pattern: str = ".") -> AsyncIterator[bytes]:
        """Yield nothing."""
        for nothing in list[bytes]():
            yield nothing


async def always_ready() -> str:
    """Say that it is ready."""
    return ""


Served = tuple[int, Page]


@contextlib.asynccontextmanager
async def served(
    free_port: Callable[[], int], limits: Limits | None = None, ready: Callable[[], Awaitable[str]] = always_ready
) -> AsyncIterator[Served]:
    """Serve metrics and probes on a port of loopback."""
    port, page = free_port(), Page()
    probes = Probes(ready)
    app = application(page, Admin(), CallsClient(Path("/nowhere")), probes)
    async with scraped(f"127.0.0.1:{port}", app, limits or Limits(), answer=probes.answer):
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /live HTTP/1.1\r\nHost: k\r\nConnection: close\r\n\r\n")
                await reader.read()  # the server has forgotten it when it is at its end
                writer.close()
                break
        yield port, page


async def get(port: int, path: str, source: str = "127.0.0.1") -> bytes:
    """Ask as a kubelet does: a connection a probe; return the head and the beginning of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: k\r\nConnection: close\r\n\r\n".encode())
        return await reader.read(1000)
    finally:
        writer.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until ``condition`` is true."""
    async with asyncio.timeout(SOON):
        while not condition():  # noqa: ASYNC110 - what it looks at has no events
            await asyncio.sleep(0.01)


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def connected(port: int, number: int, *, peers: int = 1) -> AsyncIterator[list[Connection]]:
    """Hold connections from addresses of loopback; whoever closes them is not us."""
    opened = [
        await asyncio.open_connection("127.0.0.1", port, local_addr=(f"127.1.0.{1 + at % peers}", 0))
        for at in range(number)
    ]
    try:
        yield opened
    finally:
        for _, writer in opened:
            writer.transport.abort()


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


async def test_a_peer_has_so_many_connections_and_all_have_so_many(free_port: Callable[[], int]) -> None:
    """Above either limit the server closes the oldest connection of the peer with the most."""
    limits = Limits(connections=8, of_a_peer=4)
    async with served(free_port, limits) as (port, _), connected(port, 6) as greedy:
        await _ask(greedy)
        await asyncio.gather(*(_ended(reader) for reader, _ in greedy[:2]))
        async with connected(port, 5, peers=5) as others:
            await _ask(others)
            # 4 and 5 of 8: one of the greedy goes. Its address and the first of the others' are the same.
            await _ended(greedy[2][0])
            await _ask([*greedy[3:], *others])


async def _ask(connections: list[Connection]) -> None:
    for reader, writer in connections:
        writer.write(KEPT)
        assert (await reader.readuntil(b"live")).startswith(b"HTTP/1.1 200")


async def test_so_many_connections_may_be_silent(free_port: Callable[[], int]) -> None:
    """Above their number the server closes the oldest of the peer with the most."""
    async with (
        served(free_port, Limits(silent=8)) as (port, _),
        connected(port, 6) as greedy,
        connected(port, 5, peers=5) as others,
    ):
        await asyncio.gather(*(_ended(reader) for reader, _ in greedy[:3]))
        for reader, writer in [*greedy[3:], *others]:
            writer.write(PROBE)
            assert (await reader.readuntil(b"live")).startswith(b"HTTP/1.1 200")


async def _ended(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""


async def _ended_after_something(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(64 * 1024):
            pass


@pytest.mark.parametrize("bytes_", [b"", b"GET /live HTTP/1.1\r\nHost: k\r\n"], ids=["silent", "half a head"])
async def test_a_connection_without_a_request_is_closed(free_port: Callable[[], int], bytes_: bytes) -> None:
    """A connection without a whole request is closed after its time."""
    async with served(free_port, QUICK) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(bytes_)
        async with asyncio.timeout(SOON):
            await _ended(reader)
        writer.close()


async def test_a_byte_at_a_time_wins_no_time(free_port: Callable[[], int]) -> None:
    """Bytes of a request's head do not prolong its time limit."""
    async with served(free_port, QUICK) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        ended = asyncio.create_task(_ended(reader))
        writer.write(b"GET /live HTTP/1.1\r\nX: ")
        async with asyncio.timeout(SOON):
            while not ended.done():
                with contextlib.suppress(ConnectionError):
                    writer.write(b"x")
                await asyncio.sleep(0.02)
        writer.close()


async def test_a_second_request_has_its_own_time(free_port: Callable[[], int]) -> None:
    """A client may keep its connection, as Prometheus does; it is closed when no request comes."""
    limits = Limits(head_seconds=1)  # so long may this process stand still between two requests
    async with served(free_port, limits) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        began = time.monotonic()
        while time.monotonic() - began < 2 * limits.head_seconds:
            writer.write(KEPT)
            assert (await reader.readuntil(b"live")).startswith(b"HTTP/1.1 200")
        async with asyncio.timeout(SOON):
            await _ended(reader)
        writer.close()


async def test_a_head_has_a_size(free_port: Callable[[], int]) -> None:
    """An endless head is refused and uses bounded memory."""
    async with served(free_port, PATIENT) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /live HTTP/1.1\r\nX: " + b"x" * 100_000)
        async with asyncio.timeout(SOON):
            assert (await reader.read(100)).startswith(b"HTTP/1.1 400")
        writer.close()


@contextlib.asynccontextmanager
async def _slow_scrapes(port: int, number: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    """Ask for the page on so many connections, and do not read it."""
    slow = [await asyncio.open_connection("127.0.0.1", port, limit=1024) for _ in range(number)]
    try:
        for _, writer in slow:
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: k\r\n\r\n")
        yield [reader for reader, _ in slow]
    finally:
        for _, writer in slow:
            writer.transport.abort()


async def test_scrapes_are_few(free_port: Callable[[], int]) -> None:
    """Slow readers get no more than a few pages at a time, hold up no probe, and make room when they leave."""
    async with served(free_port, PATIENT) as (port, page), asyncio.timeout(SOON):
        async with _slow_scrapes(port, 12):
            await until(lambda: page.served == 4)
            assert (await get(port, "/live")).startswith(b"HTTP/1.1 200")
            assert (await get(port, "/metrics")).startswith(b"HTTP/1.1 503")
            assert page.served == 4
        while not (await get(port, "/metrics")).startswith(b"HTTP/1.1 200"):  # noqa: ASYNC110 - a slot has no events
            await asyncio.sleep(0.01)


async def test_a_slow_reader_is_closed(free_port: Callable[[], int]) -> None:
    """A client that does not read its page holds it for a limited time."""
    async with served(free_port, Limits(answer_seconds=1)) as (port, page), _slow_scrapes(port, 4) as slow:
        async with asyncio.timeout(SOON):
            await until(lambda: page.served == 4)
            await asyncio.gather(*map(_ended_after_something, slow))
            assert (await get(port, "/metrics")).startswith(b"HTTP/1.1 200")


async def test_envoy_is_asked_once_at_a_time_whether_it_is_ready(free_port: Callable[[], int]) -> None:
    """
    A thousand concurrent probes are one request to Envoy; a client that disconnects does not end it for the
    others.
    """
    asked, answer = 0, asyncio.Event()

    async def ready() -> str:
        nonlocal asked
        asked += 1
        await answer.wait()
        return ""

    async with served(free_port, Limits(of_a_peer=64), ready) as (port, _):
        impatient = asyncio.create_task(get(port, "/ready"))
        await until(lambda: asked == 1)
        waiting = [asyncio.create_task(get(port, "/ready")) for _ in range(20)]
        impatient.cancel()
        await until(impatient.done)
        assert (await get(port, "/live")).startswith(b"HTTP/1.1 200")
        answer.set()
        for each in await asyncio.gather(*waiting):
            assert each.startswith(b"HTTP/1.1 200")
        assert asked == 1

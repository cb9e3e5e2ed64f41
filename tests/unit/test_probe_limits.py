"""How many connections the port of probes and metrics has, how long each may last, and how much it may send."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import pytest

from kiteway.status.limits import Limits
from tests.support.probes import (
    KEPT,
    PATIENT,
    PROBE,
    QUICK,
    SOON,
    Connection,
    connected,
    get,
    served,
    until,
)

pytestmark = pytest.mark.anyio


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

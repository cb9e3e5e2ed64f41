"""How long a drain of Envoy waits for the connections of clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kiteway.instance import Instance
from kiteway.supervisor import children

Counts = dict[str, int]
IDLE: Counts = {"cx_active": 2, "cx_http1_active": 2, "rq_active": 0}
BUSY: Counts = IDLE | {"rq_active": 1}
WITH_HTTP2: Counts = IDLE | {"cx_active": 3}
GONE: Counts = dict.fromkeys(IDLE, 0)


@asynccontextmanager
async def envoy(instance: Instance, counts: Callable[[], Counts]) -> AsyncIterator[None]:
    """Answer on the admin socket: OK to a POST, and the counts of one listener to a GET."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            found = counts() if head.startswith(b"GET") else {}
            stats = [{"name": f"http.https.downstream_{name}", "value": value} for name, value in found.items()]
            body = json.dumps({"stats": stats}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_unix_server(serve, instance.admin_socket)
    try:
        yield
    finally:
        server.close()


def drained(tmp_path: Path, counts: Callable[[], Counts]) -> None:
    """Drain an Envoy with these connections; fail if that does not end."""

    async def run() -> None:
        instance = Instance(tmp_path)
        instance.run_dir.mkdir(parents=True, exist_ok=True)
        async with envoy(instance, counts):
            await asyncio.wait_for(children.drain_envoy(instance), 30)

    asyncio.run(run())


def test_idle_connections_of_http1_are_not_waited_for(tmp_path: Path) -> None:
    """They never go by themselves here, as Envoy keeps them for five seconds."""
    drained(tmp_path, lambda: IDLE)


@pytest.mark.parametrize("waits", [BUSY, WITH_HTTP2])
def test_a_request_and_a_client_of_http2_are_waited_for(
    tmp_path: Path, waits: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long that takes."""
    monkeypatch.setattr(children, "_IDLE_SECONDS", 0.0)
    monkeypatch.setattr(children, "_DRAIN_POLL_SECONDS", 0.0)
    looks = iter([waits] * 50)
    seen: list[Counts] = []

    def counts() -> Counts:
        seen.append(next(looks, GONE))
        return seen[-1]

    drained(tmp_path, counts)
    assert seen == [*[waits] * 50, GONE]

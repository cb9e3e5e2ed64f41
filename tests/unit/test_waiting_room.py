"""The waiting room beside listeners of this process, which stand in for the child."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from kiteway.supervisor.waiting_room import Listening, WaitingRoom

MIGRATE_REQ = Path("/proc/sys/net/ipv4/tcp_migrate_req")
pytestmark = pytest.mark.skipif(
    not MIGRATE_REQ.exists() or MIGRATE_REQ.read_text().strip() != "1", reason="net.ipv4.tcp_migrate_req is not 1"
)


class Child:
    """Some listeners on one port."""

    def __init__(self, port: int, workers: int) -> None:
        self.address = ("127.0.0.1", port)
        self.workers = workers
        self.listeners: list[socket.socket] = []

    def listen(self) -> None:
        """Begin to listen."""
        for _ in range(self.workers):
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(self.address)
            listener.listen(512)
            listener.setblocking(False)
            self.listeners.append(listener)

    def stop(self) -> None:
        """Stop listening."""
        for listener in self.listeners:
            listener.close()
        self.listeners.clear()

    async def look(self) -> Listening:
        """Tell what it listens on."""
        if not self.listeners:
            raise ConnectionRefusedError
        return Listening(frozenset({self.address}), self.workers)

    def accept(self) -> int:
        """Take in who waits, and say hello to each; return how many came."""
        came = 0
        for listener in self.listeners:
            with contextlib.suppress(BlockingIOError):
                while True:
                    client, _ = listener.accept()
                    client.sendall(b"hello")
                    client.close()
                    came += 1
        return came

    async def accept_all(self, count: int) -> None:
        """Take in so many."""
        async with asyncio.timeout(30):
            while count > 0:
                count -= self.accept()
                await asyncio.sleep(0.005)
        assert count == 0


async def connected(address: tuple[str, int], count: int) -> list[socket.socket]:
    """Make so many connections; each is in somebody's queue."""
    return [await asyncio.to_thread(socket.create_connection, address, 10) for _ in range(count)]


def greeted(clients: list[socket.socket]) -> None:
    """See that each was taken in."""
    for client in clients:
        with client:
            assert client.recv(16) == b"hello"


async def until_held(child: Child) -> None:
    """Wait until a port without a child takes connections."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                (probe,) = await connected(child.address, 1)
                probe.close()
                return
            await asyncio.sleep(0.01)


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run it in a separate loop."""
    asyncio.run(work)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_child_gets_every_connection_while_it_listens(free_port: Callable[[], int], workers: int) -> None:
    """While a child listens the waiting room gets no connection; it gets them when the child ends."""

    async def main() -> None:
        child = Child(free_port(), workers)
        child.listen()
        room = WaitingRoom(child.look)
        room.open()
        for _ in range(5):
            clients = await connected(child.address, 20)
            await child.accept_all(20)
            greeted(clients)
        child.stop()
        await until_held(child)
        await room.close()
        with pytest.raises(ConnectionRefusedError):
            await connected(child.address, 1)

    run(main())


@pytest.mark.parametrize("workers", [1, 2])
def test_waiting_connections_go_to_the_next_child(free_port: Callable[[], int], workers: int) -> None:
    """The child that listens next accepts the connections made meanwhile; twice in a row."""

    async def main() -> None:
        child = Child(free_port(), workers)
        child.listen()
        room = WaitingRoom(child.look)
        room.open()
        clients = await connected(child.address, 1)
        await child.accept_all(1)
        greeted(clients)
        await asyncio.sleep(0)
        for _ in range(2):
            child.stop()
            await until_held(child)
            clients = await connected(child.address, 30)
            child.listen()
            # The one that only looked comes along.
            await child.accept_all(31)
            greeted(clients)
            after = await connected(child.address, 20)
            await child.accept_all(20)
            greeted(after)
        await room.close()
        child.stop()

    run(main())

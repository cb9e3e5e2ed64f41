"""
A TCP relay that can refuse, delay and reset connections: the network to an endpoint, or a Layer-4 address.

It is a separate process (``python -m tests.support.relay TARGET_PORT...``), so that a busy client cannot slow it
down. It reads one command on each line of its standard input, answers each with ``ok``, and ends when its input closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Self

_CHUNK = 1 << 16
_ABORT = struct.pack("ii", 1, 0)
"""``SO_LINGER`` with no time: closing sends RST instead of FIN."""

_LAGGING_SHARE = 0.5

Mode = Literal["pass", "refuse", "swallow"]
"""
``refuse``: no process listens, and open connections are reset. ``swallow``: connections are taken, open ones kept, and
nothing is passed on in either direction (a firewall that drops).
"""


class Relay:
    """
    A running relay to ports of 127.0.0.1; a context manager.

    With several it takes turns, and passes over those that refuse a connection.
    """

    def __init__(self, *targets: int) -> None:
        self._command = [sys.executable, "-m", "tests.support.relay", *map(str, targets)]
        self.port = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        )
        self.port = int(self._answer())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=10)

    def set_mode(self, mode: Mode) -> None:
        """Change how connections are treated."""
        self._ask(mode)

    def set_delay(self, seconds: float) -> None:
        """Hold back everything the endpoint sends for so long."""
        self._ask(f"delay {seconds}")

    def set_lag(self, seconds: float) -> None:
        """Do the same on some connections only, chosen at random, so that calls overtake each other."""
        self._ask(f"lag {seconds}")

    def reset_one(self) -> None:
        """Reset one connection, chosen at random, on both sides."""
        self._ask("reset")

    def _ask(self, command: str) -> None:
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()
            assert self._answer() == "ok"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


class _Server:
    def __init__(self, targets: Sequence[int]) -> None:
        self._targets = deque(targets)
        self._port = 0
        self._listener: asyncio.Server | None = None
        self._links: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._delay = 0.0
        self._lag = 0.0
        self._lagging: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()

    async def listen(self) -> int:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self._port, limit=_CHUNK)
        self._port = self._listener.sockets[0].getsockname()[1]
        return self._port

    async def obey(self, command: str) -> None:
        match command.split():
            case ["pass"]:
                self._flowing.set()
                if self._listener is None:
                    await self.listen()
            case ["swallow"]:
                self._flowing.clear()
            case ["refuse"] if self._listener is not None:
                self._listener.close()
                self._listener = None
                for link in list(self._links):
                    self._abort(link)
            case ["delay", seconds]:
                self._delay = float(seconds)
            case ["lag", seconds]:
                self._lag = float(seconds)
                self._lagging = {link for link in self._links if random.random() < _LAGGING_SHARE}
            case ["reset"] if self._links:
                self._abort(random.choice(list(self._links)))

    def _abort(self, link: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> None:
        for writer in link:
            sock: socket.socket = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._targets.rotate()
        for target in tuple(self._targets):
            try:
                there_reader, there = await asyncio.open_connection("127.0.0.1", target, limit=_CHUNK)
            except OSError:
                continue
            break
        else:
            self._abort((writer, writer))
            return
        link = (writer, there)
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, there, lambda: 0.0))
                group.create_task(
                    self._pump(there_reader, writer, lambda: self._delay + self._lag * (link in self._lagging))
                )
        except* OSError:
            self._abort(link)
        finally:
            self._links.discard(link)
            self._lagging.discard(link)
            for end in link:
                end.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: Callable[[], float]
    ) -> None:
        # What is held back keeps its distance: a delay is not a narrower line.
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)

        async def write() -> None:
            clock = asyncio.get_running_loop().time
            while True:
                due, data = await held.get()
                await asyncio.sleep(max(0.0, due - clock()))
                await self._flowing.wait()
                if not data:
                    if writer.can_write_eof():
                        writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()

        async def read() -> None:
            data = b"first"
            while data:
                data = await reader.read(_CHUNK)
                await self._flowing.wait()
                await held.put((asyncio.get_running_loop().time() + delay(), data))

        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            group.create_task(read())


async def _main(targets: Sequence[int]) -> None:
    server = _Server(targets)
    print(await server.listen(), flush=True)  # noqa: T201 - the parent reads it
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        await server.obey(line.decode())
        print("ok", flush=True)  # noqa: T201 - likewise


if __name__ == "__main__":
    asyncio.run(_main([int(port) for port in sys.argv[1:]]))

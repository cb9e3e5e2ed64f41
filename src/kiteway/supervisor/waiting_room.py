"""
Where clients wait while a child that serves them is started again.

A port without a listener refuses connections, and a gRPC client that is refused fails its calls until it tries again, a
second later. So the supervisor listens beside the child (SO_REUSEPORT) and accepts nobody. A BPF program, which belongs to
all who listen there, gives each connection to one of the child's workers; when there are none, the kernel falls back to
whoever is left. When the child listens again, the supervisor's listener is closed, the kernel hands those who wait to the
child, and another one is opened behind it.

The kernel hands them over only with ``net.ipv4.tcp_migrate_req`` set (Linux 5.14). Elsewhere they would be reset, and to be
refused at once is better.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

_MIGRATE_REQ = Path("/proc/sys/net/ipv4/tcp_migrate_req")
# A child that is not back by then may not come back: clients shall know.
_LONGEST_SECONDS = 10.0
_POLL_SECONDS = 0.02
# How soon a listener is noticed that the child opens or closes while it runs.
_LOOK_SECONDS = 5.0
_SO_ATTACH_REUSEPORT_CBPF = 51  # asm-generic/socket.h

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Listening:
    """
    What a child listens on.

    Attributes:
        addresses: addresses and ports.
        workers: how many listeners it has on each.
    """

    addresses: frozenset[Address]
    workers: int


Look = Callable[[], Awaitable[Listening]]
"""Asks a child that serves what it listens on. Raises OSError or ValueError while it does not serve."""


class WaitingRoom:
    """Keeps listening where a child does, from when it first does until it is closed."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._listeners: list[socket.socket] = []
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin, where the kernel hands waiting connections over; elsewhere nothing happens."""
        if _migrates():
            self._task = asyncio.create_task(self._keep(), name="waiting room")

    async def close(self) -> None:
        """Let everybody go."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._let_go()

    async def _keep(self) -> None:
        at = await self._serving()
        while True:
            # Also when somebody came here though the child serves: it began to listen after us, and stands behind us.
            self._let_go()
            self._listeners = [found for address in at.addresses if (found := _listen(address, at.workers))]
            while not await self._somebody_waits():
                with contextlib.suppress(OSError, ValueError):
                    if (await self._look()).addresses != at.addresses:
                        break
            at = await self._serving()

    async def _serving(self) -> Listening:
        """Wait until the child serves; those who wait meanwhile do so for at most 10 s."""
        timer = asyncio.get_running_loop().call_later(_LONGEST_SECONDS, self._let_go)
        try:
            while True:
                with contextlib.suppress(OSError, ValueError):
                    return await self._look()
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            timer.cancel()

    async def _somebody_waits(self) -> bool:
        loop, came = asyncio.get_running_loop(), asyncio.Event()
        for listener in self._listeners:
            loop.add_reader(listener, came.set)
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                await came.wait()
        except TimeoutError:
            return False
        finally:
            for listener in self._listeners:
                loop.remove_reader(listener)
        return True

    def _let_go(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners = []


def _migrates() -> bool:
    try:
        return _MIGRATE_REQ.read_text().strip() == "1"
    except OSError:
        return False


def _listen(address: Address, workers: int) -> socket.socket | None:
    """Listen behind the ``workers`` that do already; None where that is not permitted."""
    first = second = None
    try:
        # The program can be attached only when the kernel may have given somebody to this listener already; those it
        # hands on when it is closed. Nobody is given to the next one.
        first = _listener(address)
        _give_to_others(first, workers)
        second = _listener(address)
    except OSError:
        return None
    finally:
        if first is not None:
            first.close()
    return second


def _listener(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(socket.SOMAXCONN)
    except OSError:
        listener.close()
        raise
    return listener


def _give_to_others(listener: socket.socket, workers: int) -> None:
    """Let the kernel choose among the first ``workers`` listeners at random (socket(7), SO_ATTACH_REUSEPORT_CBPF)."""
    program = b"".join(
        struct.pack("HBBI", code, 0, 0, operand)
        for code, operand in (
            (0x20, 0xFFFFF000 + 56),  # ld SKF_AD_OFF + SKF_AD_RANDOM (linux/filter.h)
            (0x94, workers),  # mod #workers
            (0x16, 0),  # ret a
        )
    )
    text = ctypes.create_string_buffer(program)
    filter_program = struct.pack("HP", len(program) // 8, ctypes.addressof(text))
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, filter_program)

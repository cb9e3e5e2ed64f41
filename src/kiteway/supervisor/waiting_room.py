"""
Where clients wait while a child that served them is started again.

A port without a listener refuses connections, and a gRPC client fails every call until it tries again. So the supervisor
listens in the child's place and accepts nobody: connections wait in the kernel's queue. When the child listens again, beside
it (SO_REUSEPORT), this listener is closed, and the kernel hands what waits to the child. It does so only with
``net.ipv4.tcp_migrate_req`` set (Linux 5.14); elsewhere they would be reset, and refusing at once is better.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

# A child that is not back by then may not come back: then clients shall know.
_LONGEST_SECONDS = 10.0
_POLL_SECONDS = 0.02
_MIGRATE_REQ = Path("/proc/sys/net/ipv4/tcp_migrate_req")

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Door:
    """
    A child's way in.

    Attributes:
        addresses: the addresses and ports that it listens on.
        open: tells whether it does.
    """

    addresses: tuple[Address, ...]
    open: Callable[[], Awaitable[bool]]


class WaitingRoom:
    """Listens on a child's addresses from the moment it is told to until the child does again."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._task: asyncio.Task[None] | None = None

    def take_in(self) -> None:
        """Listen, where nobody else does, for at most 10 s; nothing happens where the kernel hands nothing over."""
        if self._task is not None and not self._task.done():
            return
        listeners = [found for address in self._door.addresses if (found := _listen(address))] if _migrates() else []
        if listeners:
            self._task = asyncio.create_task(self._wait(listeners), name="waiting room")

    async def close(self) -> None:
        """Let everybody go."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _wait(self, listeners: list[socket.socket]) -> None:
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST_SECONDS):
                    while not await self._is_open():  # noqa: ASYNC110 - another process has no event for it
                        await asyncio.sleep(_POLL_SECONDS)
        finally:
            for listener in listeners:
                listener.close()

    async def _is_open(self) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return await self._door.open()
        return False


def _migrates() -> bool:
    try:
        return _MIGRATE_REQ.read_text().strip() == "1"
    except OSError:
        return False


def _listen(address: Address) -> socket.socket | None:
    """Listen on ``address``; None if somebody else does (a successor, which serves) or it cannot be had."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    # Without SO_REUSEPORT this fails beside any listener.
    for reuse_port in (0, 1):
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, reuse_port)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
            if reuse_port:
                listener.listen(socket.SOMAXCONN)
                return listener
            listener.close()
        except OSError:
            listener.close()
            return None
    return None

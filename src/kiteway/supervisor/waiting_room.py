"""
Where connections wait while the child that serves them is restarted.

A port without a listener refuses connections, and a gRPC client that was refused fails its calls until it connects again, a
second later. So the supervisor listens on the same port (SO_REUSEPORT) and accepts no connection. A BPF program, which all
listeners of the port share, gives each connection to one of the child's workers; without workers the kernel falls back to
the supervisor's listener. When the child listens again, the supervisor closes its listener, the kernel hands the waiting
connections to the child, and the supervisor opens another listener behind the child's.

The kernel hands them over only with ``net.ipv4.tcp_migrate_req`` set (Linux 5.14). Elsewhere they would be reset, which is
worse than a refusal at once.
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
_LONGEST_SECONDS = 10.0
"""The longest time that connections wait; a child that does not listen by then may not come back."""
_POLL_SECONDS = 0.02
_LOOK_SECONDS = 5.0
"""Seconds between two checks whether the child has opened or closed listeners."""
_SO_ATTACH_REUSEPORT_CBPF = 51  # asm-generic/socket.h

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Listening:
    """
    The listeners of a child.

    Attributes:
        addresses: addresses and ports.
        workers: how many listeners it has on each.
    """

    addresses: frozenset[Address]
    workers: int


Look = Callable[[], Awaitable[Listening]]
"""Asks a child for its listeners. Raises OSError or ValueError while it does not serve."""


class WaitingRoom:
    """Listens where a child listens, from the child's first listener until `close`."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._listeners: list[socket.socket] = []
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin; without effect where the kernel does not hand over waiting connections."""
        if _migrates():
            self._task = asyncio.create_task(self._keep(), name="waiting room")

    async def close(self) -> None:
        """Close the listeners."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._release()

    async def _keep(self) -> None:
        at = await self._serving()
        while True:
            # A connection that came here although the child serves: the child's listener is behind this one. Open it anew.
            self._release()
            self._listeners = [found for address in at.addresses if (found := _listen(address, at.workers))]
            while not await self._connection_waits():
                with contextlib.suppress(OSError, ValueError):
                    if (await self._look()).addresses != at.addresses:
                        break
            at = await self._serving()

    async def _serving(self) -> Listening:
        """Wait until the child serves; connections wait for at most 10 s."""
        timer = asyncio.get_running_loop().call_later(_LONGEST_SECONDS, self._release)
        try:
            while True:
                with contextlib.suppress(OSError, ValueError):
                    return await self._look()
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            timer.cancel()

    async def _connection_waits(self) -> bool:
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

    def _release(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners = []


def _migrates() -> bool:
    try:
        return _MIGRATE_REQ.read_text().strip() == "1"
    except OSError:
        return False


def _listen(address: Address, workers: int) -> socket.socket | None:
    """Listen behind the ``workers`` of the child; None where that is not permitted."""
    first = second = None
    try:
        # The program can be attached only to a listener, which the kernel may have given connections already. Closing it
        # hands those over; the second listener, made after the program, gets none.
        first = _listener(address)
        _give_to_workers(first, workers)
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


def _give_to_workers(listener: socket.socket, workers: int) -> None:
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

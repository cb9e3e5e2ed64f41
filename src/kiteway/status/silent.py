"""Connections to Kiteway's own HTTP servers on which nothing has come yet: sockets, and nothing of TLS or HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import socket
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Accepted:
    """
    A connection that the kernel has made.

    Attributes:
        connection: its socket.
        peer: the address of the other end; empty on a unix socket.
        since: when it was accepted, by the event loop's clock.
    """

    connection: socket.socket
    peer: str
    since: float


class Silent:
    """
    The silent connections of a server, in the order in which they came.

    A connection leaves when its first byte comes, or when it was silent for too long. If there are too many, the oldest of the
    address with the most is closed. A client connects first and asks then, so between the two it must not be closed for
    others. So there may be many of these connections, each of which costs no more than its socket.

    Args:
        most: how many there may be.
        seconds: how long one may be silent.
        serve: is called with connections on which something has come, those that came together at once.
    """

    def __init__(self, most: int, seconds: float, serve: Callable[[list[Accepted]], None]) -> None:
        self._most = most
        self._seconds = seconds
        self._serve = serve
        self._loop = asyncio.get_running_loop()
        self._selector = selectors.DefaultSelector()
        self._by_peer: dict[str, dict[Accepted, None]] = {}
        self._number = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._loop.add_reader(self._selector.fileno(), self._look)

    def add(self, new: list[Accepted]) -> None:
        """Add connections that were accepted just now; some of them may not be silent."""
        for each in new:
            self._selector.register(each.connection, selectors.EVENT_READ, each)
            self._by_peer.setdefault(each.peer, {})[each] = None
        self._number += len(new)
        # Before one is closed for another: something may have come on it.
        self._look()
        while self._number > self._most:
            of_peer = max(self._by_peer.values(), key=len)
            oldest = next(iter(of_peer))
            self._remove(oldest)
            oldest.connection.close()
        self._wait()

    def close(self) -> None:
        """Close all of them, and take no more."""
        self._loop.remove_reader(self._selector.fileno())
        for each in self._all():
            self._remove(each)
            each.connection.close()
        if self._deadline is not None:
            self._deadline.cancel()
        self._selector.close()

    def _look(self) -> None:
        """Find those on which something has come; close those that the client has closed."""
        came: list[Accepted] = []
        for key, _ in self._selector.select(0):
            each: Accepted = key.data
            self._remove(each)
            asks = False
            with contextlib.suppress(OSError):
                asks = bool(each.connection.recv(1, socket.MSG_PEEK))
            if asks:
                came.append(each)
            else:
                each.connection.close()
        if came:
            # The selector does not keep their order.
            self._serve(sorted(came, key=lambda each: each.since))

    def _wait(self) -> None:
        """Look again when the oldest has been silent for too long; without any there is no timer."""
        if self._by_peer and self._deadline is None:
            oldest = min(next(iter(of_peer)).since for of_peer in self._by_peer.values())
            self._deadline = self._loop.call_at(oldest + self._seconds, self._expire)

    def _expire(self) -> None:
        self._deadline = None
        now = self._loop.time()
        for each in self._all():
            if each.since + self._seconds <= now:
                self._remove(each)
                each.connection.close()
        self._wait()

    def _all(self) -> list[Accepted]:
        return [each for of_peer in self._by_peer.values() for each in of_peer]

    def _remove(self, each: Accepted) -> None:
        self._selector.unregister(each.connection)
        of_peer = self._by_peer[each.peer]
        del of_peer[each]
        if not of_peer:
            del self._by_peer[each.peer]
        self._number -= 1

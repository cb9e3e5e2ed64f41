"""Connections to Kiteway's own HTTP servers whose request has not come yet: a socket and some bytes, nothing of TLS or HTTP."""

from __future__ import annotations

import asyncio
import re
import selectors
import socket
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from kiteway.status.accepted import Accepted, ByPeer
from kiteway.status.limits import Limits

_END_OF_HEAD: Final = re.compile(rb"\n\r?\n")
"""As h11 finds it, which reads what comes after."""
_LONGEST_END: Final = 3


class _Came(Enum):
    NOTHING = auto()
    PART = auto()
    ALL = auto()
    END = auto()


class Arriving:
    """
    The connections of a server on which a request is expected.

    A connection leaves when the head of its request is complete, when its client closes it, or when the head has not come
    in time. If there are too many, the oldest of the address with the most is closed. A client connects first and asks
    then, so between the two it must not be closed for others. Those on which a part of a head has come are counted
    separately: a client writes its head at once, so such a part is no reason to close a connection that is silent.

    With TLS a connection leaves with its first byte, which stays in the socket: the head comes after the handshake.

    Args:
        limits: how many there may be, how long, and how long a head may be.
        tls: whether TLS is spoken.
        serve: is called with connections whose head is complete, or too long, those that came together at once.
    """

    def __init__(self, limits: Limits, *, tls: bool, serve: Callable[[list[Accepted]], None]) -> None:
        self._limits = limits
        self._tls = tls
        self._serve = serve
        self._loop = asyncio.get_running_loop()
        self._selector = selectors.DefaultSelector()
        self._silent = ByPeer()
        self._partial = ByPeer()
        self._deadline: asyncio.TimerHandle | None = None
        self._loop.add_reader(self._selector.fileno(), self._look)

    def add(self, new: list[Accepted]) -> None:
        """Add connections that were accepted just now; on some of them a request may be there."""
        asking = []
        for each in new:
            came = self._read(each)
            if came is _Came.ALL:
                asking.append(each)
            elif came is _Came.END:
                each.connection.close()
            else:
                self._selector.register(each.connection, selectors.EVENT_READ, each)
                (self._partial if came is _Came.PART else self._silent).add(each)
        # Before one is closed for another: something may have come on it.
        self._look(asking)
        for waiting, most in ((self._silent, self._limits.silent), (self._partial, self._limits.partial)):
            for each in waiting.shrink(most):
                self._selector.unregister(each.connection)
                each.connection.close()
        self._wait()

    def close(self) -> None:
        """Close all of them, and take no more."""
        self._loop.remove_reader(self._selector.fileno())
        for each in (*self._silent, *self._partial):
            self._end(each)
        if self._deadline is not None:
            self._deadline.cancel()
        self._selector.close()

    def _look(self, asking: list[Accepted] | None = None) -> None:
        """Serve those whose head is complete, and ``asking``; close those that the client has closed."""
        asking = asking or []
        for key, _ in self._selector.select(0):
            each: Accepted = key.data
            came = self._read(each)
            if came is _Came.ALL:
                self._remove(each)
                asking.append(each)
            elif came is not _Came.PART:
                # What the kernel calls readable may have nothing to read: out-of-band data on a unix socket.
                self._end(each)
            elif each in self._silent:
                self._silent.remove(each)
                self._partial.add(each)
        if asking:
            # The selector does not keep their order.
            self._serve(sorted(asking, key=lambda each: each.since))

    def _read(self, each: Accepted) -> _Came:
        longest, received = self._limits.head_bytes, each.received
        try:
            if self._tls:
                return _Came.ALL if each.connection.recv(1, socket.MSG_PEEK) else _Came.END
            data = each.connection.recv(longest + 1 - len(received))
        except (BlockingIOError, InterruptedError):
            return _Came.NOTHING
        except OSError:
            return _Came.END
        if not data:
            return _Came.END
        begin = max(0, len(received) - _LONGEST_END)
        received += data
        return _Came.ALL if len(received) > longest or _END_OF_HEAD.search(received, begin) else _Came.PART

    def _wait(self) -> None:
        """Look again when the oldest has waited for too long; without any there is no timer."""
        oldest = [since for waiting in (self._silent, self._partial) if (since := waiting.oldest()) is not None]
        if oldest and self._deadline is None:
            self._deadline = self._loop.call_at(min(oldest) + self._limits.head_seconds, self._expire)

    def _expire(self) -> None:
        self._deadline = None
        now = self._loop.time()
        for each in (*self._silent, *self._partial):
            if each.since + self._limits.head_seconds <= now:
                self._end(each)
        self._wait()

    def _end(self, each: Accepted) -> None:
        self._remove(each)
        each.connection.close()

    def _remove(self, each: Accepted) -> None:
        self._selector.unregister(each.connection)
        (self._silent if each in self._silent else self._partial).remove(each)

"""The connections to Kiteway's own HTTP servers, limited in number, per client and in time: no client can exclude another."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from uvicorn.protocols.http.h11_impl import H11Protocol

from kiteway.status.silent import Accepted

CERTIFIED: Final = "certified"
"""The key in a request's state under which it says whether its connection has a client certificate that was verified."""


@dataclass(frozen=True, slots=True)
class Limits:
    """
    The limits of a server.

    Attributes:
        connections: open connections on which something has come.
        of_a_peer: those of them that are from one address.
        silent: open connections on which nothing has come yet.
        head_seconds: seconds from the connection, or the last response, to the end of a request's head; single bytes do
            not extend it.
        answer_seconds: seconds from there until the client has read the whole response.
        head_bytes: the largest head of a request.
    """

    connections: int = 256
    of_a_peer: int = 64
    silent: int = 512
    head_seconds: float = 5.0
    answer_seconds: float = 15.0
    head_bytes: int = 8 * 1024


class Limited(Protocol):
    """
    One of the connections.

    Attributes:
        peer: the address of the other end; empty on a unix socket.
        busy: whether its request is in progress.
    """

    peer: str
    busy: bool

    def end(self) -> None:
        """Close it at once."""


@dataclass(slots=True, eq=False)
class Handshake:
    """A connection whose TLS handshake has not ended yet."""

    peer: str
    connection: socket.socket
    busy: bool = True

    def end(self) -> None:
        """Let the handshake fail at once. The socket itself is asyncio's to close, which may not have begun to read it yet."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


@dataclass(slots=True)
class Connections:
    """
    The connections of a server.

    A new connection is always accepted, and is one of these from its first byte on (`Silent`). At a limit another one is
    closed: of the address with the most connections, the oldest without a request in progress, or else the oldest. So a
    probe is answered whatever other clients do.
    """

    limits: Limits = Limits()
    _open: dict[str, dict[Limited, None]] = field(default_factory=dict)

    def add(self, connection: Limited) -> None:
        """Add a new connection; if this exceeds a limit, close another connection."""
        of_peer = self._open.get(connection.peer, {})
        victim = None
        if len(of_peer) >= self.limits.of_a_peer:
            victim = _victim(of_peer)
        elif sum(map(len, self._open.values())) >= self.limits.connections:
            victim = _victim(max(self._open.values(), key=len))
        if victim is not None:
            victim.end()
            self.remove(victim)
        self._open.setdefault(connection.peer, {})[connection] = None

    def worth_keeping(self, asking: Sequence[Accepted]) -> tuple[list[Accepted], list[Accepted]]:
        """
        Divide connections on which something came at the same time into those to serve and those to close at once.

        If one address has more of them than it may have, each new connection would close an earlier one. So of those the
        newest are served, and the surplus is closed at once.
        """
        kept: list[Accepted] = []
        dropped: list[Accepted] = []
        by_peer: dict[str, list[Accepted]] = {}
        for each in asking:
            by_peer.setdefault(each.peer, []).append(each)
        for of_peer in by_peer.values():
            dropped += of_peer[: -self.limits.of_a_peer]
            kept += of_peer[-self.limits.of_a_peer :]
        return kept, dropped

    def remove(self, connection: Limited) -> None:
        """Remove a connection; it need not be there."""
        of_peer = self._open.get(connection.peer, {})
        of_peer.pop(connection, None)
        if not of_peer:
            self._open.pop(connection.peer, None)


def _victim(connections: dict[Limited, None]) -> Limited:
    return next((each for each in connections if not each.busy), next(iter(connections)))


class LimitedProtocol(H11Protocol):
    """uvicorn's protocol, within the limits of `Connections`; ``since`` is when its connection was accepted."""

    def __init__(self, *, connections: Connections, since: float, **given: Any) -> None:
        super().__init__(**given)
        self._limited = connections
        self._since = since
        self._deadline: asyncio.TimerHandle | None = None
        self.handshake: Handshake | None = None
        self.peer = ""
        self.busy = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Add the connection, in the place of its handshake."""
        super().connection_made(transport)
        # In plaintext the first bytes of a request are there: until they are read, it is not closed for others.
        self.busy = self.handshake is None
        if self.handshake is not None:
            self._limited.remove(self.handshake)
            # Empty unless the client has one that was verified.
            known = bool(transport.get_extra_info("peercert"))
            self.app_state = {**self.app_state, CERTIFIED: known}
        self.peer = self.client[0] if self.client else ""
        self._limited.add(self)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection."""
        self._forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read; the deadline changes when a request is complete, not with each byte."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """Wait for the next request, which may have been received already."""
        self._since = self.loop.time()
        super().on_response_complete()
        self._look()

    def end(self) -> None:
        """Close the connection at once, also during a request."""
        self._forget()
        self.transport.abort()

    def _look(self) -> None:
        busy = self.cycle is not None and not self.cycle.response_complete
        if busy != self.busy:
            self.busy = busy
            self._set_deadline()

    def _set_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        limits = self._limited.limits
        if self.busy:
            self._deadline = self.loop.call_later(limits.answer_seconds, self.end)
        else:
            self._deadline = self.loop.call_at(self._since + limits.head_seconds, self.end)

    def _forget(self) -> None:
        self._limited.remove(self)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

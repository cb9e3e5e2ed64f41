"""The connections to Kiteway's own HTTP servers, limited in number, per client and in time: no client can exclude another."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from uvicorn.protocols.http.h11_impl import H11Protocol

from kiteway.status.accepted import Accepted
from kiteway.status.limits import Limits

CERTIFIED: Final = "certified"
"""The key in a request's state under which it says whether its connection has a client certificate that was verified."""


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

    A new connection is always accepted, and is one of these from the end of its request's head on, with TLS from its first
    byte (`Arriving`). At a limit another one is closed: of the address with the most connections, the oldest without a
    request in progress, or else the oldest.
    """

    limits: Limits
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

    def remove(self, connection: Limited) -> None:
        """Remove a connection; it need not be there."""
        of_peer = self._open.get(connection.peer, {})
        of_peer.pop(connection, None)
        if not of_peer:
            self._open.pop(connection.peer, None)


def _victim(connections: dict[Limited, None]) -> Limited:
    return next((each for each in connections if not each.busy), next(iter(connections)))


class LimitedProtocol(H11Protocol):
    """uvicorn's protocol, within the limits of `Connections`, for a connection of which a part was read already."""

    def __init__(self, *, connections: Connections, accepted: Accepted, **given: Any) -> None:
        super().__init__(**given)
        self._limited = connections
        self._received = accepted.received
        self._since = accepted.since
        self._deadline: asyncio.TimerHandle | None = None
        self.handshake: Handshake | None = None
        self.peer = ""
        self.busy = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Add the connection, in the place of its handshake, and take what was read of it."""
        super().connection_made(transport)
        if self.handshake is not None:
            self._limited.remove(self.handshake)
            # Empty unless the client has one that was verified.
            known = bool(transport.get_extra_info("peercert"))
            self.app_state = {**self.app_state, CERTIFIED: known}
        self.peer = self.client[0] if self.client else ""
        self._limited.add(self)
        self._set_deadline()
        if self._received:
            self.data_received(bytes(self._received))
            self._received.clear()

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

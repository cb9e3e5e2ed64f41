"""Connections to our own HTTP servers: limited in number, by peer and in time, so that nobody keeps others out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What clients may take.

    Attributes:
        connections: so many at a time.
        of_a_peer: so many at a time from one address.
        head_seconds: from the connection, or the last answer, to the whole head of a request; bytes do not prolong it.
        answer_seconds: from there until the client has taken the whole answer.
        head_bytes: the largest head of a request.
    """

    connections: int = 256
    of_a_peer: int = 64
    head_seconds: float = 5.0
    answer_seconds: float = 15.0
    head_bytes: int = 8 * 1024


@dataclass(slots=True)
class Connections:
    """
    The connections of a server.

    A new one is always taken: where there are too many, another one is closed for it. That is one of the peer with the
    most connections, one without a request in work before one with, and the oldest of those. So a probe, which connects
    and asks at once, gets its answer whatever others do.
    """

    limits: Limits = Limits()
    _open: dict[str, dict[LimitedProtocol, None]] = field(default_factory=dict)

    def add(self, connection: LimitedProtocol) -> None:
        """Take a new connection, and close another one if there are too many."""
        mine = self._open.setdefault(connection.peer, {})
        if len(mine) >= self.limits.of_a_peer:
            _victim(mine).end()
        elif sum(map(len, self._open.values())) >= self.limits.connections:
            _victim(max(self._open.values(), key=len)).end()
        mine[connection] = None

    def remove(self, connection: LimitedProtocol) -> None:
        """Forget a connection; one that is forgotten already may be told again."""
        mine = self._open.get(connection.peer, {})
        mine.pop(connection, None)
        if not mine:
            self._open.pop(connection.peer, None)


def _victim(connections: dict[LimitedProtocol, None]) -> LimitedProtocol:
    return next((each for each in connections if not each.busy), next(iter(connections)))


class LimitedProtocol(H11Protocol):
    """uvicorn's protocol within the limits of `Connections`."""

    def __init__(self, *, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self._limited = connections
        self._deadline: asyncio.TimerHandle | None = None
        self.peer = ""
        self.busy = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection."""
        super().connection_made(transport)
        self.peer = self.client[0] if self.client else ""
        self._limited.add(self)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; the deadline changes when a request is whole, not with each byte."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """Wait for the next request, which may be there."""
        super().on_response_complete()
        self._look()

    def end(self) -> None:
        """Close the connection at once, whatever is in work."""
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
        self._deadline = self.loop.call_later(limits.answer_seconds if self.busy else limits.head_seconds, self.end)

    def _forget(self) -> None:
        self._limited.remove(self)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

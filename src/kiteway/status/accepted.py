"""Connections that the kernel has made, by the address of the other end: no address is served at the cost of another one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, eq=False)
class Accepted:
    """
    A connection that the kernel has made.

    Attributes:
        connection: its socket.
        peer: the address of the other end; empty on a unix socket.
        since: when it was accepted, by the event loop's clock.
        received: what was read of it so far.
    """

    connection: socket.socket
    peer: str
    since: float
    received: bytearray = field(default_factory=bytearray)


class ByPeer:
    """Connections, those of one address in the order in which they came."""

    def __init__(self) -> None:
        self._by_peer: dict[str, dict[Accepted, None]] = {}
        self._number = 0

    def __len__(self) -> int:
        return self._number

    def __iter__(self) -> Iterator[Accepted]:
        return (each for of_peer in self._by_peer.values() for each in of_peer)

    def __contains__(self, each: Accepted) -> bool:
        return each in self._by_peer.get(each.peer, ())

    def add(self, each: Accepted) -> None:
        """Add one as the newest of its address."""
        self._by_peer.setdefault(each.peer, {})[each] = None
        self._number += 1

    def remove(self, each: Accepted) -> None:
        """Remove one that is among them."""
        of_peer = self._by_peer[each.peer]
        del of_peer[each]
        if not of_peer:
            del self._by_peer[each.peer]
        self._number -= 1

    def oldest(self) -> float | None:
        """Return when the oldest was accepted; None if there is none."""
        return min((next(iter(of_peer)).since for of_peer in self._by_peer.values()), default=None)

    def shrink(self, most: int) -> list[Accepted]:
        """Remove and return the oldest of the addresses that have the most, until ``most`` are left."""
        removed: list[Accepted] = []
        while self._number > most:
            fullest = max(map(len, self._by_peer.values()))
            for of_peer in [of_peer for of_peer in self._by_peer.values() if len(of_peer) == fullest]:
                if self._number > most:
                    removed.append(next(iter(of_peer)))
                    self.remove(removed[-1])
        return removed

    def take(self, most: int) -> list[Accepted]:
        """Remove and return at most ``most``, the newest of one address after the other."""
        taken: list[Accepted] = []
        while self._by_peer and len(taken) < most:
            peer, of_peer = next(iter(self._by_peer.items()))
            taken.append(next(reversed(of_peer)))
            self.remove(taken[-1])
            if of_peer:
                # The next turn is that of another address.
                self._by_peer[peer] = self._by_peer.pop(peer)
        return taken

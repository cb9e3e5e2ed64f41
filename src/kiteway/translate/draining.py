"""Endpoints that have left their pool and may finish their calls: BackendConfig ``connectionDraining``."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection, Iterable

from kiteway.model import Endpoint, EndpointState, Pool, PoolKey

_Address = tuple[str, int]


class Draining:
    """
    Keeps an endpoint that is gone from its source for ``drainingTimeoutSec`` more seconds, as draining.

    It gets no new calls then, and stays under its health check: those of its calls that hang are ended with it, which
    nobody would do once Envoy has forgotten it. One that comes back meanwhile is an endpoint like any other.
    """

    def __init__(self) -> None:
        self._members: dict[PoolKey, dict[_Address, Endpoint]] = {}
        self._left: dict[PoolKey, dict[_Address, tuple[Endpoint, dt.datetime]]] = {}

    def update(self, pool: Pool, endpoints: Iterable[Endpoint], now: dt.datetime) -> tuple[Endpoint, ...]:
        """Take what the source says of a pool at ``now``; return it with the endpoints that drain, sorted."""
        members = {(endpoint.address, endpoint.port): endpoint for endpoint in endpoints}
        end = now + dt.timedelta(seconds=pool.draining)
        gone = {
            address: (dataclasses.replace(endpoint, state=EndpointState.DRAINING), end)
            for address, endpoint in self._members.get(pool.key, {}).items()
        }
        gone |= self._left.get(pool.key, {})
        left = {address: (at, end) for address, (at, end) in gone.items() if address not in members and now < end}
        self._members[pool.key], self._left[pool.key] = members, left
        return tuple(sorted([*members.values(), *(endpoint for endpoint, _ in left.values())]))

    def keep(self, keys: Collection[PoolKey]) -> None:
        """Forget every pool but these."""
        for known in (self._members, self._left):
            for key in known.keys() - set(keys):
                del known[key]

    def ended(self, now: dt.datetime) -> set[PoolKey]:
        """Return the pools that have an endpoint whose time is over."""
        return {key for key, left in self._left.items() if any(end <= now for _, end in left.values())}

    def next_end(self) -> dt.datetime | None:
        """Return when the next endpoint has drained; None when none drains."""
        return min((end for left in self._left.values() for _, end in left.values()), default=None)

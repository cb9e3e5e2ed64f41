"""Endpoints that have left their pool and may finish their calls: BackendConfig ``connectionDraining``."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable

from kiteway.model import Endpoint, EndpointState, EndpointTable, Pool, PoolKey

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

    def update(self, pools: Iterable[Pool], table: EndpointTable, now: dt.datetime) -> EndpointTable:
        """Take what the sources say at ``now``; return it with the endpoints that drain. Other pools are forgotten."""
        members: dict[PoolKey, dict[_Address, Endpoint]] = {}
        left: dict[PoolKey, dict[_Address, tuple[Endpoint, dt.datetime]]] = {}
        for pool in pools:
            here = {(endpoint.address, endpoint.port): endpoint for endpoint in table.get(pool.key, ())}
            until = now + dt.timedelta(seconds=pool.draining)
            gone = {
                address: (dataclasses.replace(endpoint, state=EndpointState.DRAINING), until)
                for address, endpoint in self._members.get(pool.key, {}).items()
            }
            gone |= self._left.get(pool.key, {})
            members[pool.key] = here
            left[pool.key] = {
                address: (endpoint, end)
                for address, (endpoint, end) in gone.items()
                if address not in here and now < end
            }
        self._members, self._left = members, left
        return {
            key: tuple(sorted([*here.values(), *(e for e, _ in left[key].values())])) for key, here in members.items()
        }

    def next_end(self) -> dt.datetime | None:
        """Return when the next endpoint has drained; None when none drains."""
        return min((end for left in self._left.values() for _, end in left.values()), default=None)

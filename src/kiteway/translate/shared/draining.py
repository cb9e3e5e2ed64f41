"""Endpoints that were removed and may finish their calls: BackendConfig ``connectionDraining``."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import Collection

from kiteway.model import Endpoint, EndpointState, Pool, PoolKey
from kiteway.translate.shared.limits import NamespaceLimits

_Address = tuple[str, int]


class Draining:
    """
    Keeps an endpoint that its source has removed for ``drainingTimeoutSec`` more seconds, in the state draining.

    It gets no new calls, and its health check goes on: when that fails, Envoy ends the calls that hang, which it would not do
    for an endpoint that is removed. An endpoint that the source adds again is ready at once.

    Attributes:
        most: how many endpoints of a namespace may drain at the same time; above it those that were removed first go.
        total: how many of all namespaces may drain; None: any number. When it is reached, others that are removed go at once.
    """

    def __init__(self) -> None:
        self.most = NamespaceLimits().endpoints
        self.total: int | None = None
        self._number: Counter[str] = Counter()
        self._members: dict[PoolKey, tuple[Endpoint, ...]] = {}
        self._left: dict[PoolKey, dict[_Address, tuple[Endpoint, dt.datetime]]] = {}

    def update(self, pool: Pool, endpoints: tuple[Endpoint, ...], now: dt.datetime) -> tuple[Endpoint, ...]:
        """Take the endpoints of a pool at ``now``; return them together with those that drain, sorted."""
        before, drained = self._members.get(pool.key, ()), self._left.get(pool.key, {})
        self._members[pool.key] = endpoints
        if endpoints == before and not drained:
            return endpoints
        here = {(endpoint.address, endpoint.port) for endpoint in endpoints}
        end = now + dt.timedelta(seconds=pool.draining)
        gone = {
            (endpoint.address, endpoint.port): (dataclasses.replace(endpoint, state=EndpointState.DRAINING), end)
            for endpoint in before
        }
        left = {
            address: (endpoint, end)
            for address, (endpoint, end) in (gone | drained).items()
            if address not in here and now < end
        }
        room = self.most - self._number[pool.key.namespace]
        if self.total is not None:
            room = min(room, self.total - self._number.total())
        room = max(0, room + len(drained))
        if len(left) > room:
            newest = sorted(left.items(), key=lambda item: item[1][1], reverse=True)
            left = dict(newest[:room])
        self._number[pool.key.namespace] += len(left) - len(drained)
        if not left:
            self._left.pop(pool.key, None)
            return endpoints
        self._left[pool.key] = left
        return tuple(sorted([*endpoints, *(endpoint for endpoint, _ in left.values())]))

    def keep(self, keys: Collection[PoolKey]) -> None:
        """Forget every pool but these."""
        for key in self._left.keys() - set(keys):
            self._number[key.namespace] -= len(self._left[key])
        for known in (self._members, self._left):
            for key in known.keys() - set(keys):
                del known[key]

    def ended(self, now: dt.datetime) -> set[PoolKey]:
        """Return the pools with an endpoint that has finished draining."""
        return {key for key, left in self._left.items() if any(end <= now for _, end in left.values())}

    def next_end(self) -> dt.datetime | None:
        """Return when the next endpoint finishes draining; None when none drains."""
        return min((end for left in self._left.values() for _, end in left.values()), default=None)

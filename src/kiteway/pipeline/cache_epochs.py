"""
The epoch of each pool's cache: a number that changes when the filter must drop what it keeps for the pool.

The filter's state outlives routes, and the control plane. It must be dropped when other endpoints take the place of all
that a pool had, because they may belong to another Milvus; and when a cache is turned on that was off, because the filter
has not seen the calls that made answers invalid meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from kiteway.model import Endpoint, EndpointState, Pool, PoolKey

_Addresses = frozenset[tuple[str, int]]


class CacheEpochs:
    """
    The epochs of all pools with a cache.

    Attributes:
        by_pool: replaced, never changed, when an epoch changes or a pool comes or goes.
    """

    def __init__(self, first: int) -> None:
        """Start with ``first``, which must be above all numbers that earlier control planes of the same Envoy have sent."""
        self.by_pool: Mapping[PoolKey, int] = {}
        self._next = first
        self._addresses: dict[PoolKey, _Addresses] = {}
        self._at_change: dict[PoolKey, _Addresses] = {}

    def replace(self, pools: Iterable[Pool], endpoints: Callable[[Pool], tuple[Endpoint, ...]]) -> None:
        """Take all pools and their endpoints."""
        cached = [pool for pool in pools if pool.cache is not None]
        keys = {pool.key for pool in cached}
        if gone := self.by_pool.keys() - keys:
            self.by_pool = {key: epoch for key, epoch in self.by_pool.items() if key in keys}
            for key in gone:
                self._addresses.pop(key, None)
                self._at_change.pop(key, None)
        self.update(cached, endpoints)

    def update(self, pools: Iterable[Pool], endpoints: Callable[[Pool], tuple[Endpoint, ...]]) -> bool:
        """
        Take the endpoints of some pools; return whether an epoch has changed.

        A pool without an endpoint that is ready keeps its epoch: the next endpoints are compared with the last ones that it
        had. They are also compared with those at the last change of the epoch, because endpoints may be replaced one by one.
        So the epoch changes when the only proxy restarts under another address, and when all proxies have restarted one after
        the other. That costs a few seconds of hits.
        """
        before = self.by_pool
        for pool in pools:
            if pool.cache is None:
                continue
            now = frozenset((e.address, e.port) for e in endpoints(pool) if e.state is EndpointState.READY)
            replaced = False
            if now:
                at_change = self._at_change.setdefault(pool.key, now)
                replaced = now.isdisjoint(self._addresses.get(pool.key, now)) or now.isdisjoint(at_change)
                self._addresses[pool.key] = now
            if replaced:
                self._at_change[pool.key] = now
            if pool.key not in self.by_pool or replaced:
                self.by_pool = {**self.by_pool, pool.key: self._next}
                self._next += 1
        return self.by_pool is not before

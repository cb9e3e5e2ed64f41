"""Pools and their endpoints -> load assignments, without a translation."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from kiteway.diagnostics import Diagnostic
from kiteway.envoy.ads import Resource
from kiteway.envoy.descriptors import Descriptors
from kiteway.envoy.xds.endpoints import assignments
from kiteway.model import Endpoint, Pool, PoolKey, ServiceName
from kiteway.pipeline.shares import Shares
from kiteway.resources import EndpointSlice, Object
from kiteway.translate import Endpoints
from kiteway.translate.shared.draining import Draining
from kiteway.translate.shared.limits import NamespaceLimits


@dataclass(frozen=True, slots=True)
class _Assigned:
    """The load assignments of a pool, and the values they were built from."""

    pool: Pool
    endpoints: tuple[Endpoint, ...]
    resources: tuple[Resource, ...]


class Assignments:
    """
    The load assignments of all pools; a pool without endpoints has an empty one.

    Attributes:
        missing: why a pool has no endpoint, or not all of them, for each of which that is so.
        empty: the pools without any endpoint, with or without an entry in ``missing``.
    """

    def __init__(self, descriptors: Descriptors | None = None) -> None:
        """Start; without ``descriptors`` all namespaces together may have any number of endpoints."""
        self.missing: dict[PoolKey, Diagnostic] = {}
        self.empty: frozenset[PoolKey] = frozenset()
        self._endpoints = Endpoints()
        self._draining = Draining()
        self._shares = Shares(NamespaceLimits().endpoints)
        if descriptors is not None:
            self._shares.total, self._draining.total = descriptors.endpoints, descriptors.draining
        self._pools: tuple[Pool, ...] = ()
        self._of_service: dict[ServiceName, list[Pool]] = {}
        self._of_namespace: dict[str, list[Pool]] = {}
        self._each = self._shares.most
        self._full: set[str] = set()
        self._assigned: dict[PoolKey, _Assigned] = {}
        self._all: tuple[Resource, ...] = ()
        self._seen = -1

    def set_objects(self, objects: Iterable[Object]) -> None:
        """Replace all objects."""
        self._endpoints.replace(objects)

    def replace(self, pools: tuple[Pool, ...], now: dt.datetime) -> tuple[Resource, ...]:
        """Replace all pools and return the assignments of all; the cost is that of what changed."""
        if pools is not self._pools:
            self._take(pools)
        elif self._endpoints.changes == self._seen and self._draining.next_end() is None:
            return self._all
        self.update(pools, now)
        self._seen = self._endpoints.changes
        self._all = tuple([resource for pool in pools for resource in self._assigned[pool.key].resources])
        return self._all

    def _take(self, pools: tuple[Pool, ...]) -> None:
        keys = {pool.key for pool in pools}
        self._draining.keep(keys)
        self.missing = {key: found for key, found in self.missing.items() if key in keys}
        self.empty &= keys
        for key in self._assigned.keys() - keys:
            del self._assigned[key]
        self._pools, self._of_service, self._of_namespace = pools, {}, {}
        for pool in pools:
            self._of_namespace.setdefault(pool.key.namespace, []).append(pool)
            self._of_service.setdefault((pool.key.namespace, pool.key.service), []).append(pool)
        self._shares.keep(self._of_namespace)

    def limit(self, most: int) -> None:
        """Set how many endpoints the pools of a namespace may have together, and how many of them may drain."""
        self._shares.most = self._draining.most = most

    def set_static(self, static: Mapping[ServiceName, tuple[Endpoint, ...]]) -> None:
        """Replace the endpoints that the user gave on the command line."""
        self._endpoints.set_static(static)

    def take_slices(self, removed: Iterable[EndpointSlice], updated: Iterable[EndpointSlice]) -> list[Pool]:
        """Take removed and changed EndpointSlices; return the pools that they affect."""
        services = {self._endpoints.remove(slice_) for slice_ in removed}
        services |= {self._endpoints.update(slice_) for slice_ in updated}
        return [pool for service in sorted(services) for pool in self._of_service.get(service, ())]

    def update(self, pools: Iterable[Pool], now: dt.datetime) -> list[Resource]:
        """
        Return those assignments of ``pools`` that changed, and update ``missing`` and ``empty``.

        Where a namespace has more endpoints than it may have, or had, its other pools are concerned as well; so are other
        namespaces, when what each may have changes.
        """
        news: list[Resource] = []
        for pool, there in self._within_limits(pools):
            key = pool.key
            endpoints = self._draining.update(pool, there, now)
            known = self._assigned.get(key)
            if known is None or known.pool is not pool or known.endpoints is not endpoints:
                resources = tuple(map(Resource.of, assignments(pool, endpoints)))
                self._assigned[key] = _Assigned(pool, endpoints, resources)
                news += resources
            if (key in self.empty) is bool(there):
                self.empty ^= {key}
            missing = None
            if len(there) < len(self._endpoints.of(key)):
                missing = self._too_many(key, len(there))
            elif not there:
                missing = self._endpoints.why_none(key)
            if missing is not None:
                self.missing[key] = missing
            elif self.missing:
                self.missing.pop(key, None)
        return news

    def _too_many(self, key: PoolKey, used: int) -> Diagnostic | None:
        total = self._shares.total
        if total is None or self._each == self._shares.most:
            return self._endpoints.too_many(key, used, self._shares.most)
        return self._endpoints.too_many_of_all(key, used, self._each, total)

    def _within_limits(self, pools: Iterable[Pool]) -> Iterator[tuple[Pool, tuple[Endpoint, ...]]]:
        """Yield pools with the endpoints that they may have: in each namespace the first pools have all of theirs."""
        concerned: dict[str, list[Pool]] = {}
        for pool in pools:
            concerned.setdefault(pool.key.namespace, []).append(pool)
        wanted = {}
        for namespace, some in concerned.items():
            wanted[namespace] = sum(
                len(self._endpoints.of(pool.key)) for pool in self._of_namespace.get(namespace, some)
            )
            self._shares.want(namespace, wanted[namespace])
        before, self._each = self._each, self._shares.each()
        if self._each != before:
            for namespace, number in self._shares.above(min(before, self._each)).items():
                wanted[namespace] = number
                concerned.setdefault(namespace, [])
        for namespace, some in concerned.items():
            room = self._each
            full, was_full = wanted[namespace] > room, namespace in self._full
            (self._full.add if full else self._full.discard)(namespace)
            for pool in self._of_namespace.get(namespace, some) if full or was_full else some:
                own = self._endpoints.of(pool.key)
                there = own if len(own) <= room else own[:room]
                room -= len(there)
                yield pool, there

    def given(self, pool: Pool) -> tuple[Endpoint, ...]:
        """Return the endpoints of a pool as its source gives them, without those that were removed and drain."""
        return self._endpoints.of(pool.key)

    def of(self, pool: Pool) -> tuple[Endpoint, ...]:
        """Return the endpoints last assigned to a pool."""
        known = self._assigned.get(pool.key)
        return known.endpoints if known is not None else ()

    def ended(self, now: dt.datetime) -> list[Pool]:
        """Return the pools with an endpoint that has finished draining."""
        ended = self._draining.ended(now)
        return [pool for pool in self._pools if pool.key in ended] if ended else []

    def next_drained(self) -> dt.datetime | None:
        """Return when the next endpoint finishes draining; None when none drains."""
        return self._draining.next_end()

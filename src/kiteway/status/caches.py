"""Reports on the caches of pools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kiteway.envoy.calls import Calls, PoolCache
from kiteway.model import Cache, LoadBalancer, Pool, PoolKey
from kiteway.report.caches import CacheCounts, CacheReport

_NOT_ASKED_FOR: Final = "no MilvusPolicy of the Service turns it on"
_WITHOUT_FILTER: Final = "Envoy runs without Kiteway's filter"
_BEYOND: Final = "the caches of its namespace have no memory left"


def cache_reports(model: LoadBalancer, calls: Calls | None, *, with_filter: bool) -> Mapping[PoolKey, CacheReport]:
    """
    Report the cache of each pool.

    Args:
        model: the load balancer.
        calls: what Envoy's filter has counted; None if it did not answer.
        with_filter: whether Envoy has Kiteway's filter.
    """
    counted: Mapping[str, PoolCache] = calls.cache if calls is not None else {}
    wanted = wanted_caches(model)
    return {
        pool.key: cache_report(pool, wanted.get(pool.key), counted.get(str(pool.key)), with_filter=with_filter)
        for pool in model.pools
    }


def wanted_caches(model: LoadBalancer) -> dict[PoolKey, Cache]:
    """Return the caches that policies turn on, whether or not they are in force."""
    routes = (route for host in model.hosts for route in host.routes)
    return {route.pool: route.policy.cache for route in routes if route.pool is not None and route.policy.cache}


def cache_report(pool: Pool, wanted: Cache | None, counted: PoolCache | None, *, with_filter: bool) -> CacheReport:
    """
    Report the cache of a pool.

    Args:
        pool: the pool.
        wanted: what a policy asks for.
        counted: what the filter has counted; None if Envoy does not answer, or has counted nothing.
        with_filter: whether Envoy has Kiteway's filter.
    """
    asked = pool.cache or wanted
    of = asked.policy if asked is not None else None
    policy = f"{of.namespace}/{of.name}" if of is not None else None
    if pool.cache is None:
        return CacheReport(why=_NOT_ASKED_FOR if wanted is None else _BEYOND, policy=policy)
    if not with_filter:
        return CacheReport(why=_WITHOUT_FILTER, policy=policy)
    counts = _counts(counted) if counted is not None else None
    return CacheReport(on=True, policy=policy, memory=pool.cache.memory, counts=counts)


def _counts(counted: PoolCache) -> CacheCounts:
    outcomes = counted.outcomes
    answered = outcomes.hit + outcomes.joined
    reads = answered + outcomes.miss + sum(outcomes.bypass.values())
    return CacheCounts(
        hit=outcomes.hit,
        joined=outcomes.joined,
        miss=outcomes.miss,
        bypass=dict(sorted(outcomes.bypass.items(), key=lambda each: (-each[1], each[0]))),
        share=round(answered / reads, 4) if reads else None,
        bytes=counted.bytes,
        entries=counted.entries,
        generation=counted.generation,
        closed=counted.closed,
        sample_age=None if counted.sample_age_ms is None else counted.sample_age_ms / 1000,
        headers=tuple(counted.headers),
    )

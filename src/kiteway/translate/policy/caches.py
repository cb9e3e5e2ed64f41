"""
Which pool has a cache.

This follows the merge, because a cache belongs to a pool: also the routes of an Ingress that keeps an older form must
show the filter the calls that change collections or privileges.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from kiteway.diagnostics import Diagnostic, ObjectRef, Severity
from kiteway.model import Pool, PoolKey, VirtualHost
from kiteway.resources import MilvusPolicy
from kiteway.translate.policy.attachment import Attached
from kiteway.translate.policy.cache import cache_of, default_cache
from kiteway.translate.shared.limits import NamespaceLimits
from kiteway.translate.shared.unit import age_of

_REASON: Final = "CacheMemoryTooMuch"
_DECISIVE: Final = frozenset({"authorization", "dbname", "sourceid"})
"""Headers on which Milvus's answers depend. Envoy adds those of a BackendConfig after the filter has looked up the answer."""


def with_caches(
    pools: Sequence[Pool],
    hosts: Iterable[VirtualHost],
    attached: Attached,
    limits: NamespaceLimits,
    *,
    memory: int,
    by_default: bool,
) -> tuple[tuple[Pool, ...], tuple[Diagnostic, ...]]:
    """
    Return the pools with their caches, and a diagnostic for each object that has a cache less than it asks for.

    Args:
        pools: those of the model, without caches.
        hosts: their routes lead to the pools.
        attached: the policies.
        limits: of each namespace; the oldest policies keep theirs, then come pools of which no policy says anything.
        memory: bytes that the caches of all namespaces may have together.
        by_default: whether these have a cache.
    """
    policies = {pool.key: policy for pool in pools if (policy := _about(pool, attached)) is not None}
    oldest_first = sorted((pool for pool in pools if pool.key in policies), key=lambda pool: age_of(policies[pool.key]))
    wanted = [(pool, cache) for pool in oldest_first if (cache := cache_of(policies[pool.key])) is not None]
    if by_default:
        wanted += [(pool, default_cache()) for pool in pools if pool.key not in policies]
    if not wanted:
        return tuple(pools), ()
    decisive = _decisive_headers(hosts, {pool.key for pool, _ in wanted})
    taken: Counter[str] = Counter()
    beyond: dict[ObjectRef, Diagnostic] = {}
    found: dict[int, Pool] = {}
    for pool, cache in wanted:
        if header := decisive.get(pool.key):
            beyond.setdefault(cache.policy or pool.source, _with_header(policies.get(pool.key), pool, header))
            continue
        namespace = pool.key.namespace
        total = taken[namespace] + cache.memory
        if total > limits.cache:
            diagnostic = _beyond(policies.get(pool.key), pool, total, limits.cache)
        elif taken.total() + cache.memory > memory:
            diagnostic = _beyond_all(policies.get(pool.key), pool, memory)
        else:
            taken[namespace] = total
            found[id(pool)] = dataclasses.replace(pool, cache=cache)
            continue
        beyond.setdefault(cache.policy or pool.source, diagnostic)
    return tuple([found.get(id(pool), pool) for pool in pools]), tuple(beyond.values())


def _about(pool: Pool, attached: Attached) -> MilvusPolicy | None:
    """Return the policy that says something of the pool's cache."""
    policy = attached.by_target.get(pool.source)
    return policy if policy is not None and policy.spec.cache is not None else None


def _decisive_headers(hosts: Iterable[VirtualHost], keys: AbstractSet[PoolKey]) -> dict[PoolKey, str]:
    """Return a header for each pool that gets one on which Milvus's answers depend."""
    return {
        route.pool: header.name
        for host in hosts
        for route in host.routes
        if route.pool is not None and route.pool in keys
        for header in route.request_headers
        if header.name.lower() in _DECISIVE
    }


def _with_header(policy: MilvusPolicy | None, pool: Pool, header: str) -> Diagnostic:
    message = (
        f"{pool.key} has no cache: its BackendConfig adds the request header {header}, on which Milvus's answers depend, and "
        "which Envoy adds after the cache has looked for an answer."
    )
    fix = f"Remove {header} from spec.customRequestHeaders of the BackendConfig and let clients send it, or turn the cache off."
    if policy is None:
        return Diagnostic(Severity.WARNING, "CacheHeaderAdded", message, fix, pool.source)
    return policy.diagnostic(Severity.WARNING, "CacheHeaderAdded", message, fix, ("spec", "cache"))


def _beyond(policy: MilvusPolicy | None, pool: Pool, wanted: int, limit: int) -> Diagnostic:
    message = (
        f"with this cache the caches of the namespace {pool.key.namespace} would have {wanted} bytes of memory, of which it may "
        f"have {limit}; the oldest policies keep theirs, and what does not fit has no cache."
    )
    fix = (
        "Set a smaller spec.cache.memory in a MilvusPolicy, or let the operator of Kiteway raise the limit: "
        f"--namespace-limit cache={wanted}."
    )
    if policy is None:
        return Diagnostic(Severity.ERROR, _REASON, message, fix, pool.source)
    return policy.diagnostic(Severity.ERROR, _REASON, message, fix, ("spec", "cache"))


def _beyond_all(policy: MilvusPolicy | None, pool: Pool, limit: int) -> Diagnostic:
    message = (
        f"this cache does not fit into the {limit} bytes of memory that the caches of all namespaces may have together; the "
        "oldest policies keep theirs, and what does not fit has no cache."
    )
    fix = (
        "Set a smaller spec.cache.memory in a MilvusPolicy, or let the operator of Kiteway raise --cache-memory, and the "
        "memory of the container with it."
    )
    if policy is None:
        return Diagnostic(Severity.ERROR, _REASON, message, fix, pool.source)
    return policy.diagnostic(Severity.ERROR, _REASON, message, fix, ("spec", "cache"))

"""
Which pool has a cache.

This follows the merge, because a cache belongs to a pool: also the routes of an Ingress that keeps an older form must
show the filter the calls that change collections or privileges.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

from kiteway.diagnostics import Diagnostic, Severity
from kiteway.model import Pool
from kiteway.resources import MilvusPolicy
from kiteway.translate.policy.attachment import Attached
from kiteway.translate.policy.cache import cache_of
from kiteway.translate.shared.limits import NamespaceLimits
from kiteway.translate.shared.unit import age_of


def with_caches(
    pools: Sequence[Pool], attached: Attached, limits: NamespaceLimits
) -> tuple[tuple[Pool, ...], tuple[Diagnostic, ...]]:
    """
    Return the pools with their caches, and a diagnostic for each policy whose caches do not fit into its namespace's.

    Args:
        pools: those of the model, without caches.
        attached: the policies.
        limits: of each namespace; the oldest policies keep theirs.
    """
    wanted = [(policy, pool) for pool in pools if (policy := attached.by_target.get(pool.source)) and policy.spec.cache]
    if not wanted:
        return tuple(pools), ()
    wanted.sort(key=lambda each: (age_of(each[0]), each[1].key))
    taken: Counter[str] = Counter()
    beyond: dict[int, Diagnostic] = {}
    found: dict[int, Pool] = {}
    for policy, pool in wanted:
        cache = cache_of(policy)
        if cache is None:
            continue
        total = taken[policy.ref.namespace] + cache.memory
        if total > limits.cache:
            beyond.setdefault(id(policy), _beyond(policy, total, limits.cache))
            continue
        taken[policy.ref.namespace] = total
        found[id(pool)] = dataclasses.replace(pool, cache=cache)
    return tuple([found.get(id(pool), pool) for pool in pools]), tuple(beyond.values())


def _beyond(policy: MilvusPolicy, wanted: int, limit: int) -> Diagnostic:
    namespace = policy.ref.namespace
    return policy.diagnostic(
        Severity.ERROR,
        "CacheMemoryTooMuch",
        f"with this MilvusPolicy the caches of the namespace {namespace} would have {wanted} bytes of memory, of which it may "
        f"have {limit}; the oldest policies keep theirs, and what does not fit has no cache.",
        f"Set a smaller spec.cache.memory, or let the operator of Kiteway raise the limit: --namespace-limit cache={wanted}.",
        ("spec", "cache"),
    )

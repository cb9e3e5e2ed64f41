"""The part `cache` of a MilvusPolicy -> the cache of the pools of its Services."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import ObjectRef
from kiteway.model import Cache, CachedCollection, PolicyOrigin
from kiteway.resources import MilvusPolicy
from kiteway.resources.kinds import milvus_policy_cache as kind
from kiteway.resources.kinds.milvus_policy_cache import PolicyCache, PolicyCachedCollection
from kiteway.resources.quantities import bytes_of, seconds_of


def cache_of(policy: MilvusPolicy) -> Cache | None:
    """Return the cache of each pool of the policy's Services; None if the policy turns none on."""
    written = policy.spec.cache
    return _cache(written, policy.ref) if written is not None and written.enabled else None


def default_cache() -> Cache:
    """Return the cache of a pool that no policy says anything of, where such pools have one."""
    return _cache(PolicyCache(enabled=True), None)


def _cache(written: PolicyCache, policy: ObjectRef | None) -> Cache:
    bound = _seconds(written.staleness_bound or kind.DEFAULT_STALENESS_BOUND)
    eventual = bound if written.eventual_bound is None else _seconds(written.eventual_bound)
    collections = [_collection(each, written, bound, eventual) for each in written.collections]
    return Cache(
        policy=policy,
        staleness_bound=bound,
        eventual_bound=eventual,
        fill_lag=_seconds(written.fill_lag or kind.DEFAULT_FILL_LAG),
        max_wait=_seconds(written.max_wait or kind.DEFAULT_MAX_WAIT),
        memory=_bytes(written.memory, kind.DEFAULT_MEMORY),
        max_entry_bytes=_bytes(written.max_entry_bytes, kind.DEFAULT_MAX_ENTRY_BYTES),
        collections=tuple(sorted(collections, key=lambda each: (each.database, each.collection))),
    )


def cache_origins(policy: MilvusPolicy) -> Iterator[PolicyOrigin]:
    """Yield where each value of the policy's cache comes from; nothing if the policy has no cache."""
    written = policy.spec.cache
    if written is None:
        return
    yield PolicyOrigin("cache.enabled", policy.ref)
    if not written.enabled:
        return
    values = {
        "stalenessBound": written.staleness_bound,
        "eventualBound": written.eventual_bound,
        "fillLag": written.fill_lag,
        "maxWait": written.max_wait,
        "memory": written.memory,
        "maxEntryBytes": written.max_entry_bytes,
    }
    for name, value in values.items():
        yield PolicyOrigin(f"cache.{name}", policy.ref if value is not None else None)
    if written.collections:
        yield PolicyOrigin("cache.collections", policy.ref)


def _collection(each: PolicyCachedCollection, of_cache: PolicyCache, bound: float, eventual: float) -> CachedCollection:
    own = bound if each.staleness_bound is None else _seconds(each.staleness_bound)
    if each.eventual_bound is not None:
        own_eventual = _seconds(each.eventual_bound)
    else:
        own_eventual = own if of_cache.eventual_bound is None else eventual
    return CachedCollection(each.database, each.collection, each.enabled, own, own_eventual)


def _seconds(text: str) -> float:
    seconds = seconds_of(text)
    if seconds is None:
        raise ValueError(text)
    return seconds


def _bytes(quantity: int | str | None, default: str) -> int:
    size = bytes_of(default if quantity is None else quantity)
    if size is None:
        raise ValueError(quantity)
    return size

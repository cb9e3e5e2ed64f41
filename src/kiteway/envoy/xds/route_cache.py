"""The cache of a pool, as the filter gets it with each route to the pool."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from kiteway.envoy.filter_config import CacheConfig, CachedCollectionConfig
from kiteway.envoy.xds.common import grpc_cluster_name
from kiteway.model import CachedCollection, Pool


def cache_for_filter(pool: Pool, hedging_delay: float | None, *, grpc: bool) -> CacheConfig | UnsetType:
    """
    Return what a route to ``pool`` tells the filter of the pool's cache; UNSET for a pool without one.

    Args:
        pool: where the route leads to.
        hedging_delay: seconds after which Envoy hedges a read on the route; None: it does not.
        grpc: whether it is a route for gRPC. The others have the part too, because calls that change collections or
            privileges also come by REST; only reads by gRPC are answered from the cache.
    """
    cache = pool.cache
    if cache is None:
        return UNSET
    return CacheConfig(
        pool=str(pool.key),
        bound_ms=_ms(cache.staleness_bound),
        eventual_bound_ms=_ms(cache.eventual_bound),
        fill_lag_ms=_ms(cache.fill_lag),
        max_wait_ms=_ms(cache.max_wait),
        memory=cache.memory,
        max_entry_bytes=cache.max_entry_bytes,
        epoch=cache.epoch,
        cluster=grpc_cluster_name(pool.key) if grpc else UNSET,
        reads=grpc,
        hedge_ms=max(1, _ms(hedging_delay)) if grpc and hedging_delay is not None else UNSET,
        collections=tuple(map(_collection, cache.collections)),
    )


def _collection(each: CachedCollection) -> CachedCollectionConfig:
    return CachedCollectionConfig(
        each.database, each.collection, _ms(each.staleness_bound), _ms(each.eventual_bound), each.enabled
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)

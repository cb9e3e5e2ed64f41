"""The filter's counts of caches, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kiteway.envoy.calls import PoolCache
from kiteway.envoy.xds.common import grpc_cluster_name_of


def cache_text(caches: dict[str, PoolCache]) -> bytes:
    """Return the counts of caches, by the pool's name, in Prometheus' text format; nothing without a cache."""
    if not caches:
        return b""
    registry = CollectorRegistry()
    registry.register(_Caches(caches))
    return generate_latest(registry)


class _Caches(Collector):
    def __init__(self, caches: dict[str, PoolCache]) -> None:
        self._caches = caches

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        reads = CounterMetricFamily(
            "kiteway_cache_reads", "Reads on routes with a cache, by outcome.", labels=("pool", "outcome")
        )
        bypasses = CounterMetricFamily(
            "kiteway_cache_bypasses", "Reads sent to Milvus as they are, by reason.", labels=("pool", "reason")
        )
        dropped = CounterMetricFamily(
            "kiteway_cache_generations", "How often all answers of a pool were dropped.", labels=("pool",)
        )
        size = GaugeMetricFamily("kiteway_cache_bytes", "Bytes of the stored answers.", labels=("pool",))
        entries = GaugeMetricFamily("kiteway_cache_entries", "Stored answers.", labels=("pool",))
        age = GaugeMetricFamily(
            "kiteway_cache_sample_age_seconds", "Since the newest timestamp was requested.", labels=("pool",)
        )
        for name, cache in self._caches.items():
            pool = grpc_cluster_name_of(name)
            outcomes = cache.outcomes
            bypassed = sum(outcomes.bypass.values())
            for outcome, count in (
                ("hit", outcomes.hit),
                ("joined", outcomes.joined),
                ("miss", outcomes.miss),
                ("bypass", bypassed),
            ):
                reads.add_metric([pool, outcome], count)
            for reason, count in outcomes.bypass.items():
                bypasses.add_metric([pool, reason], count)
            dropped.add_metric([pool], cache.generation)
            size.add_metric([pool], cache.bytes)
            entries.add_metric([pool], cache.entries)
            if cache.sample_age_ms is not None:
                age.add_metric([pool], cache.sample_age_ms / 1000)
        return (reads, bypasses, dropped, size, entries, age)

"""The filter's counts of calls, for Prometheus."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from kiteway.envoy.calls import Calls, PoolCalls, Tally

OTHER = "other"
"""The label of all collections without counts of their own; its ``database`` is empty, which no collection's is."""

OTHER_USERS = "*"
"""The label of all users without counts of their own; no user of Milvus can have this name."""

_LABELS = ("pool", "database", "collection", "rpc")
_SHOWN_MICROSECONDS = frozenset(
    step * 10**power for power in range(3, 8) for step in (1, 2, 5) if step * 10**power <= 10_000_000
) | {30_000_000, 60_000_000}
"""Every second bound or so: a page has all of them for each series."""


def calls_text(calls: Calls) -> bytes:
    """Return the counts by collection and rpc, by user and by endpoint, in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Calls(calls))
    registry.register(_By("user", calls, _users))
    registry.register(_By("endpoint", calls, _endpoints))
    return generate_latest(registry)


class _Calls(Collector):
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        total = CounterMetricFamily("kiteway_calls", "Calls, by what they ask of which collection.", labels=_LABELS)
        errors = CounterMetricFamily(
            "kiteway_call_errors", "Of these, the ones that ended with an error.", labels=(*_LABELS, "code")
        )
        duration = HistogramMetricFamily("kiteway_call_duration_seconds", "How long they took.", labels=_LABELS)
        rows = CounterMetricFamily("kiteway_call_rows", "Rows written or found.", labels=_LABELS)
        asked = CounterMetricFamily("kiteway_call_request_bytes", "Bytes of their messages.", labels=_LABELS)
        answered = CounterMetricFamily("kiteway_call_response_bytes", "Bytes of the answers' messages.", labels=_LABELS)
        cached = CounterMetricFamily(
            "kiteway_cache_collection_reads", "Of these, the reads a cache has seen.", labels=(*_LABELS, "outcome")
        )
        refused = CounterMetricFamily("kiteway_call_refusals", "Calls that were refused.", labels=_LABELS)
        waited = SummaryMetricFamily("kiteway_call_queue_seconds", "Waits for a turn.", labels=_LABELS)
        for pool in self._calls.pools:
            for each in pool.collections:
                labels = [pool.name, each.database, OTHER if each.other else each.collection, each.rpc]
                total.add_metric(labels, each.calls)
                for code, count in each.errors.items():
                    errors.add_metric([*labels, code], count)
                duration.add_metric(labels, _buckets(self._calls.bounds, each), each.time / 1e6)
                rows.add_metric(labels, each.rows)
                asked.add_metric(labels, each.request_bytes)
                answered.add_metric(labels, each.response_bytes)
                for outcome, count in ({} if each.cache is None else msgspec.structs.asdict(each.cache)).items():
                    cached.add_metric([*labels, outcome], count)
                # Most series have neither.
                if each.refused:
                    refused.add_metric(labels, each.refused)
                if each.waited:
                    waited.add_metric(labels, each.waited, each.wait / 1e6)
        return (total, errors, duration, rows, asked, answered, cached, refused, waited)


class _By(Collector):
    """The counts by something else than the collection; each call is among those by collection too."""

    def __init__(self, what: str, calls: Calls, tallies: Callable[[PoolCalls], Iterable[tuple[str, Tally]]]) -> None:
        self._what = what
        self._calls = calls
        self._tallies = tallies

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        labels, prefix = ("pool", self._what), f"kiteway_{self._what}_call"
        total = CounterMetricFamily(f"{prefix}s", f"Calls by {self._what}.", labels=labels)
        errors = CounterMetricFamily(
            f"{prefix}_errors", "Of these, the ones that ended with an error.", labels=(*labels, "code")
        )
        duration = HistogramMetricFamily(f"{prefix}_duration_seconds", "How long they took.", labels=labels)
        for pool in self._calls.pools:
            for name, tally in self._tallies(pool):
                total.add_metric([pool.name, name], tally.calls)
                for code, count in tally.errors.items():
                    errors.add_metric([pool.name, name, code], count)
                duration.add_metric([pool.name, name], _buckets(self._calls.bounds, tally), tally.time / 1e6)
        return (total, errors, duration)


def _users(pool: PoolCalls) -> Iterable[tuple[str, Tally]]:
    return ((OTHER_USERS if each.other else each.user, each) for each in pool.users)


def _endpoints(pool: PoolCalls) -> Iterable[tuple[str, Tally]]:
    return ((each.endpoint, each) for each in pool.endpoints)


def _buckets(bounds: Sequence[int], tally: Tally) -> list[tuple[str, float]]:
    sums = itertools.accumulate(tally.times)
    shown = [
        (f"{bound / 1e6:g}", float(below))
        for bound, below in zip(bounds, sums, strict=False)
        if bound in _SHOWN_MICROSECONDS
    ]
    return [*shown, ("+Inf", float(tally.calls))]

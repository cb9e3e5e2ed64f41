"""The policy of a route as rows of a table."""

from __future__ import annotations

from kiteway.report.policies import CachedCollectionReport, LimitReport, PolicyReport


def policy_rows(policy: PolicyReport) -> list[tuple[str, str, str]]:
    """Return field, value and origin of each value; several rows for several limits."""
    values: dict[str, list[str]] = {"limits": list(map(_limit, policy.limits)) or ["none"]}
    if policy.admission is not None:
        values |= {
            "admission.maxConcurrentReads": [str(policy.admission.max_concurrent_reads)],
            "admission.maxConcurrentWrites": [str(policy.admission.max_concurrent_writes)],
            "admission.maxWait": [f"{policy.admission.max_wait:g}s"],
            "admission.maxQueuedBytes": [str(policy.admission.max_queued_bytes)],
        }
    values["hedging.delay"] = [f"{policy.hedging_delay}s"]
    values["allowReplication"] = ["true" if policy.allow_replication else "false"]
    values["cache.enabled"] = ["true" if policy.cache is not None else "false"]
    if policy.cache is not None:
        values |= {
            "cache.stalenessBound": [f"{policy.cache.staleness_bound:g}s"],
            "cache.eventualBound": [f"{policy.cache.eventual_bound:g}s"],
            "cache.fillLag": [f"{policy.cache.fill_lag:g}s"],
            "cache.maxWait": [f"{policy.cache.max_wait:g}s"],
            "cache.memory": [str(policy.cache.memory)],
            "cache.maxEntryBytes": [str(policy.cache.max_entry_bytes)],
            "cache.collections": list(map(_collection, policy.cache.collections)),
        }
    return [(field, value, origin) for field, origin in policy.origins.items() for value in values[field]]


def _limit(limit: LimitReport) -> str:
    figures = {
        "requests/s": limit.requests_per_second,
        "rows/s": limit.rows_per_second,
        "bytes/s": limit.bytes_per_second,
        "in flight": limit.in_flight,
    }
    values = ", ".join(f"{value} {unit}" for unit, value in figures.items() if value is not None)
    names = f" {', '.join(limit.names)}" if limit.names else ""
    others = f", not for {', '.join(limit.excluded)}" if limit.excluded else ""
    return f"by {' and '.join(limit.by)}{names}: {values}{others}"


def _collection(each: CachedCollectionReport) -> str:
    name = f"{each.database}/{each.collection}"
    if not each.enabled:
        return f"{name}: off"
    return f"{name}: stalenessBound {each.staleness_bound:g}s, eventualBound {each.eventual_bound:g}s"

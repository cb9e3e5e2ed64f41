"""Reports on MilvusPolicies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kiteway.model import NO_POLICY, Admission, Cache, Limit, Policy
from kiteway.report.policies import (
    AdmissionReport,
    AttachmentReport,
    CachedCollectionReport,
    CacheSettingsReport,
    LimitReport,
    PolicyReport,
)
from kiteway.translate.policy.attachment import Attachment

DEFAULT: Final = "default"
"""The origin of a value that no policy sets."""


def policy_report(policy: Policy) -> PolicyReport | None:
    """Report the policy of a route; None where no MilvusPolicy is about it."""
    if policy == NO_POLICY:
        return None
    return PolicyReport(
        limits=tuple(map(_limit, policy.limits)),
        admission=_admission(policy.admission) if policy.admission is not None else None,
        hedging_delay=policy.hedging_delay,
        allow_replication=policy.allow_replication,
        cache=_cache(policy.cache) if policy.cache is not None else None,
        origins={
            origin.field: DEFAULT if origin.policy is None else f"{origin.policy.namespace}/{origin.policy.name}"
            for origin in policy.origins
        },
    )


def attachment_reports(attachments: Iterable[Attachment]) -> tuple[AttachmentReport, ...]:
    """Report what became of the targets of all policies."""
    return tuple(
        AttachmentReport(
            policy=f"{each.policy.namespace}/{each.policy.name}",
            target=str(each.target),
            reason=each.reason,
            message=each.message,
        )
        for each in attachments
    )


def _limit(limit: Limit) -> LimitReport:
    return LimitReport(
        by=limit.by,
        requests_per_second=limit.requests_per_second,
        rows_per_second=limit.rows_per_second,
        bytes_per_second=limit.bytes_per_second,
        in_flight=limit.in_flight,
        burst=limit.burst,
        names=limit.names,
        excluded=limit.excluded,
    )


def _admission(admission: Admission) -> AdmissionReport:
    return AdmissionReport(
        max_concurrent_reads=admission.reads,
        max_concurrent_writes=admission.writes,
        max_wait=admission.wait,
        max_queued_bytes=admission.queued_bytes,
    )


def _cache(cache: Cache) -> CacheSettingsReport:
    return CacheSettingsReport(
        staleness_bound=cache.staleness_bound,
        eventual_bound=cache.eventual_bound,
        fill_lag=cache.fill_lag,
        max_wait=cache.max_wait,
        memory=cache.memory,
        max_entry_bytes=cache.max_entry_bytes,
        collections=tuple(
            CachedCollectionReport(
                database=each.database,
                collection=each.collection,
                enabled=each.enabled,
                staleness_bound=each.staleness_bound,
                eventual_bound=each.eventual_bound,
            )
            for each in cache.collections
        ),
    )

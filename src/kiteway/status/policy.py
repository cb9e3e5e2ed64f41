"""Reports on MilvusPolicies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kiteway.model import NO_POLICY, Admission, Limit, Policy
from kiteway.report.policies import AdmissionReport, AttachmentReport, LimitReport, PolicyReport
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

"""The MilvusPolicy of a route, as this replica's filter gets it."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from kiteway.envoy.filter_config import AdmissionConfig, LimitConfig, PolicyConfig
from kiteway.model import Admission, Limit, Policy
from kiteway.model.policy import ADAPTIVE


def policy_for_filter(policy: Policy, replicas: int) -> PolicyConfig | UnsetType:
    """
    Return a replica's share of a policy, or UNSET where the filter has nothing to do for it.

    Args:
        policy: of the route, for all replicas together.
        replicas: how many there are. Clients spread over them, so each has an equal share of every limit.
    """
    if not policy.for_filter:
        return UNSET
    return PolicyConfig(
        scope=policy.limits_scope or UNSET,
        limits=tuple(_limit(limit, replicas) for limit in policy.limits),
        admission=_admission(policy.admission, policy.admission_scope, replicas) if policy.admission else UNSET,
    )


def _limit(limit: Limit, replicas: int) -> LimitConfig:
    return LimitConfig(
        by=limit.by,
        requests_per_second=_rate(limit.requests_per_second, replicas),
        rows_per_second=_rate(limit.rows_per_second, replicas),
        bytes_per_second=_rate(limit.bytes_per_second, replicas),
        in_flight=_count(limit.in_flight, replicas),
        burst_ms=round(limit.burst * 1000),
        names=limit.names or UNSET,
        except_=limit.excluded or UNSET,
    )


def _admission(admission: Admission, scope: str, replicas: int) -> AdmissionConfig:
    reads = admission.reads
    return AdmissionConfig(
        scope=scope,
        reads=_count(reads, replicas) if isinstance(reads, int) else UNSET,
        adaptive=reads == ADAPTIVE,
        writes=_count(admission.writes, replicas),
        wait_ms=round(admission.wait * 1000),
        # Each replica has memory of its own.
        queued_bytes=admission.queued_bytes,
    )


def _rate(all_: int | None, replicas: int) -> float | UnsetType:
    return UNSET if all_ is None else all_ / replicas


def _count(all_: int | None, replicas: int) -> int | UnsetType:
    """Return a replica's share of a count, rounded up: with a share of none a client could never call."""
    return UNSET if all_ is None else -(-all_ // replicas)

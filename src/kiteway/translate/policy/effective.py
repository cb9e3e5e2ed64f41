"""The policies of a route's Ingress and of its Service -> one policy, field by field."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from kiteway.diagnostics import ObjectRef
from kiteway.model import PoolKey
from kiteway.model.policy import ADAPTIVE, NO_POLICY, Admission, Limit, LimitKey, Policy, PolicyOrigin
from kiteway.resources import MilvusPolicy
from kiteway.resources.kinds.milvus_policy import MilvusPolicySpec, PolicyAdmission, PolicyLimit, TargetKind
from kiteway.resources.quantities import bytes_of, seconds_of
from kiteway.translate.policy.cache import cache_of, cache_origins

T = TypeVar("T")

DEFAULT_WAIT: Final = 1.0
"""Seconds that a call waits for admission, where nothing else is said."""
DEFAULT_QUEUED_BYTES: Final = 64 << 20
"""Bytes of calls that wait for admission in one replica, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class PolicyOf:
    """A policy, and the object that has it."""

    target: ObjectRef
    policy: MilvusPolicy


def effective_policy(of_ingress: PolicyOf | None, of_service: PolicyOf | None, pool: PoolKey) -> Policy:
    """
    Return what the policies of an Ingress and of a Service mean for the routes from the Ingress to the Service.

    A field comes from the Ingress's policy if that policy sets it, else from the Service's policy. The cache comes from the
    Service's policy alone.
    """
    there = [each for each in (of_ingress, of_service) if each is not None]
    if not there:
        return NO_POLICY
    fields = _Fields(there)
    limits = fields.take("limits", lambda spec: spec.limits)
    admission, by_ingress = _admission(fields)
    delay = fields.take("hedging.delay", lambda spec: _seconds(spec.hedging.delay) if spec.hedging else None)
    replication = fields.take("allowReplication", lambda spec: spec.allow_replication)
    limited = limits is not None and limits[1]
    return Policy(
        limits=_limits(limits[1]) if limits is not None else (),
        limits_scope=str(limits[0]) if limits is not None and limited else "",
        admission=admission,
        admission_scope="" if admission is None else f"{by_ingress}, {pool}" if by_ingress else str(pool),
        hedging_delay=delay[1] if delay is not None else None,
        allow_replication=replication is not None and replication[1],
        cache=cache_of(of_service.policy) if of_service is not None else None,
        origins=(*fields.origins, *(cache_origins(of_service.policy) if of_service is not None else ())),
    )


@dataclass(slots=True)
class _Fields:
    """Takes each field from the first policy that sets it, and remembers which that was."""

    there: list[PolicyOf]
    origins: list[PolicyOrigin] = field(default_factory=list)

    def take(self, name: str, of: Callable[[MilvusPolicySpec], T | None]) -> tuple[ObjectRef, T] | None:
        """Return a field and the object whose policy has set it; None where none has."""
        for each in self.there:
            value = of(each.policy.spec)
            if value is not None:
                self.origins.append(PolicyOrigin(name, each.policy.ref))
                return each.target, value
        return None


def _admission(fields: _Fields) -> tuple[Admission | None, ObjectRef | None]:
    """Return the admission, and the Ingress whose policy has a part in it."""
    unset = PolicyAdmission()

    def take(name: str, of: Callable[[PolicyAdmission], T | None]) -> tuple[ObjectRef, T] | None:
        return fields.take(f"admission.{name}", lambda spec: of(spec.admission or unset))

    reads = take("maxConcurrentReads", lambda admission: admission.max_concurrent_reads)
    writes = take("maxConcurrentWrites", lambda admission: admission.max_concurrent_writes)
    if reads is None and writes is None:
        return None, None
    wait = take("maxWait", lambda admission: _seconds(admission.max_wait))
    queued = take("maxQueuedBytes", lambda admission: _bytes(admission.max_queued_bytes))
    for name, value in (("maxWait", wait), ("maxQueuedBytes", queued)):
        if value is None:
            fields.origins.append(PolicyOrigin(f"admission.{name}", None))
    set_by = (each[0] for each in (reads, writes, wait, queued) if each is not None)
    ingress = next((target for target in set_by if target.kind == TargetKind.INGRESS), None)
    return (
        Admission(
            reads=None if reads is None else reads[1] if isinstance(reads[1], int) else ADAPTIVE,
            writes=writes[1] if writes is not None else None,
            wait=wait[1] if wait is not None else DEFAULT_WAIT,
            queued_bytes=queued[1] if queued is not None else DEFAULT_QUEUED_BYTES,
        ),
        ingress,
    )


def _limits(written: Iterable[PolicyLimit]) -> tuple[Limit, ...]:
    limits = tuple(written)
    return tuple(_limit(limit, limits) for limit in limits)


def _limit(limit: PolicyLimit, all_: tuple[PolicyLimit, ...]) -> Limit:
    """Return a limit; one without names does not apply to names that other limits by the same key list."""
    own = {name for other in all_ if other.by == limit.by for name in other.names}
    burst = _seconds(limit.burst)
    return Limit(
        by=tuple(LimitKey(key.value) for key in limit.by),
        requests_per_second=limit.requests_per_second,
        rows_per_second=limit.rows_per_second,
        bytes_per_second=_bytes(limit.bytes_per_second),
        in_flight=limit.in_flight,
        burst=1.0 if burst is None else burst,
        names=tuple(sorted(set(limit.names))),
        excluded=() if limit.names else tuple(sorted(own)),
    )


def _seconds(text: str | None) -> float | None:
    return None if text is None else seconds_of(text)


def _bytes(quantity: int | str | None) -> int | None:
    return None if quantity is None else bytes_of(quantity)

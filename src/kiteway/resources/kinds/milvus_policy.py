"""MilvusPolicy: Kiteway's own settings for the calls to a Service or through an Ingress."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from kiteway.diagnostics import Severity
from kiteway.resources import reasons
from kiteway.resources.kinds.milvus_policy_cache import PolicyCache
from kiteway.resources.object import Object
from kiteway.resources.places import quoted
from kiteway.resources.quantities import byte_quantity, duration
from kiteway.resources.rules import at_least_one, at_most, between, dns_subdomain, each
from kiteway.resources.schema import REQUIRED, Origin, Rule, Violation, described

_ORIGIN = Origin.MILVUS_POLICY

ADAPTIVE: Final = "adaptive"
MOST_NAMES: Final = 256
"""Names in all limits of a policy together."""

_LONGEST_NAME = 255
_MOST_BYTES = 1 << 50


class TargetKind(enum.StrEnum):
    """The kinds that a MilvusPolicy can be about."""

    SERVICE = "Service"
    INGRESS = "Ingress"


_GROUPS: Final = {TargetKind.SERVICE: "", TargetKind.INGRESS: "networking.k8s.io"}


class LimitKey(enum.StrEnum):
    """The property that is the same for all calls that share one limit."""

    USER = "user"
    DATABASE = "database"
    COLLECTION = "collection"


def _call_name(value: str) -> Violation | None:
    if 1 <= len(value) <= _LONGEST_NAME:
        return None
    return Violation(f"must have 1 to {_LONGEST_NAME} characters, not {len(value)}.")


def _reads(value: int | str) -> Violation | None:
    if isinstance(value, int):
        return between(1, 1_000_000)(value)
    return None if value == ADAPTIVE else Violation(f"must be a number or {ADAPTIVE}, not {quoted(value)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyTargetRef:
    """The target of a policy: an object in the policy's own namespace."""

    group: str = described(
        "The API group: networking.k8s.io for an Ingress, empty for a Service.", "", absent="empty", origin=_ORIGIN
    )
    kind: TargetKind = described("Service or Ingress.", REQUIRED, origin=_ORIGIN)
    name: str = described("Its name.", REQUIRED, dns_subdomain, origin=_ORIGIN)

    def violations(self) -> Iterator[Violation]:
        """Yield a violation if the group is not that of the kind."""
        group = _GROUPS[self.kind]
        if self.group != group:
            fix = f"Write group: {group or quoted('')}."
            yield Violation(f"must be {quoted(group)} for the kind {self.kind}.", fix, path=("group",))


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyLimit:
    """One limit."""

    by: tuple[LimitKey, ...] = described(
        "What the calls that share the limit have in common: user, database, collection, or several of them. Each user "
        "(say) has the whole limit.",
        REQUIRED,
        at_least_one,
        origin=_ORIGIN,
    )
    requests_per_second: int | None = described(
        "Calls a second.", None, between(1, 1_000_000_000), absent="no limit", origin=_ORIGIN
    )
    rows_per_second: int | None = described(
        "Rows a second that inserts and upserts carry.",
        None,
        between(1, 1_000_000_000_000),
        absent="no limit",
        origin=_ORIGIN,
    )
    bytes_per_second: int | str | None = described(
        "Bytes of requests a second, such as 32Mi.",
        None,
        byte_quantity(1, _MOST_BYTES),
        absent="no limit",
        origin=_ORIGIN,
    )
    in_flight: int | None = described(
        "Calls at the same time.", None, between(1, 1_000_000), absent="no limit", origin=_ORIGIN
    )
    burst: str | None = described(
        "How long a pause may be made up for: 2s allows two seconds' worth of a rate at once. 1ms to 1h.",
        None,
        duration("1ms", "1h"),
        absent="1s",
        origin=_ORIGIN,
    )
    names: tuple[str, ...] = described(
        "The users, databases or collections that the limit is for, in place of the limits by the same key without "
        "names. Only with one key in by.",
        (),
        at_most(64),
        each(_call_name),
        absent="all",
        origin=_ORIGIN,
    )

    def violations(self) -> Iterator[Violation]:
        """Yield a limit that limits nothing, and combinations that mean nothing."""
        if all(
            value is None
            for value in (self.requests_per_second, self.rows_per_second, self.bytes_per_second, self.in_flight)
        ):
            yield Violation(
                "limits nothing.",
                "Set requestsPerSecond, rowsPerSecond, bytesPerSecond or inFlight.",
                reasons.FIELD_VALUE_REQUIRED,
            )
        if len(set(self.by)) != len(self.by):
            message = "must not name a key twice."
            yield Violation(message, reason=reasons.FIELD_VALUE_DUPLICATE, path=("by",))
        if self.names and len(self.by) > 1:
            message = f"must not be set with several keys in by ({', '.join(self.by)})."
            yield Violation(message, "Name one key in by, or remove names.", reasons.FIELD_VALUE_FORBIDDEN, ("names",))


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyAdmission:
    """How many calls are in work at the same time, and how the others wait."""

    max_concurrent_reads: int | str | None = described(
        "Reads at the same time in a pool, or adaptive: the limit follows their latency. Above it reads wait, and are "
        "admitted fairly by user and collection.",
        None,
        _reads,
        absent="no limit",
        origin=_ORIGIN,
    )
    max_concurrent_writes: int | None = described(
        "Writes at the same time in a pool.", None, between(1, 1_000_000), absent="no limit", origin=_ORIGIN
    )
    max_wait: str | None = described(
        "How long a call waits at most before it is refused, 1ms to 10m.",
        None,
        duration("1ms", "10m"),
        absent="1s",
        origin=_ORIGIN,
    )
    max_queued_bytes: int | str | None = described(
        "Bytes of the calls that wait in one replica, at most, such as 64Mi.",
        None,
        byte_quantity(1, _MOST_BYTES),
        absent="64Mi",
        origin=_ORIGIN,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyHedging:
    """When a read goes to a second endpoint as well."""

    delay: str = described(
        "How long a read may have no answer before it goes to a second endpoint as well, 1ms to 10m.",
        REQUIRED,
        duration("1ms", "10m"),
        origin=_ORIGIN,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MilvusPolicySpec:
    """The specification of a MilvusPolicy. A missing field changes nothing."""

    target_refs: tuple[PolicyTargetRef, ...] = described(
        "What the policy is about. A policy of an Ingress wins over one of a Service, field by field.",
        REQUIRED,
        at_least_one,
        at_most(16),
        origin=_ORIGIN,
    )
    limits: tuple[PolicyLimit, ...] | None = described(
        "Limits, divided by the live replicas of Kiteway. A call has to fit into each of them.",
        None,
        at_most(32),
        absent="none",
        origin=_ORIGIN,
    )
    admission: PolicyAdmission | None = described(
        "How many calls are in work at the same time.", None, absent="every call at once", origin=_ORIGIN
    )
    hedging: PolicyHedging | None = described(
        "Whether slow reads go to a second endpoint as well.", None, absent="never", origin=_ORIGIN
    )
    allow_replication: bool | None = described(
        "Whether clients may call CreateReplicateStream and DumpMessages, with which another Milvus replicates this one. Some "
        "versions of Milvus ask for no credentials there.",
        None,
        absent="false",
        origin=_ORIGIN,
    )
    cache: PolicyCache | None = described(
        "Whether answers to reads are stored and shared. Only in a policy whose targets are Services: a pool has one cache.",
        None,
        absent="off",
        origin=_ORIGIN,
    )

    def violations(self) -> Iterator[Violation]:
        """Yield a target that is named twice, names beyond what all may have together, and an Ingress with a cache."""
        seen = set()
        for index, target in enumerate(self.target_refs):
            if target in seen:
                path = ("targetRefs", index)
                yield Violation("must not be named twice.", "Remove it.", reasons.FIELD_VALUE_DUPLICATE, path)
            seen.add(target)
        names = sum(len(limit.names) for limit in self.limits or ())
        if names > MOST_NAMES:
            message = f"must have at most {MOST_NAMES} names in all, not {names}."
            yield Violation(message, reason=reasons.FIELD_VALUE_TOO_MANY, path=("limits",))
        ingress = next((t.name for t in self.target_refs if t.kind is TargetKind.INGRESS), None)
        if self.cache is not None and ingress is not None:
            message = f"must not be set in a policy for an Ingress ({ingress}): a pool has one cache for all its paths."
            fix = "Put cache into a policy for the Services alone."
            yield Violation(message, fix, reasons.FIELD_VALUE_FORBIDDEN, ("cache",))


@dataclass(frozen=True, slots=True, kw_only=True)
class MilvusPolicy(Object):
    """A MilvusPolicy (kiteway.io/v1alpha1), attached to Services and Ingresses as Gateway API's policies are."""

    KIND: ClassVar[str] = "MilvusPolicy"
    API_VERSIONS: ClassVar[tuple[str, ...]] = ("kiteway.io/v1alpha1",)
    UNKNOWN_FIELD: ClassVar[Severity] = Severity.ERROR
    NAME_RULE: ClassVar[Rule] = staticmethod(dns_subdomain)
    SILENT: ClassVar[frozenset[str]] = frozenset({"status"})

    spec: MilvusPolicySpec = described("What it asks for.", origin=_ORIGIN)

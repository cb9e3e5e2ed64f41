"""MilvusPolicies: what a route has of them, and what became of each target."""

from __future__ import annotations

import msgspec

from kiteway.model import LimitKey, PolicyReason


class LimitReport(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    A limit, for all replicas together. A rate that is null has no limit.

    Attributes:
        by: what the calls that share the limit have in common.
        requests_per_second: calls a second.
        rows_per_second: rows a second.
        bytes_per_second: bytes of requests a second.
        in_flight: calls at the same time.
        burst: seconds' worth of a rate that may be used at once.
        names: the only names that the limit is for; empty for all.
        excluded: names that it is not for, because they have limits of their own.
    """

    by: tuple[LimitKey, ...]
    requests_per_second: int | None
    rows_per_second: int | None
    bytes_per_second: int | None
    in_flight: int | None
    burst: float
    names: tuple[str, ...]
    excluded: tuple[str, ...]


class AdmissionReport(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    An admission.

    Attributes:
        max_concurrent_reads: reads at the same time for all replicas together, `adaptive`, or null for no limit.
        max_concurrent_writes: writes at the same time for all replicas together; null for no limit.
        max_wait: seconds that a call waits at most.
        max_queued_bytes: bytes of calls that wait in one replica, at most.
    """

    max_concurrent_reads: int | str | None
    max_concurrent_writes: int | None
    max_wait: float
    max_queued_bytes: int


class CachedCollectionReport(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    The cache's settings for one collection.

    Attributes:
        database: its database.
        collection: its name, or an alias.
        enabled: whether answers are stored.
        staleness_bound: seconds that an answer may be old.
        eventual_bound: the same for reads at the level Eventually.
    """

    database: str
    collection: str
    enabled: bool
    staleness_bound: float
    eventual_bound: float


class CacheSettingsReport(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    A cache, as a policy sets it.

    Attributes:
        staleness_bound: seconds that an answer may be old.
        eventual_bound: the same for reads at the level Eventually.
        fill_lag: seconds that the timestamp of a fill is old.
        max_wait: seconds that a read waits for the answer to an equal read in flight.
        memory: bytes of all answers kept in one replica.
        max_entry_bytes: bytes of one answer; a larger answer is not stored.
        collections: the settings of single collections.
    """

    staleness_bound: float
    eventual_bound: float
    fill_lag: float
    max_wait: float
    memory: int
    max_entry_bytes: int
    collections: tuple[CachedCollectionReport, ...]


class PolicyReport(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    The policy of a route.

    Attributes:
        limits: the limits; a call has to fit into each.
        admission: null: every call is admitted at once.
        hedging_delay: seconds without an answer after which a read is also sent to a second endpoint; null for never.
        allow_replication: whether CreateReplicateStream and DumpMessages are served.
        cache: null: no answer is stored.
        origins: NAMESPACE/NAME of the MilvusPolicy that each value comes from, or `default`, by the field's name.
    """

    limits: tuple[LimitReport, ...]
    admission: AdmissionReport | None
    hedging_delay: float | None
    allow_replication: bool
    cache: CacheSettingsReport | None
    origins: dict[str, str]


class AttachmentReport(msgspec.Struct, frozen=True, kw_only=True):
    """
    A target of a MilvusPolicy.

    Attributes:
        policy: NAMESPACE/NAME of the policy.
        target: KIND NAMESPACE/NAME of the target.
        reason: the reason of the condition Accepted; the target has the policy if it is `Accepted`.
        message: the same as a sentence.
    """

    policy: str
    target: str
    reason: PolicyReason
    message: str

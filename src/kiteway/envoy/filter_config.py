"""
The configuration of Kiteway's filter in Envoy, as the filter reads it.

The Rust side is ``filter/core/src/config.rs``, ``listener/route.rs`` and ``listener/policy.rs``;
``filter/testdata/configuration.json`` has the cases that test both.
"""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from kiteway.model.policy import LimitKey


class Mode(enum.StrEnum):
    """The place of the filter in Envoy, which decides what it does."""

    DOWNSTREAM = "downstream"
    """In a listener: once per request of a client whose route turns the filter on."""
    UPSTREAM = "upstream"
    """In a cluster that serves gRPC: once per attempt at an endpoint."""
    REST_UPSTREAM = "rest-upstream"
    """In a cluster that serves REST."""
    REPORT = "report"
    """In a listener for the control plane: replies with what was counted of calls (`kiteway.envoy.calls`)."""


class UserNaming(enum.StrEnum):
    """The form of user names in the access log and in `kiteway top`."""

    NAMES = "names"
    """Their names. API keys are always hashed."""
    HASHED = "hashed"
    """Keyed hashes of their names."""
    NONE = "none"
    """Nothing."""


class FilterConfig(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    The configuration of the filter in one chain.

    Attributes:
        mode: where the chain is.
        log: whether the access log gets fields of the messages of a call.
        trace: whether the span of a traced call gets fields of its messages.
        pool: the name under which the filter of a cluster counts calls by collection, user and endpoint. Where it is
            unset, the filter does not count. The filter of a listener has the name from the route (`RouteConfig`).
        users: how users are named, in the access log and in the counts.
        user_key: the file with the 16-byte key of user hashes; unset, Envoy makes a random key at each start.
    """

    mode: Mode
    log: bool = False
    trace: bool = False
    pool: str | UnsetType = UNSET
    users: UserNaming = UserNaming.NAMES
    user_key: str | UnsetType = UNSET

    def json(self) -> str:
        """Return the text that the filter reads; equal values give equal texts."""
        return msgspec.json.encode(self).decode()


_Rate = Annotated[float, Meta(gt=0)]
_Count = Annotated[int, Meta(ge=1, le=(1 << 53) - 1)]
_Milliseconds = Annotated[int, Meta(ge=0, le=3_600_000)]
_Names = Annotated[tuple[str, ...], Meta(min_length=1)]
_Scope = Annotated[str, Meta(min_length=1)]


class LimitConfig(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """
    This replica's share of one limit of a policy. The share applies to each value of ``by`` separately.

    Attributes:
        by: what the calls that share the limit have in common: one, two or all three of the keys, each once.
        requests_per_second: calls a second.
        rows_per_second: rows a second.
        bytes_per_second: bytes of requests a second.
        in_flight: calls at the same time. At least one of these four is set.
        burst_ms: how many milliseconds' worth of a rate may be used at once, 1000 if it is not set; one call always may.
        names: the only names that the limit holds for; all of them if it is not set. Only with one key in ``by``.
        except_: names that it does not hold for; not together with ``names``. Only with one key in ``by``.
    """

    by: Annotated[tuple[LimitKey, ...], Meta(min_length=1)]
    requests_per_second: _Rate | UnsetType = UNSET
    rows_per_second: _Rate | UnsetType = UNSET
    bytes_per_second: _Rate | UnsetType = UNSET
    in_flight: _Count | UnsetType = UNSET
    burst_ms: _Milliseconds | UnsetType = UNSET
    names: _Names | UnsetType = UNSET
    except_: _Names | UnsetType = msgspec.field(default=UNSET, name="except")

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a combination of parts that means nothing."""
        if len(set(self.by)) != len(self.by):
            raise ValueError("by has a key twice")
        limited = (self.requests_per_second, self.rows_per_second, self.bytes_per_second, self.in_flight)
        if all(each is UNSET for each in limited):
            raise ValueError("the limit limits nothing")
        if self.names is not UNSET and self.except_ is not UNSET:
            raise ValueError("names and except are set")
        if len(self.by) > 1 and (self.names is not UNSET or self.except_ is not UNSET):
            raise ValueError("names or except with more than one key in by")


class AdmissionConfig(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """
    How many calls are worked on at the same time: this replica's share.

    Attributes:
        scope: routes with the same scope share one state, which outlives an update of the route.
        reads: the limit of reads; not set: no limit, or an adaptive one.
        adaptive: whether the limit of reads follows their latency; not together with ``reads``.
        writes: the limit of writes; not set: no limit.
        wait_ms: milliseconds that a call waits at most.
        queued_bytes: bytes of calls that wait at most, all of them together.
    """

    scope: _Scope
    wait_ms: _Milliseconds
    queued_bytes: Annotated[int, Meta(ge=0, le=(1 << 53) - 1)]
    reads: _Count | UnsetType = UNSET
    adaptive: bool = False
    writes: _Count | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a combination of parts that means nothing."""
        if self.adaptive and self.reads is not UNSET:
            raise ValueError("reads and adaptive are set")
        if not self.adaptive and self.reads is UNSET and self.writes is UNSET:
            raise ValueError("the admission limits nothing")


class PolicyConfig(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """
    What a MilvusPolicy says of the calls of a route.

    Attributes:
        scope: routes with the same scope count together, and an update of the route keeps the counts; with ``limits``,
            and only with them.
        limits: a call has to fit into each of them.
        admission: not set: every call is admitted at once.
    """

    scope: _Scope | UnsetType = UNSET
    limits: tuple[LimitConfig, ...] = ()
    admission: AdmissionConfig | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for limits without a scope, or a scope without limits."""
        if bool(self.limits) is (self.scope is UNSET):
            raise ValueError("scope and limits are not set together")

    def json(self) -> str:
        """Return the text that the filter reads; equal values give equal texts."""
        return msgspec.json.encode(self).decode()


_Bound = Annotated[int, Meta(ge=1, le=5000)]
_EventualBound = Annotated[int, Meta(ge=1, le=3_600_000)]
_Whole = Annotated[int, Meta(ge=0, le=(1 << 53) - 1)]


class CachedCollectionConfig(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    The cache's settings for one collection.

    Attributes:
        database: its database.
        collection: its name, as reads write it.
        enabled: whether answers are stored.
        bound_ms: milliseconds that an answer may be old.
        eventual_bound_ms: the same for reads at the level Eventually.
    """

    database: _Scope
    collection: _Scope
    bound_ms: _Bound
    eventual_bound_ms: _EventualBound
    enabled: bool = True


class CacheConfig(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    The cache of the pool that a route leads to.

    Attributes:
        pool: routes with the same pool share one cache, which outlives an update of the route.
        bound_ms: milliseconds that an answer may be old.
        eventual_bound_ms: the same for reads at the level Eventually.
        fill_lag_ms: milliseconds that the timestamp of a fill is old, less than every ``bound_ms``.
        max_wait_ms: milliseconds that a read waits for the answer to an equal read in flight.
        memory: bytes of all answers kept.
        max_entry_bytes: bytes of one answer; a larger answer is not stored.
        epoch: another number than in the configurations before drops all answers and samples of the pool.
        cluster: the cluster to which the filter sends its own calls; not set for REST.
        reads: whether reads on this route are answered from the cache; only with ``cluster``. On other routes the filter
            only looks for calls that make answers invalid.
        hedge_ms: milliseconds after which Envoy hedges a read on this route, of a MilvusPolicy; not set where it does not.
        collections: settings of single collections, each once.
    """

    pool: _Scope
    bound_ms: _Bound
    eventual_bound_ms: _EventualBound
    fill_lag_ms: _Bound
    max_wait_ms: Annotated[int, Meta(ge=1, le=600_000)]
    memory: Annotated[int, Meta(ge=1, le=(1 << 53) - 1)]
    max_entry_bytes: Annotated[int, Meta(ge=1, le=(1 << 53) - 1)]
    epoch: _Whole
    cluster: _Scope | UnsetType = UNSET
    reads: bool = False
    hedge_ms: Annotated[int, Meta(ge=1, le=3_600_000)] | UnsetType = UNSET
    collections: Annotated[tuple[CachedCollectionConfig, ...], Meta(max_length=64)] = ()

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a combination of parts that means nothing."""
        if any(self.fill_lag_ms >= bound for bound in (self.bound_ms, *(each.bound_ms for each in self.collections))):
            raise ValueError("fill_lag_ms is not below bound_ms")
        if self.max_entry_bytes > self.memory:
            raise ValueError("max_entry_bytes is above memory")
        if self.reads and self.cluster is UNSET:
            raise ValueError("reads without cluster")
        if len({(each.database, each.collection) for each in self.collections}) < len(self.collections):
            raise ValueError("collections names one twice")

    def json(self) -> str:
        """Return the text that the filter reads; equal values give equal texts."""
        return msgspec.json.encode(self).decode()


class RouteConfig(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    The configuration of the filter in the listener for one route: independent, optional parts.

    Attributes:
        answer: the sentence with which the filter answers `Connect` on a route without a pool; ``{host}`` and ``{path}``
            are replaced by those of the request.
        answer_without_endpoint: the sentence with which it answers `Connect` while no endpoint of the route's pool is healthy.
        by_server_name: the route is for hosts that nothing claims. A request whose host is an address gets the server name
            (SNI) of its connection as host, and its route is chosen again.
        log_rate: the share of the route's requests in the access log, 0 to 1; unset for all.
        policy: the limits of its calls, of a MilvusPolicy.
        cache: the cache of its pool, of a MilvusPolicy.
        pool: the name under which the filter counts what happens to calls in the listener, that of the cluster; unset, it
            does not count. Only with ``policy`` or ``cache``.
    """

    answer: str | UnsetType = UNSET
    answer_without_endpoint: str | UnsetType = UNSET
    by_server_name: bool = False
    log_rate: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    policy: PolicyConfig | UnsetType = UNSET
    cache: CacheConfig | UnsetType = UNSET
    pool: str | UnsetType = UNSET

    def json(self) -> str:
        """Return the text that the filter reads; equal values give equal texts."""
        return msgspec.json.encode(self).decode()

"""Timeouts, retries and hedging by rpc class."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf.wrappers_pb2 import UInt32Value

from kiteway._proto.envoy.config.route.v3.route_components_pb2 import HeaderMatcher, RetryPolicy, RouteAction
from kiteway._proto.envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2 import PreviousHostsPredicate
from kiteway._proto.envoy.type.matcher.v3.string_pb2 import StringMatcher
from kiteway.envoy.xds.common import pack, seconds
from kiteway.milvus.catalogue import Rpc, RpcClass, catalogue, path_regex


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """
    The timeout, retries and hedging of calls of some rpc classes.

    A single attempt has no timeout: a slow answer is no failure, and an endpoint that hangs does not answer keepalive pings,
    which ends its attempts.

    Attributes:
        name: the policy's part of a route's name.
        regex: the paths, as an RE2 expression; None matches every call.
        paths: the same paths one by one, if they are few or called often. An expression costs a call a microsecond, mostly
            for cache misses in its table and a lock that all of Envoy's threads share.
        beginnings: each path that ``regex`` matches begins with one of these.
        timeout: seconds a whole call may take, retries included; None for no limit (streams).
        idle: seconds that may pass without a byte in either direction; None for no limit.
        retry_on: Envoy's conditions to send a call again, on another endpoint.
        retries: how often, at most.
        back_off: seconds before the first of them; up to ten times as much before the others.
        buffer: bytes of a request that are buffered for retries; a longer request is sent once.
        hedged: whether a call may be hedged, if the pool has a hedging delay.
        replication: whether the calls are refused unless the route's MilvusPolicy allows replication.
    """

    name: str
    regex: str | None
    timeout: float | None
    retry_on: str
    retries: int
    back_off: float
    buffer: int
    hedged: bool = False
    paths: tuple[str, ...] = ()
    beginnings: tuple[str, ...] = ()
    idle: float | None = None
    replication: bool = False

    def may_match(self, prefix: str) -> bool:
        """Return whether ``regex`` may match a path that begins with ``prefix``."""
        return any(b.startswith(prefix) or prefix.startswith(b) for b in self.beginnings)

    @property
    def repeatable(self) -> bool:
        """Whether a call may be sent again after an endpoint may have received it."""
        return self.retry_on not in {_NOTHING_SENT, _NOT_BEGUN}

    @property
    def retriable_headers(self) -> list[HeaderMatcher]:
        """The headers of answers from a proxy that still starts, after which a call is sent to another one."""
        if "retriable-headers" not in self.retry_on:
            return []
        return [_STARTING] if self.repeatable else [_STARTING, _INITIALIZING]


_HEDGES = 2
"""
The most times that a hedged call is sent again, for any reason: each may be one more endpoint that works on it.

To Envoy they are retries and share the retry budget, a fifth of the active calls, so that hedging cannot overload a pool
that is slow as a whole.
"""

_NOTHING_SENT = "connect-failure,refused-stream,reset-before-request"
"""No endpoint has received any part of the call, so every call may be sent to another one."""

_NOT_BEGUN = f"{_NOTHING_SENT},retriable-headers"
"""The same, or a proxy of Milvus refused the call before it looked at it, because it still starts."""

_GRPC_REPEATABLE = "connect-failure,refused-stream,reset,unavailable,cancelled,retriable-headers"
"""
A server built on gRPC's C core (Milvus Lite) gives CANCELLED to a call that meets its shutdown. A client that has cancelled
its call waits for no answer, so the status never comes from the client.
"""
_REST_REPEATABLE = "connect-failure,refused-stream,reset,gateway-error"

_STARTING = HeaderMatcher(name="grpc-message", string_match=StringMatcher(contains="Milvus Proxy is not ready yet"))
"""What a proxy answers with the status UNKNOWN for some milliseconds after it listens, before it looks at the call."""

MARK = "kiteway-in-band"
"""The header with which the filter marks such answers (`filter/core/src/mark.rs`)."""

_INITIALIZING = HeaderMatcher(name=MARK, string_match=StringMatcher(exact="starting"))
"""
What it answers next, inside an answer whose status is OK, to gRPC and REST alike. A read needs no mark, since the filter makes
its answer UNAVAILABLE, or 503.
"""

_READ_BUFFER = 16 << 20
"""More than a search of 1,000 vectors of 4,096 dimensions needs."""

_WRITE_BUFFER = 16 << 20
"""
More than arrives while a refused connection is retried elsewhere. A longer write whose connection attempt times out (a
blackhole) is answered with UNAVAILABLE: Envoy drops the retry instead of the client's data.
"""

_QUERY = 600.0
_META = 120.0
_WRITE = 600.0
_LONG = 3600.0
"""Loads, imports, flushes and the like run for as long as the data needs."""


def _repeatable(
    name: str, regex: str, timeout: float, retry_on: str, *beginnings: str, hedged: bool = False
) -> CallPolicy:
    return CallPolicy(name, regex, timeout, retry_on, 4, 0.025, _READ_BUFFER, hedged, beginnings=beginnings)


def _once(name: str, regex: str | None, timeout: float | None, retry_on: str, *beginnings: str) -> CallPolicy:
    return CallPolicy(name, regex, timeout, retry_on, 2, 0.001, _WRITE_BUFFER, beginnings=beginnings)


_SESSION = ("Connect", "GetVersion", "CheckHealth")
"""Calls with which a client begins a session, and which monitoring repeats."""

_DESCRIBE = "DescribeCollection"
"""PyMilvus sends it before inserts and searches; the other calls about structure are rare."""


def _one_by_one(policy: CallPolicy, rpcs: Iterable[Rpc]) -> CallPolicy:
    # They are matched in this order, and the shortest ones (Query, Search) are called most often.
    return dataclasses.replace(policy, paths=tuple(sorted((rpc.path for rpc in rpcs), key=len)))


@functools.cache
def grpc_policies() -> tuple[CallPolicy, ...]:
    """
    Return the policies for gRPC in the order they are matched; the last one matches what is not in the catalogue.

    The source of the classes is the catalogue of rpcs.
    """
    rpcs = catalogue()
    unary = [rpc for rpc in rpcs if not rpc.streaming]
    reads = [rpc for rpc in unary if rpc.rpc_class is RpcClass.READ]
    writes = [rpc for rpc in unary if rpc.rpc_class is RpcClass.WRITE]
    safe = [rpc for rpc in unary if rpc.retry_safe and rpc.rpc_class not in (RpcClass.READ, RpcClass.WRITE)]
    session = [rpc for rpc in safe if rpc.name in _SESSION]
    describe = [rpc for rpc in safe if rpc.name == _DESCRIBE]
    rest = [rpc for rpc in safe if rpc.name not in (*_SESSION, _DESCRIBE)]
    streams = [rpc for rpc in rpcs if rpc.streaming and rpc.rpc_class is not RpcClass.REPLICATION]
    replication = [rpc for rpc in rpcs if rpc.streaming and rpc.rpc_class is RpcClass.REPLICATION]
    return (
        _one_by_one(_repeatable("read", path_regex(reads), _QUERY, _GRPC_REPEATABLE, hedged=True), reads),
        _one_by_one(_once("write", path_regex(writes), _WRITE, _NOT_BEGUN), writes),
        _one_by_one(_repeatable("session", path_regex(session), _META, _GRPC_REPEATABLE), session),
        _one_by_one(_repeatable("describe", path_regex(describe), _META, _GRPC_REPEATABLE), describe),
        _repeatable("meta-read", path_regex(rest), _META, _GRPC_REPEATABLE, *(rpc.path for rpc in rest)),
        _one_by_one(_once("stream", path_regex(streams), None, _NOTHING_SENT), streams),
        dataclasses.replace(
            _one_by_one(_once("replication", path_regex(replication), None, _NOTHING_SENT), replication),
            replication=True,
        ),
        # An rpc that is newer than the catalogue may be a stream, which no limit of its duration must cut. So the limit is for
        # silence: to a unary call it is the same.
        dataclasses.replace(_once("other", None, None, _NOT_BEGUN), idle=_LONG),
    )


_REST_READS = (
    r"/v1/vector/(?:query|get|search|collections(?:/describe)?)"
    r"|/v2/vectordb/(?:entities/(?:query|get|search|advanced_search|hybrid_search)"
    r"|[a-z_/]+/(?:list|describe|has|get_stats|get_load_state|get_progress))"
)
"""The REST calls that only read: both versions of Milvus's REST API read by POST as well."""

_REST_BEGINNINGS = ("/v1/vector/", "/v2/vectordb/")
_REST_WRITES = r"/v1/vector/(?:insert|upsert|delete)|/v2/vectordb/entities/(?:insert|upsert|delete)"


@functools.cache
def rest_policies() -> tuple[CallPolicy, ...]:
    """Return the policies for REST in the order they are matched."""
    return (
        _repeatable("rest-read", _REST_READS, _QUERY, _REST_REPEATABLE, *_REST_BEGINNINGS, hedged=True),
        _once("rest-write", _REST_WRITES, _WRITE, _NOT_BEGUN, *_REST_BEGINNINGS),
        _once("rest-other", None, _LONG, _NOTHING_SENT),
    )


def repeatable_paths(policies: Iterable[CallPolicy]) -> str:
    """Return an RE2 expression for the paths, with or without a query, of calls of ``policies`` that may be sent twice."""
    paths = "|".join(policy.regex for policy in policies if policy.regex and policy.repeatable)
    return rf"(?:{paths})(?:\?.*)?"


def hedge(action: RouteAction, delay: float) -> None:
    """
    Send a call to a second endpoint too when it has had no answer for ``delay`` seconds; the first answer is used.

    In Envoy the delay is the per-try timeout; with hedging, the try that exceeds it continues.
    """
    action.hedge_policy.hedge_on_per_try_timeout = True
    action.retry_policy.per_try_timeout.CopyFrom(seconds(delay))
    action.retry_policy.num_retries.value = _HEDGES


def retry_policy(policy: CallPolicy) -> RetryPolicy:
    """
    Return the retries of a policy.

    A repeatable call is retried on another endpoint after any failure of the connection or the endpoint; any other call only
    if it is known that no endpoint has begun it.
    """
    return RetryPolicy(
        retry_on=policy.retry_on,
        retriable_headers=policy.retriable_headers,
        num_retries=UInt32Value(value=policy.retries),
        retry_host_predicate=[
            RetryPolicy.RetryHostPredicate(
                name="envoy.retry_host_predicates.previous_hosts", typed_config=pack(PreviousHostsPredicate())
            )
        ],
        # Least request prefers the endpoint that just failed, which has no active calls. With two endpoints it is chosen
        # (`kiteway.envoy.xds.affinity.CHOICES`) 31 times in 32.
        host_selection_retry_max_attempts=256,
        retry_back_off=RetryPolicy.RetryBackOff(
            base_interval=seconds(policy.back_off), max_interval=seconds(policy.back_off * 10)
        ),
    )

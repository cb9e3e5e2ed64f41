"""Routes to pools: for each path of a host, one route for each policy of its calls."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from google.protobuf.wrappers_pb2 import UInt64Value
from msgspec import UNSET

from kiteway._proto.envoy.config.route.v3.route_components_pb2 import Route, RouteAction, RouteMatch
from kiteway.envoy.filter_config import RouteConfig
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.access_log import add_log_rate_without_filter, log_rate_for_filter
from kiteway.envoy.xds.affinity import hash_policy
from kiteway.envoy.xds.answers import Answer, grpc_refusal, no_route
from kiteway.envoy.xds.backed import Backed
from kiteway.envoy.xds.common import grpc_cluster_name, rest_cluster_name, seconds, source_name
from kiteway.envoy.xds.filters import counted_as, turn_on
from kiteway.envoy.xds.headers import Headers, SharedHeaders, header_options
from kiteway.envoy.xds.local_replies import NO_HEALTHY_ENDPOINT
from kiteway.envoy.xds.policy import MARK, CallPolicy, grpc_policies, hedge, rest_policies, retry_policy
from kiteway.envoy.xds.route_cache import cache_for_filter
from kiteway.envoy.xds.route_match import match_of, narrow
from kiteway.envoy.xds.route_policy import policy_for_filter
from kiteway.model import Affinity, Pool, PoolKey
from kiteway.model import Route as ModelRoute

_CONNECT = "/milvus.proto.milvus.MilvusService/Connect"
"""PyMilvus's first call. PyMilvus shows the text of no gRPC error to it, so the filter answers with a Milvus status."""

_NO_REPLICATION = (
    "the streams of replication (CreateReplicateStream, DumpMessages) are refused here: some versions of Milvus ask for no "
    "credentials there. If your Milvus does, a MilvusPolicy with allowReplication: true allows them."
)


def routes_to_pools(backed: Backed, shared: SharedHeaders, settings: EnvoySettings, *, encrypted: bool) -> list[Route]:
    """Return the routes of a host to its pools, in order."""
    forwarded: dict[_Destination, _Forwarded] = {}
    routes: list[Route] = []
    for route, pool in zip(backed.host.routes, backed.backends, strict=True):
        if pool is None:
            routes += _unknown_pool(route, settings)
            continue
        to = _Destination(
            pool.key,
            route.request_headers,
            route.response_headers,
            RouteConfig(
                log_rate=log_rate_for_filter(route.log_sample_rate),
                policy=policy_for_filter(route.policy, backed.replicas),
            ),
            route.log_sample_rate,
            route.policy.hedging_delay,
            route.policy.allow_replication,
        )
        if to not in forwarded:
            forwarded[to] = _forwarded(to, pool, shared, settings, encrypted=encrypted)
        routes += _routes(route, pool, forwarded[to], settings)
    return routes


class _Destination(NamedTuple):
    """What routes of different paths have in common that lead to the same place."""

    pool: PoolKey
    request_headers: Headers
    response_headers: Headers
    for_filter: RouteConfig
    log_sample_rate: float
    hedging_delay: float | None
    allow_replication: bool


@dataclass(frozen=True, slots=True)
class _Forwarded:
    """
    The routes to a destination, without name and path: an Ingress may have a thousand paths to one.

    Attributes:
        grpc: one for each policy for gRPC.
        connect: the one for `Connect`.
        rest: one for each policy for REST; none where REST is not served.
    """

    grpc: tuple[tuple[CallPolicy, Route], ...]
    connect: Route
    rest: tuple[tuple[CallPolicy, Route], ...]


def _forwarded(
    to: _Destination, pool: Pool, shared: SharedHeaders, settings: EnvoySettings, *, encrypted: bool
) -> _Forwarded:
    request = to.request_headers if shared.request is None else ()
    response = to.response_headers if shared.response is None else ()

    def made(policy: CallPolicy, cluster: str, *, connect: bool = False) -> tuple[CallPolicy, Route]:
        if policy.replication and not to.allow_replication:
            return policy, Route(direct_response=grpc_refusal(_NO_REPLICATION))
        route = _forward(policy, pool, cluster, to.hedging_delay)
        if cluster == grpc:
            # Envoy would send it as an extended CONNECT, which Milvus resets; such resets in a row eject the endpoint.
            route.route.upgrade_configs.add(upgrade_type="websocket").enabled.value = False
        elif policy.retriable_headers:
            # Of gRPC the filter removes it, with the status that belongs to it.
            route.response_headers_to_remove.append(MARK)
        route.request_headers_to_add.extend(header_options(request, encrypted=encrypted))
        route.response_headers_to_add.extend(header_options(response, encrypted=encrypted))
        add_log_rate_without_filter(route, to.log_sample_rate, settings)
        marked = cluster == grpc and not policy.repeatable
        for_filter = to.for_filter
        if pool.cache is not None:
            cache = cache_for_filter(pool, to.hedging_delay, grpc=cluster == grpc)
            for_filter = msgspec.structs.replace(for_filter, cache=cache)
        if for_filter.policy is not UNSET or for_filter.cache is not UNSET:
            for_filter = msgspec.structs.replace(for_filter, pool=counted_as(settings, cluster))
        if connect and not settings.fail_open:
            for_filter = msgspec.structs.replace(for_filter, answer_without_endpoint=f"kiteway: {NO_HEALTHY_ENDPOINT}")
        if marked or for_filter != RouteConfig():
            turn_on(route, settings, for_filter)
        return policy, route

    grpc, rest = grpc_cluster_name(pool.key), rest_cluster_name(pool.key)
    return _Forwarded(
        tuple(made(policy, grpc) for policy in grpc_policies()),
        made(next(policy for policy in grpc_policies() if _CONNECT in policy.paths), grpc, connect=True)[1],
        tuple(made(policy, rest) for policy in rest_policies()) if pool.rest else (),
    )


def _name(route: ModelRoute) -> str:
    return f"{source_name(route.source)}/{route.match.type}:{route.match.path}"


def _unknown_pool(route: ModelRoute, settings: EnvoySettings) -> list[Route]:
    text = "the Service behind this path does not exist or cannot be used; see `kiteway status`."
    return no_route(_name(route), match_of(route), Answer(text, text, rest_status=503), settings)


def _routes(route: ModelRoute, pool: Pool, forwarded: _Forwarded, settings: EnvoySettings) -> list[Route]:
    name, match = _name(route), match_of(route)
    result = []
    for policy, made in forwarded.grpc:
        result += [
            _to(forwarded.connect if call.path == _CONNECT else made, name, policy, call)
            for call in narrow(match, policy, grpc=True)
        ]
    for policy, made in forwarded.rest:
        result += [_to(made, name, policy, call) for call in narrow(match, policy, grpc=False)]
    if not pool.rest:
        text = (
            "Milvus serves no REST on this port while it runs with TLS. Set proxy.http.port in Milvus and name it "
            "with the Service annotation kiteway.io/rest-port."
        )
        result += no_route(f"{name}/no-rest", match, Answer(text, text, rest_status=501), settings)[1:]
    return result


def _to(route: Route, name: str, policy: CallPolicy, match: RouteMatch) -> Route:
    """Return ``route`` for what ``match`` says."""
    result = Route(name=f"{name}/{policy.name}")
    result.MergeFrom(route)
    result.match.CopyFrom(match)
    return result


def _forward(policy: CallPolicy, pool: Pool, cluster: str, hedging_delay: float | None) -> Route:
    route = Route(
        route=_action(policy, pool.timeout, pool.affinity, hedging_delay),
        request_body_buffer_limit=UInt64Value(value=policy.buffer),
    )
    route.route.cluster = cluster
    return route


@functools.lru_cache(maxsize=256)
def _action(policy: CallPolicy, timeout: float | None, affinity: Affinity, hedging_delay: float | None) -> RouteAction:
    """Return what the routes of many pools have in common; it is copied, never changed."""
    limits = [limit for limit in (policy.timeout, timeout) if limit is not None]
    limit = seconds(min(limits) if limits else 0)
    action = RouteAction(
        # It would count from the request's end: max_stream_duration, from its beginning, is always first.
        timeout=seconds(0),
        idle_timeout=seconds(policy.idle or 0),
        retry_policy=retry_policy(policy),
        # With the header's too: else Envoy ignores the client's grpc-timeout.
        max_stream_duration=RouteAction.MaxStreamDuration(max_stream_duration=limit, grpc_timeout_header_max=limit),
        hash_policy=hash_policy(affinity),
    )
    if policy.hedged and hedging_delay is not None:
        hedge(action, hedging_delay)
    return action

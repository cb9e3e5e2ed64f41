"""Hosts as virtual hosts."""

from __future__ import annotations

import dataclasses
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import UInt32Value, UInt64Value

from kiteway._proto.envoy.config.route.v3.route_components_pb2 import (
    HeaderMatcher,
    RedirectAction,
    Route,
    RouteAction,
    RouteMatch,
    VirtualHost,
)
from kiteway._proto.envoy.config.route.v3.route_pb2 import RouteConfiguration
from kiteway._proto.envoy.type.matcher.v3.string_pb2 import StringMatcher
from kiteway.envoy.filter_config import RouteConfig
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.access_log import add_log_rate_without_filter, log_rate_for_filter
from kiteway.envoy.xds.affinity import hash_policy
from kiteway.envoy.xds.answers import HOST, PATH, Answer, no_route
from kiteway.envoy.xds.assembled import Assembled, RepeatedField, piece
from kiteway.envoy.xds.challenges import for_name, with_challenges
from kiteway.envoy.xds.common import (
    GRPC_LISTENER,
    HTTP_LISTENER,
    HTTPS_LISTENER,
    grpc_cluster_name,
    own_routes_name,
    regex,
    rest_cluster_name,
    seconds,
    source_name,
)
from kiteway.envoy.xds.filters import turn_on
from kiteway.envoy.xds.headers import Headers, SharedHeaders, header_options
from kiteway.envoy.xds.policy import CallPolicy, grpc_policies, hedge, rest_policies, retry_policy
from kiteway.envoy.xds.refusals import (
    ANY_HOST,
    grpc_is_not_redirected,
    misdirected,
    not_in_plaintext,
    not_over_tls,
    one_label,
    unknown,
)
from kiteway.envoy.xds.route_policy import policy_for_filter
from kiteway.memo import Memo
from kiteway.model import (
    HTTPMode,
    LoadBalancer,
    PathMatch,
    PathMatchType,
    Pool,
    PoolKey,
    RedirectCode,
)
from kiteway.model import Route as ModelRoute
from kiteway.model import VirtualHost as ModelHost

_REDIRECTS = {
    RedirectCode.MOVED_PERMANENTLY_DEFAULT: RedirectAction.MOVED_PERMANENTLY,
    RedirectCode.FOUND: RedirectAction.FOUND,
    RedirectCode.TEMPORARY_REDIRECT: RedirectAction.TEMPORARY_REDIRECT,
    RedirectCode.PERMANENT_REDIRECT: RedirectAction.PERMANENT_REDIRECT,
}


def route_configurations(model: LoadBalancer, settings: EnvoySettings, memo: Memo) -> list[Message | Assembled]:
    """Return the route configuration of each listener."""
    hosts = memo.again("backed", _backed, model.hosts, model.pools, model.replicas)
    result: list[Message | Assembled] = [
        _table(HTTPS_LISTENER, _members(HTTPS_LISTENER, over_tls, hosts, settings, memo), memo),
        *(memo(_own_routes, each, settings) for each in hosts if each.host.own_connections and each.host.https),
    ]
    if settings.http_port is not None:
        in_clear = _members(HTTP_LISTENER, in_plaintext, hosts, settings, memo)
        result.append(_table(HTTP_LISTENER, memo(with_challenges, in_clear, model.challenges), memo))
    if settings.grpc_port is not None:
        named = _by_any_name(hosts, memo)
        result.append(_table(GRPC_LISTENER, _members(GRPC_LISTENER, for_grpc, named, settings, memo), memo))
    return result


Backends = tuple[Pool | None, ...]
"""The pools of a host's routes, in their order."""


@dataclass(frozen=True, slots=True)
class Backed:
    """
    A host and the pools of its routes.

    Attributes:
        host: the host.
        backends: the pools of its routes.
        replicas: the number of live replicas of Kiteway; 1 for a host without a policy that the replicas share.
    """

    host: ModelHost
    backends: Backends
    replicas: int = 1


def _backed(
    last: tuple[Backed, ...] | None, hosts: Iterable[ModelHost], pools: Iterable[Pool], replicas: int
) -> tuple[Backed, ...]:
    """Return the hosts with their pools; the object in ``last`` where host, pools and shares are unchanged."""
    known = {id(each.host): each for each in last or ()}
    by_key: dict[PoolKey | None, Pool] = {pool.key: pool for pool in pools}
    found = []
    for host in hosts:
        backends = tuple([by_key.get(route.pool) for route in host.routes])
        shares = replicas if any(route.policy.for_filter for route in host.routes) else 1
        before = known.get(id(host))
        if before is not None and before.replicas == shares and all(map(operator.is_, before.backends, backends)):
            found.append(before)
        else:
            found.append(Backed(host, backends, shares))
    return tuple(found)


def _members(
    listener: str,
    make: Callable[[Backed, EnvoySettings], VirtualHost],
    hosts: tuple[Backed, ...],
    settings: EnvoySettings,
    memo: Memo,
) -> tuple[VirtualHost, ...]:
    """Return the hosts of a listener; unchanged hosts are the message objects of the last round."""
    members = memo.each(listener, make, hosts, settings)
    if all(each.host.domain != ANY_HOST for each in hosts):
        members = (*members, memo(_unknown_host, settings))
    return memo.each(listener, one_label, members, memo(unknown, settings))


def _by_any_name(hosts: tuple[Backed, ...], memo: Memo) -> tuple[Backed, ...]:
    """Return the hosts of the plaintext gRPC listener; if all lead to one pool, it serves every other name too."""
    if any(each.host.domain == ANY_HOST for each in hosts):
        return hosts
    pools = {route.pool for each in hosts for route in each.host.routes}
    return (*hosts, memo(_any_name, hosts[0])) if len(pools) == 1 else hosts


def _any_name(known: Backed) -> Backed:
    return dataclasses.replace(known, host=dataclasses.replace(known.host, domain=ANY_HOST))


def over_tls(backed: Backed, settings: EnvoySettings) -> VirtualHost:
    """Return a host on the HTTPS listener, for connections that are not limited to one host."""
    if backed.host.own_connections:
        return _virtual_host(backed.host, misdirected(settings))
    if backed.host.https:
        return served(backed, settings, encrypted=True)
    return _virtual_host(backed.host, not_over_tls(settings))


def _own_routes(backed: Backed, settings: EnvoySettings) -> RouteConfiguration:
    """Return what is served on the connections of a host that is served on no others."""
    elsewhere = misdirected(settings)
    hosts = [one_label(served(backed, settings, encrypted=True), elsewhere)]
    if backed.host.domain != ANY_HOST:
        hosts.append(VirtualHost(name="elsewhere", domains=[ANY_HOST], routes=elsewhere))
    return _configuration(own_routes_name(backed.host.domain), hosts)


def for_grpc(backed: Backed, settings: EnvoySettings) -> VirtualHost:
    """Return a host on the plaintext gRPC listener."""
    if backed.host.own_connections:
        return _virtual_host(backed.host, misdirected(settings))
    return served(backed, settings, encrypted=False)


def in_plaintext(backed: Backed, settings: EnvoySettings) -> VirtualHost:
    """Return a host on the HTTP listener."""
    match backed.host.http:
        case HTTPMode.SERVE:
            return served(backed, settings, encrypted=False)
        case HTTPMode.REDIRECT:
            redirect = _redirect(backed.host, settings.public_https_port)
            return _virtual_host(
                backed.host, [*_challenges(backed, settings), grpc_is_not_redirected(settings), redirect]
            )
        case HTTPMode.OFF:
            return _virtual_host(backed.host, [*_challenges(backed, settings), *not_in_plaintext(settings)])


def _challenges(backed: Backed, settings: EnvoySettings) -> list[Route]:
    """Return the routes to solvers of HTTP-01 challenges, which a CA asks for in plaintext."""
    chosen = [(r, p) for r, p in zip(backed.host.routes, backed.backends, strict=True) if r.challenge]
    if not chosen:
        return []
    host = dataclasses.replace(backed.host, routes=tuple(route for route, _ in chosen))
    alone = Backed(host, tuple(pool for _, pool in chosen), backed.replicas)
    return _to_pools(alone, SharedHeaders.of(alone.host, alone.backends), settings, encrypted=False)


def _configuration(name: str, hosts: Iterable[VirtualHost]) -> RouteConfiguration:
    return RouteConfiguration(
        name=name,
        virtual_hosts=hosts,
        max_direct_response_body_size_bytes=UInt32Value(value=4096),
    )


_HOSTS = RepeatedField.of(RouteConfiguration, "virtual_hosts")


def _table(name: str, hosts: tuple[VirtualHost, ...], memo: Memo) -> Assembled:
    return memo(Assembled, memo(_configuration, name, ()), _HOSTS, hosts, memo.each(name, piece, hosts, _HOSTS))


def served(backed: Backed, settings: EnvoySettings, *, encrypted: bool) -> VirtualHost:
    """Return a host that is served, with an answer for the paths that are not."""
    shared = SharedHeaders.of(backed.host, backed.backends)
    routes = _to_pools(backed, shared, settings, encrypted=encrypted)
    routes += no_route(
        "no-path",
        RouteMatch(prefix="/"),
        Answer(
            f"host {HOST} has no route for {PATH}. Add the path to the Ingress; gRPC needs path / with pathType Prefix.",
            f"host {HOST} has no route for {PATH}. Add the path to the Ingress.",
        ),
        settings,
    )
    host = _virtual_host(backed.host, routes)
    host.request_headers_to_add.extend(header_options(shared.request or (), encrypted=encrypted))
    host.response_headers_to_add.extend(header_options(shared.response or (), encrypted=encrypted))
    return host


def _to_pools(backed: Backed, shared: SharedHeaders, settings: EnvoySettings, *, encrypted: bool) -> list[Route]:
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
        )
        if to not in forwarded:
            forwarded[to] = _forwarded(to, pool, shared, settings, encrypted=encrypted)
        routes += _routes(route, pool, forwarded[to], settings)
    return routes


def _virtual_host(host: ModelHost, routes: Iterable[Route]) -> VirtualHost:
    return VirtualHost(name=f"{source_name(host.source)}/host/{host.domain}", domains=[host.domain], routes=routes)


def _redirect(host: ModelHost, public_https_port: int | None) -> Route:
    """Return the route that sends plaintext requests to HTTPS."""
    redirect = RedirectAction(https_redirect=True)
    if host.redirect_code is not None:
        redirect.response_code = _REDIRECTS[host.redirect_code]
    if public_https_port is not None:
        redirect.port_redirect = public_https_port
    return Route(name="redirect", match=RouteMatch(prefix="/"), redirect=redirect)


def _unknown_host(settings: EnvoySettings) -> VirtualHost:
    return VirtualHost(name="unknown-host", domains=[ANY_HOST], routes=unknown(settings))


class _Destination(NamedTuple):
    """What routes of different paths have in common that lead to the same place."""

    pool: PoolKey
    request_headers: Headers
    response_headers: Headers
    for_filter: RouteConfig
    log_sample_rate: float
    hedging_delay: float | None


@dataclass(frozen=True, slots=True)
class _Forwarded:
    """
    The routes to a destination, without name and path: an Ingress may have a thousand paths to one.

    Attributes:
        grpc: one for each policy for gRPC.
        rest: one for each policy for REST; none where REST is not served.
    """

    grpc: tuple[tuple[CallPolicy, Route], ...]
    rest: tuple[tuple[CallPolicy, Route], ...]


def _forwarded(
    to: _Destination, pool: Pool, shared: SharedHeaders, settings: EnvoySettings, *, encrypted: bool
) -> _Forwarded:
    request = to.request_headers if shared.request is None else ()
    response = to.response_headers if shared.response is None else ()

    def made(policy: CallPolicy, cluster: str) -> tuple[CallPolicy, Route]:
        route = _forward(policy, pool, cluster, to.hedging_delay)
        if cluster == grpc:
            # Envoy would send it as an extended CONNECT, which Milvus resets; such resets in a row eject the endpoint.
            route.route.upgrade_configs.add(upgrade_type="websocket").enabled.value = False
        route.request_headers_to_add.extend(header_options(request, encrypted=encrypted))
        route.response_headers_to_add.extend(header_options(response, encrypted=encrypted))
        add_log_rate_without_filter(route, to.log_sample_rate, settings)
        marked = cluster == grpc_cluster_name(pool.key) and not policy.repeatable
        if marked or to.for_filter != RouteConfig():
            turn_on(route, settings, to.for_filter)
        return policy, route

    grpc, rest = grpc_cluster_name(pool.key), rest_cluster_name(pool.key)
    return _Forwarded(
        tuple(made(policy, grpc) for policy in grpc_policies()),
        tuple(made(policy, rest) for policy in rest_policies()) if pool.rest else (),
    )


def _name(route: ModelRoute) -> str:
    return f"{source_name(route.source)}/{route.match.type}:{route.match.path}"


def _unknown_pool(route: ModelRoute, settings: EnvoySettings) -> list[Route]:
    text = "the Service behind this path does not exist or cannot be used; see `kiteway status`."
    return no_route(_name(route), _match(route), Answer(text, text, rest_status=503), settings)


def _routes(route: ModelRoute, pool: Pool, forwarded: _Forwarded, settings: EnvoySettings) -> list[Route]:
    name, match = _name(route), _match(route)
    result = []
    for policy, made in forwarded.grpc:
        result += [_to(made, name, policy, call) for call in _narrow(match, policy, grpc=True)]
    for policy, made in forwarded.rest:
        result += [_to(made, name, policy, call) for call in _narrow(match, policy, grpc=False)]
    if not pool.rest:
        text = (
            "Milvus serves no REST on this port while it runs with TLS. Set proxy.http.port in Milvus and name it "
            "with the Service annotation kiteway.io/rest-port."
        )
        result += no_route(f"{name}/no-rest", match, Answer(text, text, rest_status=501), settings)[1:]
    return result


def _match(route: ModelRoute) -> RouteMatch:
    result = _of_path(route.match)
    if route.name:
        result.headers.append(for_name(route.name))
    return result


def _of_path(match: PathMatch) -> RouteMatch:
    if match.type is PathMatchType.EXACT:
        return RouteMatch(path=match.path)
    if match.type is PathMatchType.STRING_PREFIX or match.path == "/":
        return RouteMatch(prefix=match.path)
    return RouteMatch(path_separated_prefix=match.path.rstrip("/"))


def _narrow(match: RouteMatch, policy: CallPolicy, *, grpc: bool) -> list[RouteMatch]:
    """Return ``match`` for the calls of ``policy`` only, in one match or one for each path; none if nothing is left."""
    if policy.paths:
        calls = [RouteMatch(path=path) for path in policy.paths if _covers(match, path)]
    elif policy.regex is None or re.fullmatch(policy.regex, match.path) is not None:
        calls = [_copy(match)]
    elif policy.may_match(match.prefix or match.path_separated_prefix) and not match.HasField("path"):
        calls = [_of_class(match, policy.regex)]
    else:
        # An expression takes Envoy 0.1 ms and 18 kB, on each path of each host.
        calls = []
    for call in calls:
        if grpc:
            call.grpc.SetInParent()
    return calls


def _covers(match: RouteMatch, path: str) -> bool:
    """Return whether a path is matched."""
    if match.HasField("path"):
        return path == match.path
    if match.HasField("path_separated_prefix"):
        return f"{path}/".startswith(f"{match.path_separated_prefix}/")
    return path.startswith(match.prefix)


def _copy(match: RouteMatch) -> RouteMatch:
    result = RouteMatch()
    result.CopyFrom(match)
    return result


def _of_class(match: RouteMatch, expression: str) -> RouteMatch:
    """Return ``match``, whose path specifier is the rule's own, for paths that ``expression`` matches."""
    result = _copy(match)
    path = HeaderMatcher(name=":path", string_match=StringMatcher(safe_regex=regex(rf"(?:{expression})(?:\?.*)?")))
    result.headers.append(path)
    return result


def _to(route: Route, name: str, policy: CallPolicy, match: RouteMatch) -> Route:
    """Return ``route`` for what ``match`` says."""
    result = Route(name=f"{name}/{policy.name}")
    result.MergeFrom(route)
    result.match.CopyFrom(match)
    return result


def _forward(policy: CallPolicy, pool: Pool, cluster: str, hedging_delay: float | None) -> Route:
    limits = [limit for limit in (policy.timeout, pool.timeout) if limit is not None]
    limit = seconds(min(limits) if limits else 0)
    action = RouteAction(
        cluster=cluster,
        # It would count from the request's end: max_stream_duration, from its beginning, is always first.
        timeout=seconds(0),
        idle_timeout=seconds(0),
        retry_policy=retry_policy(policy),
        # With the header's too: else Envoy ignores the client's grpc-timeout.
        max_stream_duration=RouteAction.MaxStreamDuration(max_stream_duration=limit, grpc_timeout_header_max=limit),
        hash_policy=hash_policy(pool.affinity),
    )
    if policy.hedged and hedging_delay is not None:
        hedge(action, hedging_delay)
    return Route(route=action, request_body_buffer_limit=UInt64Value(value=policy.buffer))

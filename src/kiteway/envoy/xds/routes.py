"""Hosts as virtual hosts."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping

from google.protobuf.wrappers_pb2 import UInt32Value, UInt64Value

from kiteway._proto.envoy.config.core.v3.base_pb2 import HeaderValue as EnvoyHeaderValue
from kiteway._proto.envoy.config.core.v3.base_pb2 import HeaderValueOption
from kiteway._proto.envoy.config.route.v3.route_components_pb2 import (
    HeaderMatcher,
    RedirectAction,
    Route,
    RouteAction,
    RouteMatch,
    VirtualHost,
)
from kiteway._proto.envoy.config.route.v3.route_pb2 import RouteConfiguration
from kiteway._proto.envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from kiteway._proto.envoy.type.matcher.v3.string_pb2 import StringMatcher
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.access_log import log_rate
from kiteway.envoy.xds.affinity import hash_policy
from kiteway.envoy.xds.answers import HOST, PATH, Answer, no_route
from kiteway.envoy.xds.challenges import http_challenges, with_challenges
from kiteway.envoy.xds.common import (
    GRPC_LISTENER,
    HTTP_LISTENER,
    HTTPS_LISTENER,
    grpc_cluster_name,
    own_routes_name,
    rest_cluster_name,
    seconds,
    source_name,
)
from kiteway.envoy.xds.kept import Kept
from kiteway.envoy.xds.policy import CallPolicy, grpc_policies, rest_policies, retry_policy
from kiteway.envoy.xds.refusals import ANY_HOST, misdirected, not_in_plaintext, not_over_tls, one_label
from kiteway.model import (
    ENCRYPTED,
    Challenge,
    HeaderValue,
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


def route_configurations(model: LoadBalancer, settings: EnvoySettings, kept: Kept) -> list[RouteConfiguration]:
    """Return the route configuration of each listener."""
    pools = {pool.key: pool for pool in model.pools}
    result = [
        kept(_https, _members(model.hosts, pools, settings, kept, over_tls), settings),
        *(
            kept(_own_routes, host, _backends(host, pools), settings)
            for host in model.hosts
            if host.own_connections and host.https
        ),
        kept(_http, _members(model.hosts, pools, settings, kept, in_plaintext), model.challenges, settings),
    ]
    if settings.grpc_port is not None:
        result.append(kept(_grpc, _members(_by_any_name(model.hosts), pools, settings, kept, for_grpc), settings))
    return result


Backends = tuple[Pool | None, ...]
"""The pools of a host's routes, in their order."""


def _backends(host: ModelHost, pools: Mapping[PoolKey, Pool]) -> Backends:
    return tuple(pools.get(route.pool) if route.pool else None for route in host.routes)


def _members(
    hosts: Iterable[ModelHost],
    pools: Mapping[PoolKey, Pool],
    settings: EnvoySettings,
    kept: Kept,
    make: Callable[[ModelHost, Backends, EnvoySettings], VirtualHost],
) -> tuple[VirtualHost, ...]:
    """Return the hosts of a listener; those that did not change are the very messages of last time."""
    return tuple(kept(make, host, _backends(host, pools), settings) for host in hosts)


def _https(hosts: tuple[VirtualHost, ...], settings: EnvoySettings) -> RouteConfiguration:
    return _configuration(HTTPS_LISTENER, _complete(hosts, settings))


def _http(
    hosts: tuple[VirtualHost, ...], challenges: tuple[Challenge, ...], settings: EnvoySettings
) -> RouteConfiguration:
    return _configuration(HTTP_LISTENER, with_challenges(_complete(hosts, settings), http_challenges(challenges)))


def _grpc(hosts: tuple[VirtualHost, ...], settings: EnvoySettings) -> RouteConfiguration:
    return _configuration(GRPC_LISTENER, _complete(hosts, settings))


def _by_any_name(hosts: tuple[ModelHost, ...]) -> list[ModelHost]:
    """Return the hosts of the plaintext gRPC listener; where all lead to one pool, every other name does too."""
    result = list(hosts)
    if len({route.pool for host in hosts for route in host.routes}) == 1 and all(h.domain != ANY_HOST for h in hosts):
        result.append(dataclasses.replace(hosts[0], domain=ANY_HOST))
    return result


def _complete(hosts: tuple[VirtualHost, ...], settings: EnvoySettings) -> list[VirtualHost]:
    anywhere = next((host for host in hosts if ANY_HOST in host.domains), None)
    if anywhere is None:
        anywhere = _unknown_host(settings)
        hosts = (*hosts, anywhere)
    return [one_label(host, anywhere) for host in hosts]


def over_tls(host: ModelHost, backends: Backends, settings: EnvoySettings) -> VirtualHost:
    """Return a host on the HTTPS listener, on connections that were made for no host in particular."""
    if host.own_connections:
        return _virtual_host(host, misdirected(settings))
    if host.https:
        return served(host, backends, settings, encrypted=True)
    return _virtual_host(host, not_over_tls(settings))


def _own_routes(host: ModelHost, backends: Backends, settings: EnvoySettings) -> RouteConfiguration:
    """Return what is served on the connections of a host that is served on no others."""
    elsewhere = VirtualHost(name="elsewhere", domains=[ANY_HOST], routes=misdirected(settings))
    hosts = [served(host, backends, settings, encrypted=True)]
    if host.domain != ANY_HOST:
        hosts.append(elsewhere)
    return _configuration(own_routes_name(host.domain), [one_label(each, elsewhere) for each in hosts])


def for_grpc(host: ModelHost, backends: Backends, settings: EnvoySettings) -> VirtualHost:
    """Return a host on the plaintext gRPC listener."""
    if host.own_connections:
        return _virtual_host(host, misdirected(settings))
    return served(host, backends, settings, encrypted=False)


def in_plaintext(host: ModelHost, backends: Backends, settings: EnvoySettings) -> VirtualHost:
    """Return a host on the HTTP listener."""
    match host.http:
        case HTTPMode.SERVE:
            return served(host, backends, settings, encrypted=False)
        case HTTPMode.REDIRECT:
            return _virtual_host(host, [_redirect(host, settings.public_https_port)])
        case HTTPMode.OFF:
            return _virtual_host(host, not_in_plaintext(settings))


def _configuration(name: str, hosts: Iterable[VirtualHost]) -> RouteConfiguration:
    return RouteConfiguration(
        name=name,
        virtual_hosts=hosts,
        ignore_port_in_host_matching=True,
        max_direct_response_body_size_bytes=UInt32Value(value=4096),
    )


def served(host: ModelHost, backends: Backends, settings: EnvoySettings, *, encrypted: bool) -> VirtualHost:
    """Return a host that is served, with an answer for the paths that are not."""
    routes = [
        out
        for route, pool in zip(host.routes, backends, strict=True)
        for out in _routes(_with_encryption(route, encrypted=encrypted), pool, settings)
    ]
    routes += no_route(
        "no-path",
        RouteMatch(prefix="/"),
        Answer(
            f"host {HOST} has no route for {PATH}. Add the path to the Ingress; gRPC needs path / with pathType Prefix.",
            f"host {HOST} has no route for {PATH}. Add the path to the Ingress.",
        ),
        settings,
    )
    return _virtual_host(host, routes)


def _virtual_host(host: ModelHost, routes: Iterable[Route]) -> VirtualHost:
    return VirtualHost(name=f"{source_name(host.source)}/host/{host.domain}", domains=[host.domain], routes=routes)


def _redirect(host: ModelHost, public_https_port: int | None) -> Route:
    """Return the route that sends plaintext requests to HTTPS."""
    redirect = RedirectAction(https_redirect=True, response_code=_REDIRECTS[host.redirect_code])
    if public_https_port is not None:
        redirect.port_redirect = public_https_port
    return Route(name="redirect", match=RouteMatch(prefix="/"), redirect=redirect)


def _unknown_host(settings: EnvoySettings) -> VirtualHost:
    text = (
        f"no Ingress routes the host {HOST}. Connect by a host name that an Ingress has a rule for "
        "(with an IP address, give that name as server_name), or add a rule for it."
    )
    return VirtualHost(
        name="unknown-host",
        domains=["*"],
        routes=no_route("no-host", RouteMatch(prefix="/"), Answer(text, text), settings),
    )


def _routes(route: ModelRoute, pool: Pool | None, settings: EnvoySettings) -> list[Route]:
    name = f"{source_name(route.source)}/{route.match.type}:{route.match.path}"
    matches = _matches(route.match)
    if pool is None:
        text = "the Service behind this path does not exist or cannot be used; see `kiteway status`."
        return [
            out for match in matches for out in no_route(name, match, Answer(text, text, rest_status=503), settings)
        ]
    result = []
    for match in matches:
        for policy in grpc_policies():
            call = _narrow(match, policy, grpc=True)
            if call is not None:
                result.append(
                    _forward(
                        f"{name}/{policy.name}",
                        call,
                        policy,
                        route=route,
                        pool=pool,
                        cluster=grpc_cluster_name(pool.key),
                    )
                )
        if pool.rest:
            for policy in rest_policies():
                call = _narrow(match, policy, grpc=False)
                if call is not None:
                    cluster = rest_cluster_name(pool.key)
                    result.append(
                        _forward(f"{name}/{policy.name}", call, policy, route=route, pool=pool, cluster=cluster)
                    )
        else:
            text = (
                "Milvus serves no REST on this port while it runs with TLS. Set proxy.http.port in Milvus and name it "
                "with the Service annotation kiteway.io/rest-port."
            )
            result += no_route(f"{name}/no-rest", match, Answer(text, text, rest_status=501), settings)[1:]
    return result


def _matches(match: PathMatch) -> list[RouteMatch]:
    if match.type is PathMatchType.EXACT:
        return [RouteMatch(path=match.path)]
    if match.type is PathMatchType.STRING_PREFIX or match.path == "/":
        return [RouteMatch(prefix=match.path)]
    return [RouteMatch(path_separated_prefix=match.path.rstrip("/"))]


def _narrow(match: RouteMatch, policy: CallPolicy, *, grpc: bool) -> RouteMatch | None:
    """Return ``match`` for the calls of ``policy`` only; None if the two can have none in common."""
    if match.HasField("path") and policy.regex is not None and re.fullmatch(policy.regex, match.path) is None:
        return None
    result = RouteMatch()
    result.CopyFrom(match)
    if policy.regex is not None and not match.HasField("path"):
        # The path specifier is taken by the rule's own path, so the class looks at the pseudo-header.
        result.headers.append(
            HeaderMatcher(
                name=":path", string_match=StringMatcher(safe_regex=RegexMatcher(regex=f"(?:{policy.regex})(?:\\?.*)?"))
            )
        )
    if grpc:
        result.grpc.SetInParent()
    return result


def _forward(name: str, match: RouteMatch, policy: CallPolicy, *, route: ModelRoute, pool: Pool, cluster: str) -> Route:
    limits = [limit for limit in (policy.timeout, pool.timeout) if limit is not None]
    limit = seconds(min(limits) if limits else 0)
    action = RouteAction(
        cluster=cluster,
        timeout=limit,
        idle_timeout=seconds(0),
        retry_policy=retry_policy(policy),
        # Else Envoy ignores the client's grpc-timeout.
        max_stream_duration=RouteAction.MaxStreamDuration(max_stream_duration=limit, grpc_timeout_header_max=limit),
        hash_policy=hash_policy(pool.affinity),
    )
    return Route(
        name=name,
        match=match,
        route=action,
        metadata=log_rate(route.log_sample_rate),
        request_body_buffer_limit=UInt64Value(value=policy.buffer),
        request_headers_to_add=[_header(h) for h in route.request_headers],
        response_headers_to_add=[_header(h) for h in route.response_headers],
    )


def _with_encryption(route: ModelRoute, *, encrypted: bool) -> ModelRoute:
    """Put in what a header says of the connection, which each listener knows."""

    def known(headers: tuple[HeaderValue, ...]) -> tuple[HeaderValue, ...]:
        return tuple(HeaderValue(h.name, h.value.replace(ENCRYPTED, str(encrypted).lower())) for h in headers)

    return dataclasses.replace(
        route, request_headers=known(route.request_headers), response_headers=known(route.response_headers)
    )


def _header(header: HeaderValue) -> HeaderValueOption:
    return HeaderValueOption(
        header=EnvoyHeaderValue(key=header.name, value=header.value),
        append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
        # As on GKE: a variable that is not known is sent empty.
        keep_empty_value=True,
    )

"""Hosts as virtual hosts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

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
from kiteway.envoy.xds.answers import HOST, PATH, Answer, no_route
from kiteway.envoy.xds.challenges import http_challenges, with_challenges
from kiteway.envoy.xds.common import (
    HTTP_LISTENER,
    HTTPS_LISTENER,
    grpc_cluster_name,
    rest_cluster_name,
    seconds,
    source_name,
)
from kiteway.envoy.xds.policy import CallPolicy, grpc_policies, rest_policies, retry_policy
from kiteway.model import (
    AffinityType,
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


def route_configurations(model: LoadBalancer, settings: EnvoySettings) -> list[RouteConfiguration]:
    """Return the route configuration of each listener."""
    pools = {pool.key: pool for pool in model.pools}
    https = [served(host, pools, settings) for host in model.hosts if host.https]
    http = [
        served(host, pools, settings) if host.http is HTTPMode.SERVE else redirected(host, settings.public_https_port)
        for host in model.hosts
        if host.http is not HTTPMode.OFF
    ]
    return [
        _configuration(HTTPS_LISTENER, _with_unknown_host(https, settings)),
        _configuration(
            HTTP_LISTENER, with_challenges(_with_unknown_host(http, settings), http_challenges(model.challenges))
        ),
    ]


def _with_unknown_host(hosts: list[VirtualHost], settings: EnvoySettings) -> list[VirtualHost]:
    return hosts if any("*" in host.domains for host in hosts) else [*hosts, _unknown_host(settings)]


def _configuration(name: str, hosts: Iterable[VirtualHost]) -> RouteConfiguration:
    return RouteConfiguration(
        name=name,
        virtual_hosts=hosts,
        ignore_port_in_host_matching=True,
        max_direct_response_body_size_bytes=UInt32Value(value=4096),
    )


def served(host: ModelHost, pools: Mapping[PoolKey, Pool], settings: EnvoySettings) -> VirtualHost:
    """Return a host that is served, with an answer for the paths that are not."""
    routes = [
        out for route in host.routes for out in _routes(route, pools.get(route.pool) if route.pool else None, settings)
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
    return VirtualHost(name=_host_name(host), domains=[host.domain], routes=routes)


def redirected(host: ModelHost, public_https_port: int | None) -> VirtualHost:
    """Return a host whose plaintext requests are sent to HTTPS."""
    redirect = RedirectAction(https_redirect=True, response_code=_REDIRECTS[host.redirect_code])
    if public_https_port is not None:
        redirect.port_redirect = public_https_port
    return VirtualHost(
        name=_host_name(host),
        domains=[host.domain],
        routes=[Route(name="redirect", match=RouteMatch(prefix="/"), redirect=redirect)],
    )


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


def _host_name(host: ModelHost) -> str:
    return f"{source_name(host.source)}/host/{host.domain}"


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
        hash_policy=_hash_policy(pool),
    )
    return Route(
        name=name,
        match=match,
        route=action,
        request_body_buffer_limit=UInt64Value(value=policy.buffer),
        request_headers_to_add=[_header(h) for h in route.request_headers],
        response_headers_to_add=[_header(h) for h in route.response_headers],
    )


def _hash_policy(pool: Pool) -> list[RouteAction.HashPolicy]:
    policy = RouteAction.HashPolicy()
    match pool.affinity.type:
        case AffinityType.NONE:
            return []
        case AffinityType.CLIENT_IP:
            policy.connection_properties.source_ip = True
        case AffinityType.GENERATED_COOKIE:
            policy.cookie.name = "GCLB"
            policy.cookie.path = "/"
            policy.cookie.ttl.CopyFrom(seconds(pool.affinity.cookie_ttl))
    return [policy]


def _header(header: HeaderValue) -> HeaderValueOption:
    return HeaderValueOption(
        header=EnvoyHeaderValue(key=header.name, value=header.value),
        append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )

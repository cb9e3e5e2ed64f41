"""Hosts as virtual hosts."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable

from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import UInt32Value

from kiteway._proto.envoy.config.route.v3.route_components_pb2 import RedirectAction, Route, RouteMatch, VirtualHost
from kiteway._proto.envoy.config.route.v3.route_pb2 import RouteConfiguration
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.answers import HOST, PATH, Answer, no_route
from kiteway.envoy.xds.assembled import Assembled, RepeatedField, piece
from kiteway.envoy.xds.backed import Backed, with_pools
from kiteway.envoy.xds.challenges import with_challenges
from kiteway.envoy.xds.common import GRPC_LISTENER, HTTP_LISTENER, HTTPS_LISTENER, own_routes_name, source_name
from kiteway.envoy.xds.headers import SharedHeaders, header_options
from kiteway.envoy.xds.pool_routes import routes_to_pools
from kiteway.envoy.xds.refusals import (
    ANY_HOST,
    grpc_is_not_redirected,
    misdirected,
    not_in_plaintext,
    not_over_tls,
    one_label,
    unknown,
)
from kiteway.memo import Memo
from kiteway.model import HTTPMode, LoadBalancer, RedirectCode
from kiteway.model import VirtualHost as ModelHost

_REDIRECTS = {
    RedirectCode.MOVED_PERMANENTLY_DEFAULT: RedirectAction.MOVED_PERMANENTLY,
    RedirectCode.FOUND: RedirectAction.FOUND,
    RedirectCode.TEMPORARY_REDIRECT: RedirectAction.TEMPORARY_REDIRECT,
    RedirectCode.PERMANENT_REDIRECT: RedirectAction.PERMANENT_REDIRECT,
}


def route_configurations(model: LoadBalancer, settings: EnvoySettings, memo: Memo) -> list[Message | Assembled]:
    """Return the route configuration of each listener."""
    hosts = memo.again("backed", with_pools, model.hosts, model.pools, model.replicas)
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
    """
    Return the hosts of the plaintext gRPC listener; if all lead to one pool, it serves every other name too.

    The pools of ACME challenges do not count: a listener must not serve fewer names while a certificate is issued.
    """
    if any(each.host.domain == ANY_HOST for each in hosts):
        return hosts
    serving = [each for each in hosts if not all(route.challenge for route in each.host.routes)]
    pools = {route.pool for each in serving for route in each.host.routes if not route.challenge}
    return (*hosts, memo(_any_name, serving[0])) if len(pools) == 1 else hosts


def _any_name(known: Backed) -> Backed:
    own = [(r, p) for r, p in zip(known.host.routes, known.backends, strict=True) if not r.challenge]
    host = dataclasses.replace(known.host, domain=ANY_HOST, routes=tuple(route for route, _ in own))
    return dataclasses.replace(known, host=host, backends=tuple(pool for _, pool in own))


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
    return routes_to_pools(alone, SharedHeaders.of(alone.host, alone.backends), settings, encrypted=False)


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
    routes = routes_to_pools(backed, shared, settings, encrypted=encrypted)
    routes += _no_path(settings)
    host = _virtual_host(backed.host, routes)
    host.request_headers_to_add.extend(header_options(shared.request or (), encrypted=encrypted))
    host.response_headers_to_add.extend(header_options(shared.response or (), encrypted=encrypted))
    return host


@functools.lru_cache(maxsize=4)
def _no_path(settings: EnvoySettings) -> list[Route]:
    """Return the answer for paths that no rule is for; the same messages for all hosts, which copy them."""
    return no_route(
        "no-path",
        RouteMatch(prefix="/"),
        Answer(
            f"host {HOST} has no route for {PATH}. Add the path to the Ingress; gRPC needs path / with pathType Prefix.",
            f"host {HOST} has no route for {PATH}. Add the path to the Ingress.",
        ),
        settings,
    )


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

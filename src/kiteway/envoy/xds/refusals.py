"""Answers for hosts that a listener does not serve, so that no wildcard of another Ingress serves them."""

from __future__ import annotations

import re

from kiteway._proto.envoy.config.route.v3.route_components_pb2 import HeaderMatcher, Route, RouteMatch, VirtualHost
from kiteway._proto.envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from kiteway._proto.envoy.type.matcher.v3.string_pb2 import StringMatcher
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.answers import HOST, Answer, no_route

ANY_HOST = "*"

_NO_TLS = f"host {HOST} is not served over TLS: its Ingress has no certificate yet. See `kiteway status`."
_NO_PLAINTEXT = f"host {HOST} is not served in plaintext: its Ingress does not allow it. Connect with TLS."
_REDIRECTED = (
    f"host {HOST} redirects plaintext to HTTPS, which no gRPC client follows. Connect to the HTTPS port with TLS."
)

_NO_HOST = (
    f"no Ingress routes the host {HOST}. Connect by a host name that an Ingress has a rule for "
    "(with an IP address, give that name as server_name), or add a rule for it."
)
_MISDIRECTED = (
    f"host {HOST} is not served on this connection. If its clients show a certificate, connect over TLS with the host as "
    "server name (SNI), and with that certificate."
)


def unknown(settings: EnvoySettings) -> tuple[Route, ...]:
    """Return the routes for hosts that no Ingress claims."""
    answer = Answer(_NO_HOST, _NO_HOST)
    return tuple(no_route("no-host", RouteMatch(prefix="/"), answer, settings, by_server_name=True))


def misdirected(settings: EnvoySettings) -> tuple[Route, ...]:
    """Return the routes of a host on a connection with another SNI."""
    answer = Answer(_MISDIRECTED, _MISDIRECTED, rest_status=421)
    return tuple(no_route("misdirected", RouteMatch(prefix="/"), answer, settings))


def not_over_tls(settings: EnvoySettings) -> list[Route]:
    """Return the routes of a host that has no certificate, on the HTTPS listener."""
    return no_route("no-tls", RouteMatch(prefix="/"), Answer(_NO_TLS, _NO_TLS), settings)


def not_in_plaintext(settings: EnvoySettings) -> list[Route]:
    """Return the routes of a host that allows no HTTP, on the HTTP listener."""
    return no_route("no-plaintext", RouteMatch(prefix="/"), Answer(_NO_PLAINTEXT, _NO_PLAINTEXT), settings)


def grpc_is_not_redirected(settings: EnvoySettings) -> Route:
    """Return the route for gRPC calls of a host that redirects: a client would see Envoy's redirect as UNKNOWN without a message."""
    return no_route("redirect", RouteMatch(prefix="/"), Answer(_REDIRECTED, _REDIRECTED), settings)[0]


def one_label(host: VirtualHost, others: tuple[Route, ...]) -> VirtualHost:
    """
    Return a wildcard host that matches one label, as in an Ingress; Envoy's own wildcard matches every suffix.

    A request whose host has more labels, or is not a host name (RFC 1123, but with underscores, which DNS permits), gets
    ``others``. Envoy removes the port before it matches the host. ``others`` are refusals, not the routes of a rule for all
    hosts: copied to each wildcard, these would grow as the number of wildcards times the number of paths.
    """
    domain = host.domains[0]
    if not domain.startswith("*."):
        return host
    is_other = HeaderMatcher(
        name=":authority",
        string_match=StringMatcher(
            safe_regex=RegexMatcher(regex=rf"(?i)[a-z0-9_-]+{re.escape(domain.removeprefix('*'))}")
        ),
        invert_match=True,
    )
    routes = []
    for route in others:
        copy = Route()
        copy.CopyFrom(route)
        copy.match.headers.append(is_other)
        routes.append(copy)
    result = VirtualHost()
    result.CopyFrom(host)
    del result.routes[:]
    result.routes.extend(routes)
    result.routes.extend(host.routes)
    return result

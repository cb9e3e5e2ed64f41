"""ACME challenges as routes (HTTP-01) and filter chains (TLS-ALPN-01)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kiteway._proto.envoy.config.core.v3.base_pb2 import DataSource, TransportSocket
from kiteway._proto.envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from kiteway._proto.envoy.config.route.v3.route_components_pb2 import (
    DirectResponseAction,
    HeaderMatcher,
    Route,
    RouteMatch,
    VirtualHost,
)
from kiteway._proto.envoy.config.route.v3.route_pb2 import RouteConfiguration
from kiteway._proto.envoy.extensions.filters.http.router.v3.router_pb2 import Router
from kiteway._proto.envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.common_pb2 import TlsParameters as TLSParameters
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, DownstreamTlsContext
from kiteway._proto.envoy.type.matcher.v3.string_pb2 import StringMatcher
from kiteway.envoy.xds.common import ads, pack, seconds, secret_name
from kiteway.model import Challenge, HTTPChallenge, TLSChallenge

ALPN_PROTOCOL = "acme-tls/1"
"""RFC 8737, section 6.2."""


def http_challenges(challenges: Iterable[Challenge]) -> dict[str, list[Route]]:
    """Return by domain the routes that answer its HTTP-01 challenges."""
    found: dict[str, list[Route]] = {}
    for challenge in challenges:
        if isinstance(challenge, HTTPChallenge):
            found.setdefault(challenge.domain, []).append(_route(challenge))
    return found


def challenge_path(challenge: HTTPChallenge) -> str:
    """Return the path a CA asks for (RFC 8555, section 8.3)."""
    return f"/.well-known/acme-challenge/{challenge.token}"


def _route(challenge: HTTPChallenge) -> Route:
    return Route(
        name=f"acme/{challenge.domain}",
        match=RouteMatch(path=challenge_path(challenge), headers=[for_name(challenge.domain)]),
        direct_response=DirectResponseAction(status=200, body=DataSource(inline_string=challenge.key_authorization)),
    )


def for_name(domain: str) -> HeaderMatcher:
    """Match requests for a name; the port is off the host when it is matched."""
    return HeaderMatcher(name=":authority", string_match=StringMatcher(exact=domain, ignore_case=True))


def with_challenges(hosts: tuple[VirtualHost, ...], challenges: tuple[Challenge, ...]) -> tuple[VirtualHost, ...]:
    """
    Return ``hosts`` with the routes of HTTP-01 challenges before everything else of the host that answers the name.

    Redirects, ``allow-http: "false"`` and the Ingress's own paths all come after. The host that answers the name may be a
    wildcard, or the host for any name (``*``), which always exists. So each route of a challenge matches its name. A separate
    host for the name would need a copy of the wildcard's routes: one tenant's paths times the names for which another
    tenant requests certificates.
    """
    if not challenges:
        return hosts
    by_domain = {host.domains[0]: host for host in hosts}
    added: dict[str, list[Route]] = {}
    for domain, routes in sorted(http_challenges(challenges).items()):
        answering = next(name for name in _matching(domain) if name in by_domain)
        added.setdefault(answering, []).extend(routes)
    return tuple(_with_routes(host, added.get(host.domains[0], ())) for host in hosts)


def _with_routes(host: VirtualHost, routes: Sequence[Route]) -> VirtualHost:
    if not routes:
        return host
    result = VirtualHost()
    result.CopyFrom(host)
    del result.routes[:]
    result.routes.extend(routes)
    result.routes.extend(host.routes)
    return result


def _matching(domain: str) -> list[str]:
    """Return the domains of virtual hosts that answer ``domain``, in Envoy's order: exact, longest suffix, any."""
    labels = domain.split(".")
    return [domain, *(f"*.{'.'.join(labels[i:])}" for i in range(1, len(labels))), "*"]


def tls_challenge_chains(challenges: Iterable[Challenge]) -> list[FilterChain]:
    """
    Return the filter chains that answer TLS-ALPN-01.

    The listener's matcher chooses one by the name and the offered protocol ``acme-tls/1``, so that no other client of the host
    gets it. The validation ends with the handshake; a client that sends a request gets a 404.
    """
    return [_chain(challenge) for challenge in challenges if isinstance(challenge, TLSChallenge)]


def challenge_chain_name(challenge: TLSChallenge) -> str:
    """Name the filter chain of a challenge."""
    return f"acme/{challenge.domain}"


def _chain(challenge: TLSChallenge) -> FilterChain:
    name = challenge_chain_name(challenge)
    context = DownstreamTlsContext(
        common_tls_context=CommonTlsContext(
            tls_params=TLSParameters(
                tls_minimum_protocol_version=TLSParameters.TLSv1_2, tls_maximum_protocol_version=TLSParameters.TLSv1_3
            ),
            alpn_protocols=[ALPN_PROTOCOL],
            tls_certificate_sds_secret_configs=[
                SdsSecretConfig(name=secret_name(challenge.certificate.name), sds_config=ads())
            ],
        )
    )
    manager = hcm.HttpConnectionManager(
        stat_prefix="acme",
        route_config=RouteConfiguration(name=name),
        http_filters=[hcm.HttpFilter(name="envoy.filters.http.router", typed_config=pack(Router()))],
        request_headers_timeout=seconds(10),
        stream_idle_timeout=seconds(10),
    )
    return FilterChain(
        name=name,
        filters=[Filter(name="envoy.filters.network.http_connection_manager", typed_config=pack(manager))],
        transport_socket=TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context)),
        transport_socket_connect_timeout=seconds(10),
    )

"""ACME challenges as routes (HTTP-01) and filter chains (TLS-ALPN-01)."""

from __future__ import annotations

from collections.abc import Iterable

from kiteway._proto.envoy.config.core.v3.base_pb2 import DataSource, TransportSocket
from kiteway._proto.envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, FilterChainMatch
from kiteway._proto.envoy.config.route.v3.route_components_pb2 import (
    DirectResponseAction,
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
        match=RouteMatch(path=challenge_path(challenge)),
        direct_response=DirectResponseAction(status=200, body=DataSource(inline_string=challenge.key_authorization)),
    )


def with_challenges(hosts: tuple[VirtualHost, ...], challenges: tuple[Challenge, ...]) -> tuple[VirtualHost, ...]:
    """
    Return ``hosts`` with the routes of HTTP-01 challenges before all other routes of their host.

    Redirects, ``allow-http: "false"`` and the Ingress's own paths come after them. A name without a host of its own gets
    one, with the routes of the wildcard that served it so far.
    """
    if not challenges:
        return hosts
    by_domain = {host.domains[0]: host for host in hosts}
    result = {host.name: host for host in hosts}
    for domain, routes in sorted(http_challenges(challenges).items()):
        exact = by_domain.get(domain)
        fallback = next((by_domain[name] for name in _matching(domain) if name in by_domain), None)
        host = VirtualHost(name=exact.name if exact else f"acme/{domain}", domains=[domain], routes=routes)
        if fallback is not None:
            host.routes.extend(fallback.routes)
            host.request_headers_to_add.extend(fallback.request_headers_to_add)
            host.response_headers_to_add.extend(fallback.response_headers_to_add)
        result[host.name] = host
    return tuple(result.values())


def _matching(domain: str) -> list[str]:
    """Return the domains of virtual hosts that answer ``domain``, in Envoy's order: exact, longest suffix, any."""
    labels = domain.split(".")
    return [domain, *(f"*.{'.'.join(labels[i:])}" for i in range(1, len(labels))), "*"]


def tls_challenge_chains(challenges: Iterable[Challenge]) -> list[FilterChain]:
    """
    Return the filter chains that answer TLS-ALPN-01.

    They match the name and the offered protocol ``acme-tls/1``, so that no other client of the host gets them. The validation
    ends with the handshake; a client that sends a request gets a 404.
    """
    return [_chain(challenge) for challenge in challenges if isinstance(challenge, TLSChallenge)]


def _chain(challenge: TLSChallenge) -> FilterChain:
    name = f"acme/{challenge.domain}"
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
        filter_chain_match=FilterChainMatch(server_names=[challenge.domain], application_protocols=[ALPN_PROTOCOL]),
        filters=[Filter(name="envoy.filters.network.http_connection_manager", typed_config=pack(manager))],
        transport_socket=TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context)),
        transport_socket_connect_timeout=seconds(10),
    )

"""The public listeners: HTTPS by SNI, plain HTTP, and plaintext gRPC for clients without TLS."""

from __future__ import annotations

from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import UInt32Value

from kiteway._proto.envoy.config.core.v3.base_pb2 import TrafficDirection, TransportSocket
from kiteway._proto.envoy.config.listener.v3.listener_components_pb2 import (
    Filter,
    FilterChain,
    FilterChainMatch,
    ListenerFilter,
)
from kiteway._proto.envoy.config.listener.v3.listener_pb2 import Listener
from kiteway._proto.envoy.extensions.filters.listener.proxy_protocol.v3.proxy_protocol_pb2 import ProxyProtocol
from kiteway._proto.envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2 import (
    TlsInspector as TLSInspector,
)
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.common_pb2 import TlsParameters as TLSParameters
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, DownstreamTlsContext
from kiteway.envoy.open_listeners import open_listeners
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.assembled import Assembled, RepeatedField, piece
from kiteway.envoy.xds.calls_listener import calls_listener
from kiteway.envoy.xds.challenges import tls_challenge_chains
from kiteway.envoy.xds.common import (
    HTTPS_LISTENER,
    ads,
    bundle_name,
    own_routes_name,
    pack,
    seconds,
    secret_name,
    socket_address,
)
from kiteway.envoy.xds.connection_manager import Paths, connection_manager
from kiteway.memo import Memo
from kiteway.model import ListenerProtocol, LoadBalancer, ServerNames, TLSProfile, differ_by_path

_CONNECTION_BUFFER = 1 << 20
_CHAINS = RepeatedField.of(Listener, "filter_chains")


def listeners(model: LoadBalancer, settings: EnvoySettings, memo: Memo) -> list[Message | Assembled]:
    """Return the listeners that are open, and the one on a socket for the control plane."""
    result: list[Message | Assembled] = []
    # For all chains alike: a client that connected with one host's SNI may send requests for another host.
    by_path = model.canonical_paths or differ_by_path(model.hosts)
    paths = Paths.CANONICAL if by_path else Paths.AS_SENT
    for each in open_listeners(model, settings):
        if each.protocol is ListenerProtocol.HTTPS:
            result.append(_by_server_name(model, settings, paths, memo))
        else:
            result.append(memo(_plaintext, each.protocol, settings, each.port, paths))
    if settings.filter_path is not None and settings.calls_socket is not None:
        result.append(memo(calls_listener, settings, settings.calls_socket))
    return result


def _by_server_name(model: LoadBalancer, settings: EnvoySettings, paths: Paths, memo: Memo) -> Assembled:
    manager = memo(connection_manager, HTTPS_LISTENER, settings, paths)
    chains = memo.each(HTTPS_LISTENER, _chain, model.server_names, settings, manager, paths)
    default = tuple([chain for chain, names in zip(chains, model.server_names, strict=True) if not names.names])
    by_name = [chain for chain, names in zip(chains, model.server_names, strict=True) if names.names]
    members = (*tls_challenge_chains(model.challenges), *by_name)
    pieces = memo.each(HTTPS_LISTENER, piece, members, _CHAINS)
    return memo(Assembled, memo(_https, default, settings), _CHAINS, members, pieces)


def _plaintext(protocol: ListenerProtocol, settings: EnvoySettings, port: int, paths: Paths) -> Listener:
    name = str(protocol)
    listener = _listener(name, settings, port)
    listener.filter_chains.add(name=name, filters=[connection_manager(name, settings, paths)])
    return listener


def _https(default: tuple[FilterChain, ...], settings: EnvoySettings) -> Listener:
    """Return the listener without the filter chains that are selected by SNI."""
    listener = _listener(HTTPS_LISTENER, settings, settings.https_port)
    listener.listener_filters.append(
        ListenerFilter(name="envoy.filters.listener.tls_inspector", typed_config=pack(TLSInspector()))
    )
    for chain in default:
        listener.default_filter_chain.CopyFrom(chain)
    return listener


def _listener(name: str, settings: EnvoySettings, port: int) -> Listener:
    listener = Listener(
        name=name,
        address=socket_address(settings.bind, port, settings.listener_network_namespace),
        per_connection_buffer_limit_bytes=UInt32Value(value=_CONNECTION_BUFFER),
        listener_filters_timeout=seconds(10),
        traffic_direction=TrafficDirection.INBOUND,
    )
    if settings.proxy_protocol:
        listener.listener_filters.append(
            ListenerFilter(name="envoy.filters.listener.proxy_protocol", typed_config=pack(ProxyProtocol()))
        )
    return listener


def _chain(names: ServerNames, settings: EnvoySettings, shared: Filter, paths: Paths) -> FilterChain:
    manager = shared
    if names.host:
        manager = connection_manager(HTTPS_LISTENER, settings, paths, own_routes_name(names.host))
    context = DownstreamTlsContext(
        common_tls_context=CommonTlsContext(
            tls_params=_parameters(names.profile),
            alpn_protocols=["h2", "http/1.1"],
            tls_certificate_sds_secret_configs=[
                SdsSecretConfig(name=secret_name(name), sds_config=ads()) for name in names.certificates
            ],
        ),
    )
    if names.client_auth is not None:
        context.require_client_certificate.value = names.client_auth.required
        # Until Envoy has accepted the CA, the chain refuses every connection.
        context.common_tls_context.validation_context_sds_secret_config.CopyFrom(
            SdsSecretConfig(name=bundle_name(names.client_auth.ca.source), sds_config=ads())
        )
    return FilterChain(
        name=f"sni/{names.names[0]}" if names.names else "sni/default",
        filter_chain_match=FilterChainMatch(server_names=list(names.names)) if names.names else None,
        filters=[manager],
        transport_socket=TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context)),
        transport_socket_connect_timeout=seconds(10),
    )


_RESTRICTED = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
_MODERN = (
    *_RESTRICTED,
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES256-SHA",
)
_COMPATIBLE = (*_MODERN, "AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA")

CIPHER_SUITES = {
    TLSProfile.COMPATIBLE: _COMPATIBLE,
    TLSProfile.MODERN: _MODERN,
    TLSProfile.RESTRICTED: _RESTRICTED,
}
"""
The suites of TLS 1.2 in GCP's profiles (cloud.google.com/load-balancing/docs/ssl-policies-concepts), by OpenSSL's names.

RESTRICTED is forward secrecy with authenticated encryption, MODERN adds CBC, COMPATIBLE RSA key exchange; 3DES, which
Google still has in COMPATIBLE, is left out. Those of TLS 1.3 are the same with each.
"""


def _parameters(profile: TLSProfile | None) -> TLSParameters:
    """Return TLS 1.2 and 1.3; without a profile with Envoy's own suites, which are those of RESTRICTED."""
    return TLSParameters(
        tls_minimum_protocol_version=TLSParameters.TLSv1_2,
        tls_maximum_protocol_version=TLSParameters.TLSv1_3,
        cipher_suites=CIPHER_SUITES[profile] if profile else (),
    )

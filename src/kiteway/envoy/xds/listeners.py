"""The public listeners: HTTPS by SNI, plain HTTP, and plaintext gRPC for clients without TLS."""

from __future__ import annotations

from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import UInt32Value

from kiteway._proto.envoy.config.core.v3.base_pb2 import TrafficDirection
from kiteway._proto.envoy.config.listener.v3.listener_components_pb2 import (
    FilterChain,
    ListenerFilter,
)
from kiteway._proto.envoy.config.listener.v3.listener_pb2 import Listener
from kiteway._proto.envoy.extensions.filters.listener.proxy_protocol.v3.proxy_protocol_pb2 import ProxyProtocol
from kiteway._proto.envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2 import (
    TlsInspector as TLSInspector,
)
from kiteway.envoy.open_listeners import open_listeners
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.assembled import Assembled, RepeatedField, piece
from kiteway.envoy.xds.calls_listener import calls_listener
from kiteway.envoy.xds.challenges import tls_challenge_chains
from kiteway.envoy.xds.common import (
    HTTPS_LISTENER,
    pack,
    seconds,
    socket_address,
)
from kiteway.envoy.xds.connection_manager import Paths, connection_manager
from kiteway.envoy.xds.filter_chains import Alike, default_chain, grouped, matcher, named_chain
from kiteway.memo import Memo
from kiteway.model import Challenge, ListenerProtocol, LoadBalancer, ServerNames, differ_by_path

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
    chains = [memo(named_chain, alike, settings, manager, paths) for alike in grouped(model.server_names)]
    unnamed = [Alike.of(entry) for entry in model.server_names if not entry.names]
    default = tuple([memo(default_chain, alike, settings, manager, paths) for alike in unnamed])
    members = (*tls_challenge_chains(model.challenges), *chains)
    pieces = memo.each(HTTPS_LISTENER, piece, members, _CHAINS)
    return memo(
        Assembled, memo(_https, model.server_names, model.challenges, default, settings), _CHAINS, members, pieces
    )


def _plaintext(protocol: ListenerProtocol, settings: EnvoySettings, port: int, paths: Paths) -> Listener:
    name = str(protocol)
    listener = _listener(name, settings, port)
    listener.filter_chains.add(name=name, filters=[connection_manager(name, settings, paths)])
    return listener


def _https(
    names: tuple[ServerNames, ...],
    challenges: tuple[Challenge, ...],
    default: tuple[FilterChain, ...],
    settings: EnvoySettings,
) -> Listener:
    """Return the listener without the filter chains that are chosen by SNI."""
    listener = _listener(HTTPS_LISTENER, settings, settings.https_port)
    listener.listener_filters.append(
        ListenerFilter(name="envoy.filters.listener.tls_inspector", typed_config=pack(TLSInspector()))
    )
    listener.filter_chain_matcher.CopyFrom(matcher(names, challenges))
    for each in default:
        listener.default_filter_chain.CopyFrom(each)
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

"""The listener on a unix socket where Kiteway's filter says what it has counted of calls (`kiteway.envoy.calls`)."""

from __future__ import annotations

from pathlib import Path

from google.protobuf.wrappers_pb2 import BoolValue

from kiteway._proto.envoy.config.core.v3.address_pb2 import Address, Pipe
from kiteway._proto.envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from kiteway._proto.envoy.config.listener.v3.listener_pb2 import Listener
from kiteway._proto.envoy.config.route.v3.route_pb2 import RouteConfiguration
from kiteway._proto.envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.common import pack
from kiteway.envoy.xds.filters import report_filters

NAME = "calls"


def calls_listener(settings: EnvoySettings, socket: Path) -> Listener:
    """Return the listener; it is open while Envoy runs, for the user that Envoy runs as only."""
    manager = hcm.HttpConnectionManager(
        stat_prefix=NAME,
        route_config=RouteConfiguration(name=NAME),
        http_filters=report_filters(settings),
        generate_request_id=BoolValue(value=False),
    )
    name = "envoy.filters.network.http_connection_manager"
    return Listener(
        name=NAME,
        address=Address(pipe=Pipe(path=str(socket), mode=0o600)),
        filter_chains=[FilterChain(filters=[Filter(name=name, typed_config=pack(manager))])],
        # At the connection limit is when an operator needs it.
        ignore_global_conn_limit=True,
    )

"""The HTTP connection manager of a public listener, with the limits of a client."""

from __future__ import annotations

from enum import Enum, auto

from google.protobuf.wrappers_pb2 import BoolValue, UInt32Value

from kiteway._proto.envoy.config.common.mutation_rules.v3.mutation_rules_pb2 import HeaderMutation
from kiteway._proto.envoy.config.core.v3.address_pb2 import CidrRange as CIDRRange
from kiteway._proto.envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from kiteway._proto.envoy.config.core.v3.protocol_pb2 import Http2ProtocolOptions as HTTP2ProtocolOptions
from kiteway._proto.envoy.config.core.v3.protocol_pb2 import HttpProtocolOptions as HTTPProtocolOptions
from kiteway._proto.envoy.config.listener.v3.listener_components_pb2 import Filter
from kiteway._proto.envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from kiteway._proto.envoy.extensions.http.early_header_mutation.header_mutation.v3.header_mutation_pb2 import (
    HeaderMutation as EarlyHeaderMutation,
)
from kiteway._proto.envoy.type.matcher.v3.string_pb2 import StringMatcher
from kiteway._proto.envoy.type.v3.percent_pb2 import Percent
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.access_log import access_logs, draws_by_request_id
from kiteway.envoy.xds.common import ads, pack, seconds
from kiteway.envoy.xds.filters import http_filters
from kiteway.envoy.xds.local_replies import HEADERS_KIB, HEADERS_TIMEOUT, MAX_HEADERS, local_replies
from kiteway.envoy.xds.tracing import tracing, without_request_ids

CLIENT_IDLE_TIMEOUT = 610.0
"""Seconds after which an idle client connection is closed, as by GCP's load balancers."""

CONNECTION_AGE = 1800.0
"""
Seconds after which a client gets a GOAWAY and connects again; active calls are finished. A quarter more at random.

So clients spread over new replicas. The random quarter keeps clients that connected together from reconnecting together.
"""

DRAIN_TIMEOUT = 3.0
"""
Seconds between the two GOAWAYs of a connection that drains.

A call that a client sends before it has read the first one is still served: for a busy client 1 s was too short. Envoy's
default of 5 s would prolong every stop.
"""

MAX_STREAMS = 1024
"""Concurrent calls on one connection; gRPC clients queue further ones."""


class Paths(Enum):
    """
    What is done to the paths of requests before they are routed.

    They are made canonical if any rule is for a part of the paths only, so that no spelling of a path evades its rule. If all
    paths of every host lead to one Service, there is no rule to evade, and 1 % of each call's time is saved.
    """

    CANONICAL = auto()
    AS_SENT = auto()

    @property
    def escaped_slashes(self) -> hcm.HttpConnectionManager.PathWithEscapedSlashesAction:
        """
        Return what is done with ``%2F`` and ``%5C``, which the endpoint may read as slashes.

        A client is redirected to the path with slashes, so that all servers on the way read the same path. A gRPC call with
        such a path is refused; no rpc has one.
        """
        manager = hcm.HttpConnectionManager
        return manager.UNESCAPE_AND_REDIRECT if self is Paths.CANONICAL else manager.KEEP_UNCHANGED


_NOBODY = CIDRRange(address_prefix="100::", prefix_len=UInt32Value(value=128))
"""
The only clients whose x-envoy-* headers control Envoy: an address from which no packet comes (RFC 6666).

Without a range Envoy trusts loopback and private addresses, which may belong to any client here.
"""

_WITHOUT_ENVOYS = TypedExtensionConfig(
    name="envoy.http.early_header_mutation.header_mutation",
    typed_config=pack(
        EarlyHeaderMutation(
            mutations=[
                HeaderMutation(
                    remove_on_match=HeaderMutation.RemoveOnMatch(key_matcher=StringMatcher(prefix="x-envoy-"))
                )
            ]
        )
    ),
)
"""
Removes all ``x-envoy-*`` headers of a client, before Envoy adds its own.

Envoy itself removes only those that control it, not those that carry information (``x-envoy-attempt-count``), which an
endpoint could not distinguish from Envoy's.
"""

_STREAM_WINDOW = 1 << 20


def connection_manager(name: str, settings: EnvoySettings, paths: Paths, routes: str = "") -> Filter:
    """Return the HTTP connection manager of the listener ``name``; its route table is ``routes``, by default ``name``."""
    manager = hcm.HttpConnectionManager(
        stat_prefix=name,
        rds=hcm.Rds(config_source=ads(), route_config_name=routes or name),
        http_filters=http_filters(settings),
        server_name="kiteway",
        # The client's address is that of the connection, or the one from the trusted proxies in front of Envoy; nothing
        # else in x-forwarded-for is trusted.
        use_remote_address=BoolValue(value=True),
        xff_num_trusted_hops=settings.trusted_hops,
        internal_address_config=hcm.HttpConnectionManager.InternalAddressConfig(cidr_ranges=[_NOBODY]),
        # Milvus does not use request ids, and generating one is a tenth of what Envoy costs a call.
        generate_request_id=BoolValue(value=draws_by_request_id(settings)),
        http2_protocol_options=HTTP2ProtocolOptions(
            max_concurrent_streams=UInt32Value(value=MAX_STREAMS),
            # RFC 9113, 8.1.1: a malformed request ends its own stream. Else it would end every call of the connection, which may
            # be that of a proxy with many clients.
            override_stream_error_on_invalid_http_message=BoolValue(value=True),
            initial_stream_window_size=UInt32Value(value=_STREAM_WINDOW),
            initial_connection_window_size=UInt32Value(value=8 * _STREAM_WINDOW),
        ),
        common_http_protocol_options=HTTPProtocolOptions(
            idle_timeout=seconds(CLIENT_IDLE_TIMEOUT),
            max_connection_duration=seconds(CONNECTION_AGE),
            max_connection_duration_jitter=Percent(value=25),
            max_headers_count=UInt32Value(value=MAX_HEADERS),
            # PyMilvus sends metadata such as log_level.
            headers_with_underscores_action=HTTPProtocolOptions.ALLOW,
        ),
        # Otherwise an HTTP/1.1 connection of that age is closed in the middle of a request.
        http1_safe_max_connection_duration=True,
        max_request_headers_kb=UInt32Value(value=HEADERS_KIB),
        request_headers_timeout=seconds(HEADERS_TIMEOUT),
        drain_timeout=seconds(DRAIN_TIMEOUT),
        # Each rpc class has its own time limit; a Load may send nothing for an hour.
        stream_idle_timeout=seconds(0),
        normalize_path=BoolValue(value=paths is Paths.CANONICAL),
        path_with_escaped_slashes_action=paths.escaped_slashes,
        # Hosts are matched without a port; what is no number is no port and stays part of the name, which then matches no host.
        strip_any_host_port=True,
        early_header_mutation_extensions=[_WITHOUT_ENVOYS],
        # As on GKE, where WebSocket works without any setting; no other upgrade is passed on (h2c would evade the routes).
        upgrade_configs=[hcm.HttpConnectionManager.UpgradeConfig(upgrade_type="websocket")],
        local_reply_config=local_replies(),
        access_log=access_logs(settings),
    )
    if settings.otlp is not None:
        manager.tracing.CopyFrom(tracing(settings.otlp))
        manager.request_id_extension.CopyFrom(without_request_ids())
    return Filter(name="envoy.filters.network.http_connection_manager", typed_config=pack(manager))

"""Pools as clusters: HTTP/2 for gRPC and HTTP/1.1 for REST over the same endpoints."""

from __future__ import annotations

from google.protobuf.wrappers_pb2 import BoolValue, UInt32Value

from kiteway._proto.envoy.config.cluster.v3.circuit_breaker_pb2 import CircuitBreakers
from kiteway._proto.envoy.config.cluster.v3.cluster_pb2 import Cluster
from kiteway._proto.envoy.config.core.v3 import protocol_pb2 as protocol
from kiteway._proto.envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from kiteway._proto.envoy.type.v3.percent_pb2 import Percent
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.affinity import load_balancing
from kiteway.envoy.xds.common import ads, grpc_cluster_name, pack, rest_cluster_name, seconds
from kiteway.envoy.xds.filters import grpc_filters, rest_filters
from kiteway.envoy.xds.health import add_health_check, outlier_detection
from kiteway.envoy.xds.upstream_tls import upstream_tls
from kiteway.model import Pool

CONNECT_TIMEOUT = 2.0
"""Seconds to connect, handshake included; after them the call is tried on another endpoint."""

MILVUS_KEEPALIVE = 6.0
"""
Seconds between keepalive pings to Milvus; Envoy adds up to 15 %. Milvus refuses pings more often than every 5 s.

A ping distinguishes an endpoint that hangs from one with a long call, which a timeout for an attempt cannot: it finds the
former in 12 s, where GKE's default health check needs up to a minute.
"""

GRPC_KEEPALIVE = 330.0
"""
Seconds between keepalive pings to any other server.

gRPC allows two pings within 300 s of the one before, unless it has sent something in between, and at the third closes
the connection with all of its calls: the default of its servers in C++, Python, Java and Go. (Without an active call it
allows one in two hours, but then the connection is closed after `UPSTREAM_IDLE`.) A tenth more than 300, because a ping may
arrive late.
"""

KEEPALIVE_TIMEOUT = 5.0
"""Seconds without an answer to a ping after which a connection is closed, and its reads are retried elsewhere."""

MAX_CALLS = 20_000
"""Concurrent calls to one pool; Envoy's default (1,024) is less than one Milvus proxy serves."""

UPSTREAM_IDLE = 240.0
"""
Seconds after which an idle connection to an endpoint is closed.

Milvus from 3.0 on closes one after 300 (``proxy.http.idleTimeout``). Envoy closes it a minute earlier, so that no call is
sent into a connection that Milvus is closing: such a call may or may not have been executed, so a write is not retried.
"""

_STREAMS = 128
_STREAM_WINDOW = 1 << 20
_BUFFER = 1 << 20


def clusters(pool: Pool, settings: EnvoySettings) -> list[Cluster]:
    """Return the clusters of a pool: gRPC always, REST where it is served."""
    grpc = _cluster(pool, grpc_cluster_name(pool.key), _grpc_protocol(pool, settings), "h2", settings)
    grpc.outlier_detection.CopyFrom(outlier_detection(in_band=settings.filter_path is not None))
    if not pool.rest:
        return [grpc]
    rest = _cluster(pool, rest_cluster_name(pool.key), _rest_protocol(pool, settings), "http/1.1", settings)
    rest.outlier_detection.CopyFrom(outlier_detection(in_band=False))
    return [grpc, rest]


def keepalive(pool: Pool) -> float:
    """Return the seconds between keepalive pings to the endpoints of a pool."""
    return MILVUS_KEEPALIVE if pool.milvus else GRPC_KEEPALIVE


def _cluster(pool: Pool, name: str, options: HttpProtocolOptions, alpn: str, settings: EnvoySettings) -> Cluster:
    cluster = Cluster(
        name=name,
        type=Cluster.EDS,
        eds_cluster_config=Cluster.EdsClusterConfig(eds_config=ads()),
        connect_timeout=seconds(CONNECT_TIMEOUT),
        per_connection_buffer_limit_bytes=UInt32Value(value=_BUFFER),
        circuit_breakers=_circuit_breakers(),
        ignore_health_on_host_removal=True,
        load_balancing_policy=load_balancing(pool.affinity),
        typed_extension_protocol_options={
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": pack(options),
        },
    )
    # As on GKE, an endpoint that fails its check gets no calls even if all endpoints fail: an error is better than a
    # call that hangs. With fail_open all get calls when less than this percentage passes.
    cluster.common_lb_config.healthy_panic_threshold.value = 1.0 if settings.fail_open else 0.0
    if pool.protocol.tls:
        cluster.transport_socket.CopyFrom(upstream_tls(pool, alpn))
    add_health_check(cluster, pool)
    return cluster


def _grpc_protocol(pool: Pool, settings: EnvoySettings) -> HttpProtocolOptions:
    options = _protocol()
    options.http_filters.extend(grpc_filters(settings, grpc_cluster_name(pool.key)))
    options.explicit_http_config.http2_protocol_options.CopyFrom(
        protocol.Http2ProtocolOptions(
            max_concurrent_streams=UInt32Value(value=_STREAMS),
            initial_stream_window_size=UInt32Value(value=_STREAM_WINDOW),
            # The sum of all streams' windows: clients that do not read their answers do not block those of others.
            initial_connection_window_size=UInt32Value(value=_STREAMS * _STREAM_WINDOW),
            connection_keepalive=protocol.KeepaliveSettings(
                interval=seconds(keepalive(pool)),
                timeout=seconds(KEEPALIVE_TIMEOUT),
            ),
            # It would make the path, the one long header that HPACK does not index, ten bytes shorter, and take 1 % of a
            # call's time.
            enable_huffman_encoding=BoolValue(value=False),
        )
    )
    return options


def _rest_protocol(pool: Pool, settings: EnvoySettings) -> HttpProtocolOptions:
    options = _protocol()
    options.http_filters.extend(rest_filters(settings, rest_cluster_name(pool.key)))
    options.explicit_http_config.http_protocol_options.SetInParent()
    return options


def _protocol() -> HttpProtocolOptions:
    options = HttpProtocolOptions()
    options.common_http_protocol_options.idle_timeout.CopyFrom(seconds(UPSTREAM_IDLE))
    return options


def _circuit_breakers() -> CircuitBreakers:
    limit = UInt32Value(value=MAX_CALLS)
    return CircuitBreakers(
        thresholds=[
            CircuitBreakers.Thresholds(
                max_connections=limit,
                max_pending_requests=limit,
                max_requests=limit,
                retry_budget=CircuitBreakers.Thresholds.RetryBudget(
                    budget_percent=Percent(value=20),
                    # The active calls of an endpoint that dies are retried at once.
                    min_retry_concurrency=UInt32Value(value=100),
                ),
            )
        ]
    )

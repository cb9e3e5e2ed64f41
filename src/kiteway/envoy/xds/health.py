"""When an endpoint gets no calls: active checks from the BackendConfig, and ejection after failed calls."""

from __future__ import annotations

from google.protobuf.struct_pb2 import Struct
from google.protobuf.wrappers_pb2 import BoolValue, UInt32Value

from kiteway._proto.envoy.config.cluster.v3.cluster_pb2 import Cluster
from kiteway._proto.envoy.config.cluster.v3.outlier_detection_pb2 import OutlierDetection
from kiteway._proto.envoy.config.core.v3.base_pb2 import TransportSocket
from kiteway._proto.envoy.config.core.v3.health_check_pb2 import HealthCheck
from kiteway._proto.envoy.extensions.transport_sockets.raw_buffer.v3.raw_buffer_pb2 import RawBuffer
from kiteway._proto.envoy.type.v3.http_pb2 import CodecClientType
from kiteway.envoy.xds.common import pack, seconds
from kiteway.envoy.xds.upstream_tls import upstream_tls
from kiteway.model import HealthCheck as ModelHealthCheck
from kiteway.model import HealthCheckType, Pool

EJECTION = 5.0
"""Seconds of an endpoint's first ejection; each consecutive one is longer by as much."""

LONGEST_EJECTION = 15.0
"""Seconds; if all other endpoints fail their checks, every call fails until the ejected one is back."""

_PLAINTEXT_CHECK = Struct()
_PLAINTEXT_CHECK.update({"health": "plaintext"})
_TLS_CHECK = Struct()
_TLS_CHECK.update({"health": "tls"})


def add_health_check(cluster: Cluster, pool: Pool) -> None:
    """Add the pool's health check to ``cluster``, if it has one."""
    if pool.health_check is None:
        return
    check_tls = checks_over_tls(pool, pool.health_check)
    cluster.health_checks.append(_health_check(pool, pool.health_check, check_tls=check_tls))
    if check_tls != pool.protocol.tls:
        cluster.transport_socket_matches.append(_check_socket(pool, tls=check_tls))


def outlier_detection(*, in_band: bool) -> OutlierDetection:
    """
    Eject an endpoint for failed connections, and (``in_band``) for answers that say it is not ready.

    This covers the serving port, because the active check may use another one (9091). Milvus's other errors may be those of
    the cluster or the caller, and never eject. At least one endpoint always remains: of one none is ejected, of two one, of
    three two.
    """
    return OutlierDetection(
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure=UInt32Value(value=3),
        enforcing_consecutive_local_origin_failure=UInt32Value(value=100),
        # The upstream filter says "not ready" as grpc-status 14, which counts as a 503.
        consecutive_gateway_failure=UInt32Value(value=3),
        enforcing_consecutive_gateway_failure=UInt32Value(value=100 if in_band else 0),
        enforcing_consecutive_5xx=UInt32Value(value=0),
        enforcing_local_origin_success_rate=UInt32Value(value=0),
        enforcing_success_rate=UInt32Value(value=0),
        interval=seconds(2),
        base_ejection_time=seconds(EJECTION),
        max_ejection_time=seconds(LONGEST_EJECTION),
        # At most half: when proxies restart one after the other, those that are back must not still be ejected when the
        # last one stops. Calls to an endpoint that fails but is not ejected are retried elsewhere if they may be.
        max_ejection_percent=UInt32Value(value=50),
        # An endpoint may pass its check on 9091 and refuse every call on 19530.
        successful_active_health_check_uneject_host=BoolValue(value=False),
    )


def checks_over_tls(pool: Pool, check: ModelHealthCheck) -> bool:
    """Return whether the connections of a check use TLS."""
    if check.type is HealthCheckType.TCP:
        return pool.protocol.tls
    return check.type is not HealthCheckType.HTTP


def _health_check(pool: Pool, check: ModelHealthCheck, *, check_tls: bool) -> HealthCheck:
    message = HealthCheck(
        timeout=seconds(check.timeout),
        interval=seconds(check.interval),
        # Envoy's default for an endpoint without traffic is once a minute.
        no_traffic_interval=seconds(check.interval),
        healthy_threshold=UInt32Value(value=check.healthy_threshold),
        unhealthy_threshold=UInt32Value(value=check.unhealthy_threshold),
    )
    if check.type is HealthCheckType.TCP:
        message.tcp_health_check.SetInParent()
        return message
    http2 = check.type is HealthCheckType.HTTP2
    message.http_health_check.CopyFrom(
        HealthCheck.HttpHealthCheck(
            host=f"{pool.key.service}.{pool.key.namespace}",
            path=check.request_path,
            codec_client_type=CodecClientType.HTTP2 if http2 else CodecClientType.HTTP1,
        )
    )
    if check_tls:
        message.tls_options.alpn_protocols.append("h2" if http2 else "http/1.1")
    if check_tls != pool.protocol.tls:
        message.transport_socket_match_criteria.CopyFrom(_TLS_CHECK if check_tls else _PLAINTEXT_CHECK)
    return message


def _check_socket(pool: Pool, *, tls: bool) -> Cluster.TransportSocketMatch:
    """Return the transport socket of a health check whose TLS differs from that of calls (9091 is plaintext)."""
    if tls:
        return Cluster.TransportSocketMatch(
            name="health-check-tls", match=_TLS_CHECK, transport_socket=upstream_tls(pool, "http/1.1")
        )
    return Cluster.TransportSocketMatch(
        name="health-check-plaintext",
        match=_PLAINTEXT_CHECK,
        transport_socket=TransportSocket(name="envoy.transport_sockets.raw_buffer", typed_config=pack(RawBuffer())),
    )

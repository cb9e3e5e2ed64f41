"""Pools as clusters: HTTP/2 for gRPC and HTTP/1.1 for REST over the same endpoints."""

from __future__ import annotations

from google.protobuf.struct_pb2 import Struct
from google.protobuf.wrappers_pb2 import UInt32Value

from kiteway._proto.envoy.config.cluster.v3.circuit_breaker_pb2 import CircuitBreakers
from kiteway._proto.envoy.config.cluster.v3.cluster_pb2 import Cluster, LoadBalancingPolicy
from kiteway._proto.envoy.config.cluster.v3.outlier_detection_pb2 import OutlierDetection
from kiteway._proto.envoy.config.core.v3 import protocol_pb2 as protocol
from kiteway._proto.envoy.config.core.v3.base_pb2 import DataSource, TransportSocket
from kiteway._proto.envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from kiteway._proto.envoy.config.core.v3.health_check_pb2 import HealthCheck
from kiteway._proto.envoy.extensions.load_balancing_policies.common.v3.common_pb2 import SlowStartConfig
from kiteway._proto.envoy.extensions.load_balancing_policies.least_request.v3.least_request_pb2 import LeastRequest
from kiteway._proto.envoy.extensions.transport_sockets.raw_buffer.v3.raw_buffer_pb2 import RawBuffer
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.common_pb2 import (
    CertificateValidationContext,
    SubjectAltNameMatcher,
)
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.common_pb2 import TlsParameters as TLSParameters
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, UpstreamTlsContext
from kiteway._proto.envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from kiteway._proto.envoy.type.matcher.v3.string_pb2 import StringMatcher
from kiteway._proto.envoy.type.v3.http_pb2 import CodecClientType
from kiteway._proto.envoy.type.v3.percent_pb2 import Percent
from kiteway.envoy.xds.common import ads, grpc_cluster_name, pack, rest_cluster_name, seconds, secret_name
from kiteway.model import HealthCheck as ModelHealthCheck
from kiteway.model import HealthCheckType, Pool

CONNECT_TIMEOUT = 2.0
"""Seconds to connect: past it the call is tried on another endpoint."""

UPSTREAM_KEEPALIVE = 20.0
"""Seconds between keepalive pings to an endpoint; Milvus refuses pings more frequent than every 5 s."""

_PLAINTEXT_CHECK = Struct()
_PLAINTEXT_CHECK.update({"health": "plaintext"})
_TLS_CHECK = Struct()
_TLS_CHECK.update({"health": "tls"})

_UNLIMITED = 1_000_000
"""Envoy's default circuit breakers (1,024) are far below what one Milvus serves; limits belong to policies."""


def clusters(pool: Pool) -> list[Cluster]:
    """Return the clusters of a pool: gRPC always, REST where it is served."""
    result = [_cluster(pool, grpc_cluster_name(pool.key), http2=True)]
    if pool.rest:
        result.append(_cluster(pool, rest_cluster_name(pool.key), http2=False))
    return result


def _cluster(pool: Pool, name: str, *, http2: bool) -> Cluster:
    cluster = Cluster(
        name=name,
        type=Cluster.EDS,
        eds_cluster_config=Cluster.EdsClusterConfig(eds_config=ads()),
        connect_timeout=seconds(CONNECT_TIMEOUT),
        circuit_breakers=_circuit_breakers(),
        outlier_detection=_outlier_detection(),
        ignore_health_on_host_removal=True,
        close_connections_on_host_health_failure=True,
        load_balancing_policy=_load_balancing(),
        typed_extension_protocol_options={
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": pack(_protocol(http2=http2))
        },
    )
    cluster.common_lb_config.healthy_panic_threshold.value = 0.0
    if pool.protocol.tls:
        cluster.transport_socket.CopyFrom(_tls(pool, "h2" if http2 else "http/1.1"))
    if pool.health_check is not None:
        cluster.health_checks.append(_health_check(pool, pool.health_check))
        check_tls = _checks_over_tls(pool)
        if check_tls != pool.protocol.tls:
            cluster.transport_socket_matches.append(_check_socket(pool, tls=check_tls))
    return cluster


def _protocol(*, http2: bool) -> HttpProtocolOptions:
    options = HttpProtocolOptions()
    options.common_http_protocol_options.idle_timeout.CopyFrom(seconds(600))
    explicit = options.explicit_http_config
    if not http2:
        explicit.http_protocol_options.SetInParent()
        return options
    explicit.http2_protocol_options.connection_keepalive.CopyFrom(
        protocol.KeepaliveSettings(interval=seconds(UPSTREAM_KEEPALIVE), timeout=seconds(10))
    )
    return options


def _load_balancing() -> LoadBalancingPolicy:
    policy = LeastRequest(
        choice_count=UInt32Value(value=2),
        slow_start_config=SlowStartConfig(slow_start_window=seconds(10), min_weight_percent=Percent(value=10)),
    )
    policy.slow_start_config.aggression.default_value = 1.0
    policy.slow_start_config.aggression.runtime_key = "kiteway.slow_start.aggression"
    return LoadBalancingPolicy(
        policies=[
            LoadBalancingPolicy.Policy(
                typed_extension_config=TypedExtensionConfig(
                    name="envoy.load_balancing_policies.least_request", typed_config=pack(policy)
                )
            )
        ]
    )


def _circuit_breakers() -> CircuitBreakers:
    limit = UInt32Value(value=_UNLIMITED)
    return CircuitBreakers(
        thresholds=[
            CircuitBreakers.Thresholds(
                max_connections=limit,
                max_pending_requests=limit,
                max_requests=limit,
                track_remaining=False,
                retry_budget=CircuitBreakers.Thresholds.RetryBudget(
                    budget_percent=Percent(value=20), min_retry_concurrency=UInt32Value(value=100)
                ),
            )
        ]
    )


def _outlier_detection() -> OutlierDetection:
    """
    Eject for failures of the connection only: Milvus's own errors may be the cluster's or the caller's.

    The serving port is watched here, because the active check may look at another one (9091).
    """
    return OutlierDetection(
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure=UInt32Value(value=3),
        enforcing_consecutive_local_origin_failure=UInt32Value(value=100),
        enforcing_local_origin_success_rate=UInt32Value(value=0),
        enforcing_success_rate=UInt32Value(value=0),
        enforcing_consecutive_5xx=UInt32Value(value=0),
        enforcing_consecutive_gateway_failure=UInt32Value(value=0),
        interval=seconds(2),
        base_ejection_time=seconds(5),
        max_ejection_time=seconds(60),
        max_ejection_percent=UInt32Value(value=67),
    )


def _checks_over_tls(pool: Pool) -> bool:
    check = pool.health_check
    if check is None or check.type is HealthCheckType.TCP:
        return pool.protocol.tls
    return check.type is not HealthCheckType.HTTP


def _health_check(pool: Pool, check: ModelHealthCheck) -> HealthCheck:
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
    check_tls = _checks_over_tls(pool)
    if check_tls:
        message.tls_options.alpn_protocols.append("h2" if http2 else "http/1.1")
    if check_tls != pool.protocol.tls:
        message.transport_socket_match_criteria.CopyFrom(_TLS_CHECK if check_tls else _PLAINTEXT_CHECK)
    return message


def _check_socket(pool: Pool, *, tls: bool) -> Cluster.TransportSocketMatch:
    """Return the socket of a health check that speaks otherwise than the endpoints serve (9091 is plaintext)."""
    if tls:
        return Cluster.TransportSocketMatch(
            name="health-check-tls", match=_TLS_CHECK, transport_socket=_tls(pool, "http/1.1")
        )
    return Cluster.TransportSocketMatch(
        name="health-check-plaintext",
        match=_PLAINTEXT_CHECK,
        transport_socket=TransportSocket(name="envoy.transport_sockets.raw_buffer", typed_config=pack(RawBuffer())),
    )


def _tls(pool: Pool, alpn: str) -> TransportSocket:
    context = UpstreamTlsContext(
        common_tls_context=CommonTlsContext(
            alpn_protocols=[alpn],
            tls_params=TLSParameters(
                tls_minimum_protocol_version=TLSParameters.TLSv1_2, tls_maximum_protocol_version=TLSParameters.TLSv1_3
            ),
        )
    )
    if pool.tls.server_name:
        context.sni = pool.tls.server_name
    if pool.tls.ca:
        validation = CertificateValidationContext(trusted_ca=DataSource(inline_string=pool.tls.ca))
        if pool.tls.server_name:
            validation.match_typed_subject_alt_names.append(
                SubjectAltNameMatcher(
                    san_type=SubjectAltNameMatcher.DNS, matcher=StringMatcher(exact=pool.tls.server_name)
                )
            )
        context.common_tls_context.validation_context.CopyFrom(validation)
    if pool.tls.client_certificate:
        context.common_tls_context.tls_certificate_sds_secret_configs.append(
            SdsSecretConfig(name=secret_name(pool.tls.client_certificate), sds_config=ads())
        )
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))

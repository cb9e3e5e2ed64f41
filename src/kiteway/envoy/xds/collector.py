"""The collector of traces and logs: its cluster, and the secret with its token."""

from __future__ import annotations

from google.protobuf.wrappers_pb2 import BoolValue

from kiteway._proto.envoy.config.cluster.v3.circuit_breaker_pb2 import CircuitBreakers
from kiteway._proto.envoy.config.cluster.v3.cluster_pb2 import Cluster
from kiteway._proto.envoy.config.core.v3.base_pb2 import DataSource, TransportSocket, WatchedDirectory
from kiteway._proto.envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from kiteway._proto.envoy.config.core.v3.http_service_pb2 import HttpService
from kiteway._proto.envoy.config.core.v3.http_uri_pb2 import HttpUri
from kiteway._proto.envoy.config.endpoint.v3.endpoint_components_pb2 import Endpoint, LbEndpoint, LocalityLbEndpoints
from kiteway._proto.envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from kiteway._proto.envoy.extensions.filters.http.credential_injector.v3.credential_injector_pb2 import (
    CredentialInjector,
)
from kiteway._proto.envoy.extensions.filters.http.upstream_codec.v3.upstream_codec_pb2 import UpstreamCodec
from kiteway._proto.envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpFilter,
)
from kiteway._proto.envoy.extensions.http.injected_credentials.generic.v3.generic_pb2 import Generic
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.common_pb2 import (
    CertificateValidationContext,
    SubjectAltNameMatcher,
)
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.common_pb2 import TlsParameters as TLSParameters
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import GenericSecret, SdsSecretConfig, Secret
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, UpstreamTlsContext
from kiteway._proto.envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from kiteway._proto.envoy.type.matcher.v3.string_pb2 import StringMatcher
from kiteway.envoy.otlp import CLUSTER, OtlpSettings
from kiteway.envoy.xds.common import ads, pack, seconds, socket_address

_TOKEN = "otlp/token"  # noqa: S105 - the name of the secret
_EXPORT_SECONDS = 5.0
_CONNECT_SECONDS = 2.0
_MOST_EXPORTS = 16
"""Exports at the same time. One more is dropped, so that a collector that hangs costs a bounded amount of memory."""


def collector(otlp: OtlpSettings, network_namespace: str | None) -> Cluster:
    """Return the cluster of the collector, which is in the given network namespace; None: in Envoy's own."""
    options = HttpProtocolOptions()
    options.explicit_http_config.http_protocol_options.SetInParent()
    if otlp.token_file is not None:
        options.http_filters.extend(_with_token())
    endpoint = LbEndpoint(endpoint=Endpoint(address=socket_address(otlp.host, otlp.port)))
    cluster = Cluster(
        name=CLUSTER,
        type=Cluster.STATIC if otlp.is_address else Cluster.STRICT_DNS,
        # A name such as localhost may have addresses of both kinds, of which the collector serves one.
        dns_lookup_family=Cluster.ALL,
        # Envoy must not wait for the name of a collector before it serves.
        wait_for_warm_on_init=BoolValue(value=False),
        connect_timeout=seconds(_CONNECT_SECONDS),
        load_assignment=ClusterLoadAssignment(
            cluster_name=CLUSTER, endpoints=[LocalityLbEndpoints(lb_endpoints=[endpoint])]
        ),
        typed_extension_protocol_options={
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": pack(options),
        },
        circuit_breakers=_bounds(),
    )
    if network_namespace is not None:
        own = socket_address("0.0.0.0", 0, network_namespace)  # noqa: S104 - any address of this side
        cluster.upstream_bind_config.source_address.CopyFrom(own.socket_address)
    if otlp.ca is not None:
        cluster.transport_socket.CopyFrom(_tls(otlp, str(otlp.ca)))
    return cluster


def token(otlp: OtlpSettings) -> list[Secret]:
    """Return the secret with the token. Envoy reads the file, so that no configuration has its content."""
    if otlp.token_file is None:
        return []
    folder = WatchedDirectory(path=str(otlp.token_file.parent))
    source = DataSource(filename=str(otlp.token_file), watched_directory=folder)
    return [Secret(name=_TOKEN, generic_secret=GenericSecret(secret=source))]


def service(otlp: OtlpSettings, signal: str) -> HttpService:
    """Return where Envoy sends a signal, ``traces`` or ``logs``."""
    uri = HttpUri(uri=f"{otlp.url}/v1/{signal}", cluster=CLUSTER, timeout=seconds(_EXPORT_SECONDS))
    return HttpService(http_uri=uri)


def _bounds() -> CircuitBreakers:
    threshold = CircuitBreakers.Thresholds()
    for limit in (threshold.max_connections, threshold.max_pending_requests, threshold.max_requests):
        limit.value = _MOST_EXPORTS
    threshold.max_retries.value = 0
    return CircuitBreakers(thresholds=[threshold])


def _with_token() -> list[HttpFilter]:
    generic = Generic(
        credential=SdsSecretConfig(name=_TOKEN, sds_config=ads()), header="authorization", header_value_prefix="Bearer "
    )
    injector = CredentialInjector(
        overwrite=True,
        credential=TypedExtensionConfig(name="envoy.http.injected_credentials.generic", typed_config=pack(generic)),
    )
    return [
        HttpFilter(name="envoy.filters.http.credential_injector", typed_config=pack(injector)),
        HttpFilter(name="envoy.filters.http.upstream_codec", typed_config=pack(UpstreamCodec())),
    ]


def _tls(otlp: OtlpSettings, ca: str) -> TransportSocket:
    name = SubjectAltNameMatcher(
        san_type=SubjectAltNameMatcher.IP_ADDRESS if otlp.is_address else SubjectAltNameMatcher.DNS,
        matcher=StringMatcher(exact=otlp.host),
    )
    context = UpstreamTlsContext(
        sni="" if otlp.is_address else otlp.host,
        common_tls_context=CommonTlsContext(
            tls_params=TLSParameters(
                tls_minimum_protocol_version=TLSParameters.TLSv1_2, tls_maximum_protocol_version=TLSParameters.TLSv1_3
            ),
            validation_context=CertificateValidationContext(
                trusted_ca=DataSource(filename=ca), match_typed_subject_alt_names=[name]
            ),
        ),
    )
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))

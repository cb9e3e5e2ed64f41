"""TLS towards the endpoints."""

from __future__ import annotations

from kiteway._proto.envoy.config.core.v3.base_pb2 import TransportSocket
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.common_pb2 import (
    CertificateValidationContext,
    SubjectAltNameMatcher,
)
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.common_pb2 import TlsParameters as TLSParameters
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, UpstreamTlsContext
from kiteway._proto.envoy.type.matcher.v3.string_pb2 import StringMatcher
from kiteway.envoy.xds.common import ads, bundle_name, pack, secret_name
from kiteway.model import Pool


def upstream_tls(pool: Pool, alpn: str) -> TransportSocket:
    """Return the TLS socket to the endpoints of ``pool``; it verifies them where the pool has a CA."""
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
        validation = CertificateValidationContext()
        if pool.tls.server_name:
            validation.match_typed_subject_alt_names.append(
                SubjectAltNameMatcher(
                    san_type=SubjectAltNameMatcher.DNS, matcher=StringMatcher(exact=pool.tls.server_name)
                )
            )
        combined = context.common_tls_context.combined_validation_context
        combined.default_validation_context.CopyFrom(validation)
        # Until Envoy has accepted the CA, it connects to no endpoint.
        combined.validation_context_sds_secret_config.CopyFrom(
            SdsSecretConfig(name=bundle_name(pool.tls.ca.source), sds_config=ads())
        )
    if pool.tls.client_certificate:
        context.common_tls_context.tls_certificate_sds_secret_configs.append(
            SdsSecretConfig(name=secret_name(pool.tls.client_certificate.name), sds_config=ads())
        )
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))

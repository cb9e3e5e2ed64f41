"""Certificates and CAs as SDS secrets: when Envoy rejects one, no other resource is affected."""

from __future__ import annotations

from kiteway._proto.envoy.config.core.v3.base_pb2 import DataSource
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.common_pb2 import (
    CertificateValidationContext,
    TlsCertificate,
)
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from kiteway.envoy.xds.common import bundle_name, secret_name
from kiteway.model import Certificate, TrustBundle


def secret(certificate: Certificate) -> Secret:
    """Return the secret of a certificate. It contains the private key and may go to Envoy only."""
    return Secret(
        name=secret_name(certificate.name),
        tls_certificate=TlsCertificate(
            certificate_chain=DataSource(inline_bytes=certificate.chain),
            private_key=DataSource(inline_bytes=certificate.key.reveal()),
        ),
    )


def bundle_secret(bundle: TrustBundle) -> Secret:
    """Return the secret of the CAs that clients or endpoints are verified against."""
    return Secret(
        name=bundle_name(bundle.source),
        validation_context=CertificateValidationContext(trusted_ca=DataSource(inline_string=bundle.pem)),
    )

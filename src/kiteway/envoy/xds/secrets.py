"""Certificates as SDS secrets."""

from __future__ import annotations

from kiteway._proto.envoy.config.core.v3.base_pb2 import DataSource
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.common_pb2 import TlsCertificate
from kiteway._proto.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from kiteway.envoy.xds.common import secret_name
from kiteway.model import Certificate


def secret(certificate: Certificate) -> Secret:
    """Return the secret of a certificate. It holds the key: it goes to Envoy and nowhere else."""
    return Secret(
        name=secret_name(certificate.name),
        tls_certificate=TlsCertificate(
            certificate_chain=DataSource(inline_bytes=certificate.chain),
            private_key=DataSource(inline_bytes=certificate.key.reveal()),
        ),
    )

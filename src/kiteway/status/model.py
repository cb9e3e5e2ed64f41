"""The model as plain values; no secret is in them."""

from __future__ import annotations

import datetime as dt
from typing import Any

from cryptography import x509

from kiteway.certificates.describe import describe
from kiteway.model import LoadBalancer


def model_report(model: LoadBalancer) -> dict[str, Any]:
    """Return hosts, routes and certificates."""
    return {
        "hosts": [
            {
                "host": host.domain,
                "ingress": f"{host.source.namespace}/{host.source.name}",
                "https": host.https,
                "http": str(host.http),
                "routes": [
                    {"path": route.match.path, "type": str(route.match.type), "pool": str(route.pool or "")}
                    for route in host.routes
                ],
            }
            for host in model.hosts
        ],
        "certificates": [
            {
                "name": certificate.name,
                "source": str(certificate.source or ""),
                "servedFor": [
                    ",".join(entry.names) or "default"
                    for entry in model.server_names
                    if certificate.name in entry.certificates
                ],
                "temporary": certificate.temporary,
                **describe(x509.load_pem_x509_certificates(certificate.chain), dt.datetime.now(dt.UTC)),
            }
            for certificate in model.certificates
        ],
    }

"""The model as plain values; no secret is in them."""

from __future__ import annotations

import datetime as dt
from typing import Any

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
                "names": list(certificate.names),
                "notAfter": certificate.not_after.isoformat(),
                "daysLeft": (certificate.not_after - dt.datetime.now(dt.UTC)).days,
                "keyType": certificate.key_type,
                "fingerprint": certificate.fingerprint,
                "temporary": certificate.temporary,
            }
            for certificate in model.certificates
        ],
    }

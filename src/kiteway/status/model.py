"""Reports on the parts of the model: hosts and certificates."""

from __future__ import annotations

import datetime as dt

import msgspec
from cryptography import x509

from kiteway.certificates.describe import describe
from kiteway.model import Certificate, LoadBalancer
from kiteway.report.certificates import ServedCertificate
from kiteway.report.routing import HostReport, RouteReport
from kiteway.status.policy import policy_report


def host_reports(model: LoadBalancer) -> tuple[HostReport, ...]:
    """Report the hosts of ``model`` with their routes."""
    return tuple(
        HostReport(
            host=host.domain,
            ingress=f"{host.source.namespace}/{host.source.name}",
            https=host.https,
            http=host.http,
            routes=tuple(
                RouteReport(route.match.path, route.match.type, str(route.pool or ""), policy_report(route.policy))
                for route in host.routes
            ),
        )
        for host in model.hosts
    )


def certificate_reports(model: LoadBalancer) -> tuple[ServedCertificate, ...]:
    """Report the certificates of ``model``. Each is parsed, which takes about a millisecond."""
    now = dt.datetime.now(dt.UTC)
    return tuple(_served(certificate, model, now) for certificate in model.certificates)


def _served(certificate: Certificate, model: LoadBalancer, now: dt.datetime) -> ServedCertificate:
    facts = describe(certificate.name, x509.load_pem_x509_certificates(certificate.chain), now)
    return ServedCertificate(
        **msgspec.structs.asdict(facts),
        source=str(certificate.source or ""),
        served_for=tuple(
            ",".join(entry.names) or "default" for entry in model.server_names if certificate.name in entry.certificates
        ),
        temporary=certificate.temporary,
    )

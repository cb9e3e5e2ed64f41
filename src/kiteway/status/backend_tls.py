"""The TLS connections to the endpoints of a pool, and why handshakes failed."""

from __future__ import annotations

from collections.abc import Mapping

from kiteway.envoy.xds.common import grpc_cluster_name, rest_cluster_name
from kiteway.model import Pool
from kiteway.report.pools import UpstreamTlsReport


def upstream_tls_report(pool: Pool, counters: Mapping[str, int]) -> UpstreamTlsReport:
    """Report how the endpoints of ``pool`` are verified; ``counters`` are Envoy's, which count from its start."""
    tls = pool.tls
    return UpstreamTlsReport(
        verified=tls.ca is not None,
        how=_how(pool),
        ca=str(tls.ca.source) if tls.ca else None,
        server_name=tls.server_name,
        client_certificate=tls.client_certificate.name if tls.client_certificate else None,
        problems=tuple(_problems(pool, counters)),
    )


def _how(pool: Pool) -> str:
    tls = pool.tls
    if not pool.protocol.tls:
        return "plaintext"
    if tls.ca is None:
        return (
            "TLS, not verified: the Service names no CA (kiteway.io/backend-ca-secret); GKE accepts any certificate too"
        )
    name = f"the name {tls.server_name}" if tls.server_name else "any name"
    return f"TLS, verified against {tls.ca.source} for {name}"


def _problems(pool: Pool, counters: Mapping[str, int]) -> list[str]:
    def count(what: str) -> int:
        clusters = (grpc_cluster_name(pool.key), rest_cluster_name(pool.key))
        return sum(counters.get(f"cluster.{cluster}.ssl.{what}", 0) for cluster in clusters)

    found = []
    authority, name = count("fail_verify_error"), count("fail_verify_san")
    if authority and pool.tls.ca:
        found.append(
            f"{authority} handshakes failed: the endpoint's certificate is not signed by a CA in {pool.tls.ca.source}, or "
            "not valid now."
        )
    if name:
        found.append(
            f"{name} handshakes failed: the endpoint's certificate does not carry the name {pool.tls.server_name} in its "
            "subjectAltName."
        )
    other = count("connection_error")
    if other:
        found.append(
            f"{other} handshakes failed for another reason: the endpoint does not speak TLS, or refuses "
            + (
                f"the client certificate {pool.tls.client_certificate.name}."
                if pool.tls.client_certificate
                else "clients without a certificate (kiteway.io/backend-client-certificate-secret)."
            )
        )
    return found

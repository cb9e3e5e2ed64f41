"""The order of the certificates in TLS Secrets."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Secret

RULE = rule_of_reasons(
    "CERT_CHAIN_ORDER",
    title="The order of the certificates in TLS Secrets",
    why="Clients expect the server's certificate first and each issuer after it; a file in another order fails on some of them only.",
    reasons=frozenset({"CertificateChainOrder", "CertificateChainIncomplete"}),
    kinds=(Secret,),
    when_passed="its certificates are complete and in order.",
    severity=Severity.WARNING,
)

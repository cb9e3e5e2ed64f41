"""The validity of the certificates in TLS Secrets."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Secret

RULE = rule_of_reasons(
    "CERT_EXPIRY",
    title="The validity of the certificates in TLS Secrets",
    why="Every client refuses an expired certificate. The guide's -days 99999 makes users forget that certificates expire.",
    reasons=frozenset({"CertificateExpired", "CertificateNotYetValid", "CertificateExpiresSoon"}),
    kinds=(Secret,),
    when_passed="its certificate is valid and will be for weeks.",
    severity=Severity.WARNING,
)

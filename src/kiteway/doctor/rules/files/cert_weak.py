"""Certificates that some clients refuse."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Secret

RULE = rule_of_reasons(
    "CERT_WEAK",
    title="Certificates that some clients refuse",
    why="OpenSSL accepts what other TLS libraries refuse: SHA-1 signatures, a missing serverAuth, and the guide's -days 99999 (trap G6).",
    reasons=frozenset({"CertificateSignatureWeak", "CertificateUsage", "CertificateValidTooLong"}),
    kinds=(Secret,),
    when_passed="every client accepts its certificate.",
    severity=Severity.WARNING,
)

"""Certificates that some clients refuse."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Secret

RULE = rule_of_reasons(
    "CERT_WEAK",
    title="Certificates that some clients refuse",
    why="What OpenSSL takes, others do not: SHA-1 signatures, a missing serverAuth, and the guide's -days 99999 (trap G6).",
    reasons=frozenset({"CertificateSignatureWeak", "CertificateUsage", "CertificateValidTooLong"}),
    kinds=(Secret,),
    when_passed="its certificate is one that every client takes.",
    severity=Severity.WARNING,
)

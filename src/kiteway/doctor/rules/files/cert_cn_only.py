"""A subjectAltName in the certificate."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Secret

RULE = rule_of_reasons(
    "CERT_CN_ONLY",
    title="A subjectAltName in the certificate",
    why="The guide's openssl command makes a certificate without one (trap G6): PyMilvus accepts it, Go's TLS (the Go SDK) and browsers refuse it, so the guide's own verification passes and other clients fail.",
    reasons=frozenset({"CertificateWithoutSAN"}),
    kinds=(Secret,),
    when_passed="its certificate names its hosts in the subjectAltName.",
    severity=Severity.WARNING,
)

"""Certificates and keys in TLS Secrets."""

from __future__ import annotations

from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Secret

RULE = rule_of_reasons(
    "CERT_KEY",
    title="Certificates and keys in TLS Secrets",
    why="A Secret whose key is missing, encrypted, too small or another certificate's cannot be served.",
    reasons=frozenset(
        {
            "SecretInvalid",
            "CertificateUnreadable",
            "CertificateKeyEncrypted",
            "CertificateKeyUnreadable",
            "CertificateKeyMismatch",
            "CertificateKeyTooSmall",
            "CertificateKeyType",
            "CertificateKeyTooLarge",
            "CertificateKeyUsage",
            "CertificateMustStaple",
            "CertificateWithoutNames",
        }
    ),
    kinds=(Secret,),
    when_passed="its certificate and key belong together.",
)

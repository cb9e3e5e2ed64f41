"""The certificates that an Ingress names."""

from __future__ import annotations

from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Ingress

RULE = rule_of_reasons(
    "CERT_NAME",
    title="The certificates that an Ingress names",
    why="One missing Secret or ManagedCertificate keeps GKE from building the whole Ingress, and a misspelt name leaves a ManagedCertificate in FailedNotVisible (failure F10).",
    reasons=frozenset({"ManagedCertificateNotFound", "SecretNotFound", "TLSSecretNameMissing"}),
    kinds=(Ingress,),
    when_passed="every Secret and ManagedCertificate that it names exists.",
    needs=frozenset({"Secret", "ManagedCertificate"}),
)

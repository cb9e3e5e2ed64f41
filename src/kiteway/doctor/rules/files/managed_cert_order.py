"""The order of ManagedCertificate and Ingress."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import ManagedCertificate

RULE = rule_of_reasons(
    "MANAGED_CERT_ORDER",
    title="The order of ManagedCertificate and Ingress",
    why="The guide says to wait for Active before the Ingress is made (trap G4): a deadlock, because a certificate is issued only once it is attached to a load balancer that DNS points at.",
    reasons=frozenset({"ManagedCertificateProvisioning"}),
    kinds=(ManagedCertificate,),
    when_passed="its certificate does not wait for an Ingress.",
    severity=Severity.WARNING,
)

"""The number of certificates."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Ingress

RULE = rule_of_reasons(
    "LIMIT_10_CERTS",
    title="The number of certificates",
    why="GKE refuses an Ingress with more than ten. Kiteway itself has no such limit.",
    reasons=frozenset({"TargetProxyCertLimit"}),
    kinds=(Ingress,),
    when_passed="it has at most ten certificates.",
    severity=Severity.WARNING,
)

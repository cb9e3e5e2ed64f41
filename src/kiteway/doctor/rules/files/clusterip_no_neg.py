"""NEG on a Service of type ClusterIP."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Service

RULE = rule_of_reasons(
    "CLUSTERIP_NO_NEG",
    title="NEG on a Service of type ClusterIP",
    why='The guide\'s first step makes the Service ClusterIP; without the NEG annotation GKE then refuses it: expected "NodePort" or "LoadBalancer" when not using NEGs.',
    reasons=frozenset({"ClusterIPWithoutNeg", "NEGAnnotationInvalid"}),
    kinds=(Service,),
    when_passed="GKE can reach its endpoints.",
    severity=Severity.WARNING,
)

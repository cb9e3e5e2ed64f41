"""The class of an Ingress."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Ingress

RULE = rule_of_reasons(
    "INGRESS_CLASS_NAME_SET",
    title="The class of an Ingress",
    why="GKE reads the annotation kubernetes.io/ingress.class: an Ingress that says gce in spec.ingressClassName gets no load balancer and no Event says why.",
    reasons=frozenset({"IngressClassNameSet", "IngressClassInternal", "IngressClassMisspelt"}),
    kinds=(Ingress,),
    when_passed="its class is set in the form that its controller reads.",
    severity=Severity.WARNING,
)

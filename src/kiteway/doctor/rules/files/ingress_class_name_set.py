"""The class of an Ingress."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Ingress

RULE = rule_of_reasons(
    "INGRESS_CLASS_NAME_SET",
    title="The class of an Ingress",
    why="GKE goes by the annotation kubernetes.io/ingress.class: an Ingress that says gce in spec.ingressClassName gets no load balancer and no Event says why.",
    reasons=frozenset({"IngressClassNameSet", "IngressClassInternal"}),
    kinds=(Ingress,),
    when_passed="the controller that it is meant for will see it.",
    severity=Severity.WARNING,
)

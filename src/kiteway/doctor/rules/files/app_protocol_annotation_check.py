"""The value of cloud.google.com/app-protocols."""

from __future__ import annotations

from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Service

RULE = rule_of_reasons(
    "AppProtocolAnnotationCheck",
    title="The value of cloud.google.com/app-protocols",
    why="A value that GKE cannot read is an error of the whole Service and of every Ingress that names it.",
    reasons=frozenset({"AppProtocolAnnotation"}),
    kinds=(Service,),
    when_passed="the annotation cloud.google.com/app-protocols is absent or can be read.",
)

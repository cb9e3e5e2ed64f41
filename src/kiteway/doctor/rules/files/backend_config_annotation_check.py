"""The value of cloud.google.com/backend-config."""

from __future__ import annotations

from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Service

RULE = rule_of_reasons(
    "BackendConfigAnnotationCheck",
    title="The value of cloud.google.com/backend-config",
    why="GKE refuses a Service whose annotation it cannot read, and with it every Ingress that names the Service.",
    reasons=frozenset({"BackendConfigInvalidJSON", "BackendConfigNoneFound", "BackendConfigPortUnknown"}),
    kinds=(Service,),
    when_passed="the annotation cloud.google.com/backend-config is absent or can be read.",
)

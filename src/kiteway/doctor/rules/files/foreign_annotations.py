"""Annotations of other controllers."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Ingress, Service

RULE = rule_of_reasons(
    "FOREIGN_ANNOTATIONS",
    title="Annotations of other Ingress controllers",
    why="An Ingress that was written for ingress-nginx, HAProxy, Traefik or an ALB may restrict addresses, ask for a login or speak TLS to Milvus by annotations that Kiteway does not read: without them every client may call.",
    reasons=frozenset({"RestrictionIgnored", "AnnotationIgnored", "AnnotationWithoutEffect"}),
    kinds=(Ingress, Service),
    when_passed="it has no annotation of another controller that would restrict or change its meaning.",
    severity=Severity.WARNING,
)

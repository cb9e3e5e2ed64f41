"""Misspelt annotations, and annotations on the wrong kind of object."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Ingress, Service

RULE = rule_of_reasons(
    "ANNOTATION_KEYS",
    title="Keys of annotations",
    why="Kubernetes accepts every key: a misspelt one, or one on the Ingress that belongs on the Service, has no effect and causes no message.",
    reasons=frozenset({"AnnotationMisspelt", "AnnotationMisplaced"}),
    kinds=(Ingress, Service),
    when_passed="its annotations have keys that Kiteway and GKE read, or that are another tool's.",
    severity=Severity.WARNING,
)

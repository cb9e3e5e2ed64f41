"""Rules without http."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Ingress

RULE = rule_of_reasons(
    "IngressRuleCheck",
    title="Rules without http",
    why="A rule without http.paths routes nothing: its host ends at the default backend, with 404.",
    reasons=frozenset({"IngressRule"}),
    kinds=(Ingress,),
    when_passed="every rule has paths.",
    severity=Severity.WARNING,
)

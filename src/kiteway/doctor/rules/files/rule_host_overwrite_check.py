"""Hosts that one Ingress has two rules for."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Ingress

RULE = rule_of_reasons(
    "RuleHostOverwriteCheck",
    title="Hosts that one Ingress has two rules for",
    why="The later rule silently replaces the earlier one, whose paths are lost.",
    reasons=frozenset({"RuleHostOverwrite"}),
    kinds=(Ingress,),
    when_passed="no host has two rules.",
    severity=Severity.WARNING,
)

"""connectionDraining of a BackendConfig."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import BackendConfig

RULE = rule_of_reasons(
    "DRAIN_0",
    title="connectionDraining of a BackendConfig",
    why="The guide leaves it out (trap G8), so GKE's default of 0 s applies: every rolling restart of the proxies fails calls (failure F7).",
    reasons=frozenset({"ConnectionDrainingZero"}),
    kinds=(BackendConfig,),
    when_passed="calls in flight may finish when an endpoint is removed, on GKE, too.",
    severity=Severity.WARNING,
)

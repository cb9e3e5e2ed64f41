"""TimeoutSec against checkIntervalSec of a health check."""

from __future__ import annotations

from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import BackendConfig

RULE = rule_of_reasons(
    "HealthCheckTimeoutCheck",
    title="timeoutSec against checkIntervalSec of a health check",
    why="GKE refuses a health check that may last longer than the time between two of them.",
    reasons=frozenset({"HealthCheckTimeout"}),
    kinds=(BackendConfig,),
    when_passed="the health check's timeout does not exceed its interval.",
)

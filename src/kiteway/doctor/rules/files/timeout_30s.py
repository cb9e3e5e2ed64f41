"""timeoutSec of a BackendConfig."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import BackendConfig

RULE = rule_of_reasons(
    "TIMEOUT_30S",
    title="timeoutSec of a BackendConfig",
    why="The guide leaves it out (trap G8), so GKE's default of 30 s applies, and calls that take longer end in 502 or 504 (failure F8). Kiteway's own timeouts depend on the kind of call; timeoutSec is only an upper limit.",
    reasons=frozenset({"BackendTimeoutDefault"}),
    kinds=(BackendConfig,),
    when_passed="calls may take as long as they need on GKE, too.",
    severity=Severity.WARNING,
)

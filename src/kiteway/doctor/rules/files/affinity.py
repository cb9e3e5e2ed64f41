"""sessionAffinity of a BackendConfig."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import BackendConfig

RULE = rule_of_reasons(
    "AFFINITY",
    title="sessionAffinity of a BackendConfig",
    why="Milvus proxies have no session state that a client would have to return to; with affinity one busy client loads one proxy while the others idle, which is what a Layer-7 balancer is there to prevent (failure F1).",
    reasons=frozenset({"SessionAffinityUneven", "SessionAffinityCookie"}),
    kinds=(BackendConfig,),
    when_passed="requests are spread over all endpoints.",
    severity=Severity.WARNING,
)

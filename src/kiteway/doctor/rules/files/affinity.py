"""sessionAffinity of a BackendConfig."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import BackendConfig

RULE = rule_of_reasons(
    "AFFINITY",
    title="sessionAffinity of a BackendConfig",
    why="Milvus proxies have no session state, so a client need not return to the same one. With affinity one busy client loads one proxy while the others idle; a Layer-7 balancer exists to prevent that (failure F1).",
    reasons=frozenset({"SessionAffinityUneven", "SessionAffinityCookie"}),
    kinds=(BackendConfig,),
    when_passed="requests are spread over all endpoints.",
    severity=Severity.WARNING,
)

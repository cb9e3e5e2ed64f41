"""A health check for Milvus."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Service

RULE = rule_of_reasons(
    "BACKENDCONFIG_MISSING_HC",
    title="A health check for Milvus",
    why="Without one GKE asks the serving port for HTTP2 /, which Milvus does not answer: every endpoint is UNHEALTHY and every call ends in 502 (failure F6). It is why the guide has a BackendConfig at all.",
    reasons=frozenset({"BackendConfigMissingHealthCheck"}),
    kinds=(Service,),
    when_passed="a BackendConfig says how its endpoints are probed.",
    severity=Severity.WARNING,
)

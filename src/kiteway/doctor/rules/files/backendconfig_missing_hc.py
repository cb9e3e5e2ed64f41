"""A health check for Milvus."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import Service

RULE = rule_of_reasons(
    "BACKENDCONFIG_MISSING_HC",
    title="A health check for Milvus",
    why="Without a health check of its own, GKE requests / over HTTP/2 at the serving port, which Milvus does not answer: every endpoint is UNHEALTHY and every call ends in 502 (failure F6). This is why the guide has a BackendConfig.",
    reasons=frozenset({"BackendConfigMissingHealthCheck"}),
    kinds=(Service,),
    when_passed="a BackendConfig configures the health check of its endpoints.",
    severity=Severity.WARNING,
)

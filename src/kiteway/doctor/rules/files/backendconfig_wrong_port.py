"""Port, type and path of the health check."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import BackendConfig

RULE = rule_of_reasons(
    "BACKENDCONFIG_WRONG_PORT",
    title="Port, type and path of the health check",
    why="Milvus's health check is HTTP /healthz on port 9091: with any other check every endpoint is unhealthy (failures F6 and F14). A Milvus whose METRICS_PORT was changed is the exception.",
    reasons=frozenset({"HealthCheckPort", "HealthCheckType", "HealthCheckPath"}),
    kinds=(BackendConfig,),
    when_passed="its health check, if it has one, uses Milvus's port and path.",
    severity=Severity.WARNING,
)

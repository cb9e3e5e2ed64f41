"""A health check that asks whether the process lives."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.doctor.by_diagnostics import rule_of_reasons
from kiteway.resources import BackendConfig

RULE = rule_of_reasons(
    "HEALTHCHECK_LIVENESS",
    title="/livez in a health check",
    why="From 2.6 on Milvus answers /livez with 200 as long as its process runs, also while the proxy starts, stops or has "
    "lost its coordinator (internal/http/healthz/livez_handler.go, milvus#45443). It is for a livenessProbe; readiness is "
    "/healthz, in all versions.",
    reasons=frozenset({"HealthCheckLiveness"}),
    kinds=(BackendConfig,),
    when_passed="its health check does not ask for /livez.",
    severity=Severity.WARNING,
)

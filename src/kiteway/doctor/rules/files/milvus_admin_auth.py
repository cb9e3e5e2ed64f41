"""Credentials on the management port."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.manifests import Manifests
from kiteway.doctor.milvus_config import METRICS_PORT
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.resources import BackendConfig

_ADMIN_AUTH = ("common", "security", "adminAuthEnabled")
_METRICS_ONLY = ("common", "security", "managementMetricsOnly")
_OPEN = frozenset({"/healthz", "/livez", "/metrics", "/metrics_default", "/management/check/ready"})
"""The paths that stay open with either setting."""


def _check(manifests: Manifests) -> Iterator[Finding]:
    for config in manifests.milvus:
        closed = next((path for path in (_ADMIN_AUTH, _METRICS_ONLY) if config.flag(*path)), None)
        if closed is None:
            yield passed(
                config.ref,
                f"no health check needs credentials; nor does anything else on {METRICS_PORT}, so let a NetworkPolicy admit the "
                f"balancer and Prometheus alone, and set {'.'.join(_ADMIN_AUTH)} (3.x) or {'.'.join(_METRICS_ONLY)} (2.6).",
            )
            continue
        asked = [
            (object_, check.request_path)
            for object_ in manifests.judged(BackendConfig)
            if (check := object_.spec.health_check) is not None
            and check.port in (None, METRICS_PORT)
            and check.request_path is not None
            and check.request_path.partition("?")[0] not in _OPEN
        ]
        for object_, path in asked:
            yield failed(
                object_.ref,
                f"the check requests {path}, and with {'.'.join(closed)} Milvus answers it with an error, so that every endpoint "
                "is unhealthy.",
                "Set requestPath: /healthz, which stays open.",
                position=object_.at("spec", "healthCheck", "requestPath"),
            )
        if not asked:
            yield passed(config.ref, f"{'.'.join(closed)} is set, and the health check needs no credentials.")


RULE = Rule(
    "MILVUS_ADMIN_AUTH",
    "Credentials on port 9091",
    "Until common.security.adminAuthEnabled (3.x, off by default; internal/http/server.go) is on, everything on 9091 is open. With "
    "it root's Basic credential is asked for everywhere but /healthz, /livez, /metrics and /management/check/ready. 2.6 "
    "has managementMetricsOnly instead, with which 9091 serves those paths alone.",
    Scope.FILES,
    _check,
    Severity.WARNING,
)

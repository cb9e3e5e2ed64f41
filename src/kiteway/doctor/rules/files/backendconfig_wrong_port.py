"""Whether a health check asks Milvus where it answers."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.manifests import Manifests
from kiteway.doctor.milvus_config import METRICS_PORT
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.resources import BackendConfig
from kiteway.resources.kinds.backend_config import HealthCheckConfig, HealthCheckType

_PATH = "/healthz"
_FIX = f"Set type: HTTP, port: {METRICS_PORT}, requestPath: {_PATH}."


def _check(manifests: Manifests) -> Iterator[Finding]:
    for config in manifests.of(BackendConfig):
        check = config.spec.health_check
        if check is None:
            continue
        wrong = _wrong(check)
        if wrong:
            at = config.at("spec", "healthCheck")
            yield failed(config.ref, f"spec.healthCheck: {wrong}", _FIX, position=at)
        else:
            yield passed(config.ref, f"the health check is HTTP {_PATH} on port {METRICS_PORT}.")


def _wrong(check: HealthCheckConfig) -> str:
    if check.port != METRICS_PORT:
        port = check.port or "the serving port"
        return f"asks {port}, but Milvus answers health checks on port {METRICS_PORT} only."
    if check.type is not HealthCheckType.HTTP:
        spoken = check.type or "the protocol of the serving port"
        return f"speaks {spoken} to port {METRICS_PORT}, where Milvus speaks HTTP."
    if check.request_path != _PATH:
        return f"asks for {check.request_path or '/'}, but Milvus answers {_PATH}."
    return ""


RULE = Rule(
    "BACKENDCONFIG_WRONG_PORT",
    "Port, type and path of the health check",
    "Milvus answers HTTP /healthz on port 9091 and nothing else: any other check takes every endpoint for unhealthy "
    "(failures F6 and F14). A Milvus whose METRICS_PORT was changed is the exception.",
    Scope.FILES,
    _check,
    Severity.WARNING,
)

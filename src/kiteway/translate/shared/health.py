"""Health checks: GKE's defaults for network endpoint groups, then BackendConfig."""

from __future__ import annotations

from kiteway.diagnostics import Severity
from kiteway.model import BackendProtocol, HealthCheck, HealthCheckType
from kiteway.resources import BackendConfig, Service
from kiteway.resources import annotations as keys
from kiteway.resources.kinds.backend_config import HealthCheckConfig
from kiteway.resources.places import Path
from kiteway.resources.schema import Violation
from kiteway.translate.shared.context import Context
from kiteway.translate.shared.limits import LONGEST_PATH

HEALTH_PORT = 9091
HEALTH_PATH = "/healthz"
LIVENESS_PATH = "/livez"
"""Of Milvus 2.6 and later; its handler looks at no component (internal/http/healthz/livez_handler.go)."""

_CHECK: Path = ("spec", "healthCheck")
_CONNECT_ONLY = HealthCheck(type=HealthCheckType.TCP, interval=5, timeout=3)


def health_check_of(
    context: Context, service: Service, protocol: BackendProtocol, config: BackendConfig | None
) -> HealthCheck:
    """Return the check of a port. Its type follows the serving protocol, unless BackendConfig says otherwise."""
    check = config.spec.health_check if config else None
    transparent = _transparent(context, service, configured=check is not None)
    if config is None or check is None:
        if not transparent:
            _explain_missing(context, service, protocol)
        return _CONNECT_ONLY
    found = _merged(context, config, check, protocol)
    _check_port(context, config, found)
    return found


def _merged(
    context: Context, config: BackendConfig, check: HealthCheckConfig, protocol: BackendProtocol
) -> HealthCheck:
    default = HealthCheck(type=HealthCheckType(protocol.value))
    path = check.request_path or default.request_path
    if not path.isprintable() or len(path) > LONGEST_PATH:
        context.error(
            config,
            "HealthCheckPathInvalid",
            f"the path of the check has a control character in it, or more than {LONGEST_PATH} characters.",
            f"Write requestPath: {HEALTH_PATH}.",
            (*_CHECK, "requestPath"),
        )
        path = default.request_path
    interval = check.check_interval_sec or default.interval
    timeout = check.timeout_sec or default.timeout
    if timeout > interval:
        context.error(
            config,
            "HealthCheckTimeout",
            f"a check may take {timeout} s and the next one starts after {interval} s: GKE refuses a timeoutSec above "
            f"checkIntervalSec (each is {default.interval} where it is not set).",
            f"Set timeoutSec to {interval} or less, or checkIntervalSec to {timeout} or more.",
            (*_CHECK, "timeoutSec" if check.timeout_sec else "checkIntervalSec"),
        )
    return HealthCheck(
        type=HealthCheckType(check.type.value) if check.type else default.type,
        port=check.port,
        request_path=path,
        interval=interval,
        timeout=min(timeout, interval),
        healthy_threshold=check.healthy_threshold or default.healthy_threshold,
        unhealthy_threshold=check.unhealthy_threshold or default.unhealthy_threshold,
    )


def _check_port(context: Context, config: BackendConfig, check: HealthCheck) -> None:
    """Report a check that Milvus does not answer: it answers HTTP on 9091, path /healthz."""
    if check.port != HEALTH_PORT:
        asked = f"the port {check.port}" if check.port else "the serving port"
        context.warn(
            config,
            "HealthCheckPort",
            f"the check uses {asked}; Milvus answers health checks on {HEALTH_PORT} only. If there is no answer, every "
            "endpoint is unhealthy, and no call is served.",
            f"Set port: {HEALTH_PORT}, type: HTTP and requestPath: {HEALTH_PATH}.",
            (*_CHECK, "port"),
        )
        return
    if check.type is not HealthCheckType.HTTP:
        context.warn(
            config,
            "HealthCheckType",
            f"the check uses {check.type} on {HEALTH_PORT}, where Milvus serves plain HTTP even with TLS; a check without "
            "type has the protocol of app-protocols.",
            "Set type: HTTP.",
            (*_CHECK, "type"),
        )
    if check.request_path == LIVENESS_PATH:
        context.warn(
            config,
            "HealthCheckLiveness",
            f"the check requests {LIVENESS_PATH}, which Milvus answers with 200 as long as its process runs: an endpoint that "
            "starts, stops or cannot serve stays healthy.",
            f"Set requestPath: {HEALTH_PATH}.",
            (*_CHECK, "requestPath"),
        )
    elif check.request_path != HEALTH_PATH:
        context.warn(
            config,
            "HealthCheckPath",
            f'the check requests "{check.request_path}"; Milvus reports its health at {HEALTH_PATH}. At a path that Milvus does '
            "not answer with 200, every endpoint is unhealthy, and no call is served.",
            f"Set requestPath: {HEALTH_PATH}.",
            (*_CHECK, "requestPath"),
        )


def _explain_missing(context: Context, service: Service, protocol: BackendProtocol) -> None:
    fix = (
        f"Add a BackendConfig with healthCheck type HTTP, port {HEALTH_PORT}, requestPath {HEALTH_PATH}, and annotate "
        "the Service with it."
    )
    path: Path = ("metadata", "annotations")
    if not context.for_gke:
        message = (
            "there is no BackendConfig with a healthCheck: an endpoint is healthy when it accepts connections, also while "
            "Milvus behind it is not ready."
        )
        context.report(service.diagnostic(Severity.NOTE, "BackendConfigMissingHealthCheck", message, fix, path))
        return
    context.warn(
        service,
        "BackendConfigMissingHealthCheck",
        f"there is no BackendConfig with a healthCheck: GKE would request / over {protocol} from the serving port, which "
        "Milvus does not answer, so every endpoint would be UNHEALTHY. Kiteway only connects to the port.",
        fix,
        path,
    )


def _transparent(context: Context, service: Service, *, configured: bool) -> bool:
    """Return whether GKE's agent would answer the checks; it runs on Google's nodes only."""
    text = service.metadata.annotations.get(keys.TRANSPARENT_HEALTH_CHECKER)
    if text is None:
        return False
    path: Path = ("metadata", "annotations", keys.TRANSPARENT_HEALTH_CHECKER)
    enabled = keys.parse_transparent_health_checker(text)
    if isinstance(enabled, Violation):
        context.refuse(service, enabled, path)
        return False
    if enabled and not configured:
        context.warn(
            service,
            "TransparentHealthCheckerUnsupported",
            "the agent that answers on 7877 runs on Google's nodes only; Kiteway connects to the serving port instead.",
            f"Add a BackendConfig with healthCheck type HTTP, port {HEALTH_PORT}, requestPath {HEALTH_PATH}.",
            path,
        )
    return enabled and not configured

"""Services and BackendConfigs -> pools."""

from __future__ import annotations

from dataclasses import dataclass

from kiteway.diagnostics import Severity
from kiteway.model import (
    Affinity,
    AffinityType,
    BackendProtocol,
    HeaderValue,
    HealthCheck,
    HealthCheckType,
    Pool,
    PoolKey,
    UpstreamTLS,
)
from kiteway.resources import BackendConfig, Ingress, Service
from kiteway.resources import annotations as keys
from kiteway.resources.kinds.backend_config import CustomHeadersConfig
from kiteway.resources.kinds.ingress import IngressBackend
from kiteway.resources.kinds.service import ServicePort
from kiteway.resources.schema import Violation
from kiteway.translate.context import Context

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Backend:
    """A pool, and what its BackendConfig says about the routes that lead to it."""

    pool: Pool
    request_headers: tuple[HeaderValue, ...]
    response_headers: tuple[HeaderValue, ...]
    log_sample_rate: float


def backend_of(context: Context, ingress: Ingress, backend: IngressBackend, path: Path) -> Backend | None:
    """Return what a backend of an Ingress means, or None with diagnostics that say why it means nothing."""
    if backend.service is None:
        context.report(
            ingress.diagnostic(
                Severity.ERROR,
                "ResourceBackend",
                "a backend that is not a Service (a bucket, say) exists on GKE only.",
                "Name a Service.",
                path,
            )
        )
        return None
    namespace, name = ingress.ref.namespace, backend.service.name
    service = context.get(Service, namespace, name)
    if service is None:
        context.report(
            ingress.diagnostic(
                Severity.ERROR,
                "ServiceNotFound",
                f"the Service {namespace}/{name} does not exist or has errors of its own.",
                "Create it in the Ingress's namespace, or correct the name.",
                (*path, "service", "name"),
            )
        )
        return None
    wanted = backend.service.port
    port = next(
        (p for p in service.spec.ports if (p.name == wanted.name if wanted.name else p.port == wanted.number)), None
    )
    if port is None:
        known = ", ".join(f"{p.port} ({p.name})" if p.name else str(p.port) for p in service.spec.ports) or "none"
        context.report(
            ingress.diagnostic(
                Severity.ERROR,
                "ServicePortNotFound",
                f"the Service {namespace}/{name} has no port {wanted.name or wanted.number}; it has {known}.",
                "Name one of them.",
                (*path, "service", "port"),
            )
        )
        return None
    return _backend(context, service, port)


def _backend(context: Context, service: Service, port: ServicePort) -> Backend | None:
    protocol = _protocol(context, service, port)
    found, config = _backend_config(context, service, port)
    if protocol is None or not found:
        return None
    _check_neg(context, service)
    key = PoolKey(service.ref.namespace, service.ref.name, port.port)
    spec = config.spec if config else None
    rest_port = _rest_port(context, service)
    pool = Pool(
        key=key,
        protocol=protocol,
        health_check=_health_check(context, service, protocol, config),
        timeout=spec.timeout_sec if spec else None,
        draining=spec.connection_draining.draining_timeout_sec if spec and spec.connection_draining else 0,
        affinity=_affinity(config),
        rest_port=rest_port,
        # Milvus with TLS serves REST on a port of its own only.
        rest=rest_port is not None or not protocol.tls,
        tls=UpstreamTLS(),
        source=service.ref,
    )
    context.pools[key] = pool
    request = spec.custom_request_headers if spec else None
    response = spec.custom_response_headers if spec else None
    logging = spec.logging if spec else None
    rate = 1.0
    if logging is not None:
        rate = (1.0 if logging.sample_rate is None else logging.sample_rate) if logging.enable else 0.0
    return Backend(pool, _headers(request), _headers(response), rate)


def _protocol(context: Context, service: Service, port: ServicePort) -> BackendProtocol | None:
    """``cloud.google.com/app-protocols`` by port *name*; without it plaintext."""
    found = service.metadata.annotations
    key = next((k for k in (keys.APP_PROTOCOLS_ALPHA, keys.APP_PROTOCOLS) if k in found), None)
    if key is None:
        return BackendProtocol.HTTP
    path: Path = ("metadata", "annotations", key)
    protocols = keys.parse_app_protocols(found[key])
    if isinstance(protocols, Violation):
        _refuse(context, service, protocols, path)
        return None
    names = {p.name for p in service.spec.ports}
    for name in protocols:
        if name not in names:
            known = ", ".join(f'"{n}"' for n in sorted(names) if n) or "none has a name"
            context.report(
                service.diagnostic(
                    Severity.WARNING,
                    "AppProtocolPortName",
                    f'no port has the name "{name}", so the entry has no effect: ports are looked up by name only, '
                    "never by number.",
                    f"Use a port's name; this Service has: {known}.",
                    path,
                )
            )
    return BackendProtocol(protocols.get(port.name, keys.AppProtocol.HTTP).value)


def _backend_config(context: Context, service: Service, port: ServicePort) -> tuple[bool, BackendConfig | None]:
    """Return whether the Service's BackendConfig is in order, and the one of the port, if any."""
    found = service.metadata.annotations
    key = next((k for k in (keys.BACKEND_CONFIG, keys.BACKEND_CONFIG_BETA) if k in found), None)
    if key is None:
        return True, None
    path: Path = ("metadata", "annotations", key)
    reference = keys.parse_backend_config_ref(found[key])
    if isinstance(reference, Violation):
        _refuse(context, service, reference, path)
        return False, None
    by_name = reference.ports.get(port.name) if port.name else None
    name = by_name or reference.ports.get(str(port.port)) or reference.default
    if not name:
        return True, None
    config = context.get(BackendConfig, service.ref.namespace, name)
    if config is None:
        context.report(
            service.diagnostic(
                Severity.ERROR,
                "BackendConfigNotFound",
                f"the BackendConfig {service.ref.namespace}/{name} does not exist or has errors of its own.",
                "Create it in the Service's namespace, or correct the annotation.",
                path,
            )
        )
        return False, None
    return True, config


def _check_neg(context: Context, service: Service) -> None:
    value = service.metadata.annotations.get(keys.NEG)
    path: Path = ("metadata", "annotations", keys.NEG)
    neg = keys.parse_neg(value) if value is not None else None
    if isinstance(neg, Violation):
        _refuse(context, service, neg, path)
        return
    if (neg is None or not neg.ingress) and service.spec.type.value == "ClusterIP":
        context.report(
            service.diagnostic(
                Severity.WARNING,
                "ClusterIPWithoutNeg",
                'GKE refuses a Service of type ClusterIP without NEGs (expected "NodePort" or "LoadBalancer" when not '
                "using NEGs). Kiteway reaches endpoints directly all the same.",
                f"""Annotate it: {keys.NEG}: '{{"ingress": true}}'.""",
                path if value is not None else ("spec", "type"),
            )
        )


def _health_check(
    context: Context, service: Service, protocol: BackendProtocol, config: BackendConfig | None
) -> HealthCheck:
    """GKE's NEG defaults, then BackendConfig. The type follows the serving protocol."""
    check = config.spec.health_check if config else None
    if check is None:
        context.report(
            service.diagnostic(
                Severity.WARNING,
                "BackendConfigMissingHealthCheck",
                f"there is no BackendConfig with a healthCheck: GKE would ask the serving port for {protocol} /, which "
                "Milvus does not answer, and take every endpoint for UNHEALTHY. Kiteway only connects to the port.",
                "Add a BackendConfig with healthCheck type HTTP, port 9091, requestPath /healthz, and annotate the "
                "Service with it.",
                ("metadata", "annotations"),
            )
        )
        return HealthCheck(type=HealthCheckType.TCP, interval=5, timeout=3)
    default = HealthCheck(type=HealthCheckType(protocol.value))
    interval = check.check_interval_sec or default.interval
    return HealthCheck(
        type=HealthCheckType(check.type.value) if check.type else default.type,
        port=check.port,
        request_path=check.request_path or default.request_path,
        interval=interval,
        timeout=check.timeout_sec or min(default.timeout, interval),
        healthy_threshold=check.healthy_threshold or default.healthy_threshold,
        unhealthy_threshold=check.unhealthy_threshold or default.unhealthy_threshold,
    )


def _affinity(config: BackendConfig | None) -> Affinity:
    affinity = config.spec.session_affinity if config else None
    if affinity is None:
        return Affinity()
    return Affinity(AffinityType(affinity.affinity_type.value), affinity.affinity_cookie_ttl_sec or 0)


def _rest_port(context: Context, service: Service) -> int | None:
    value = service.metadata.annotations.get(keys.REST_PORT)
    if value is None:
        return None
    path: Path = ("metadata", "annotations", keys.REST_PORT)
    port = keys.parse_port(value)
    if isinstance(port, Violation):
        _refuse(context, service, port, path)
        return None
    found = next((p for p in service.spec.ports if port in {p.port, p.name}), None)
    if found is not None and isinstance(found.target_port, int):
        return found.target_port
    if isinstance(port, int):
        return port
    context.report(
        service.diagnostic(
            Severity.ERROR,
            "RestPortNotFound",
            f'the Service has no port "{port}" with a number as targetPort.',
            "Give the number of Milvus's proxy.http.port.",
            path,
        )
    )
    return None


def _refuse(context: Context, service: Service, violation: Violation, path: Path) -> None:
    context.report(service.diagnostic(violation.severity, violation.reason, violation.message, violation.fix, path))


def _headers(config: CustomHeadersConfig | None) -> tuple[HeaderValue, ...]:
    return tuple(HeaderValue(name.lower(), value) for name, value in config.pairs) if config else ()

"""Services and BackendConfigs -> pools."""

from __future__ import annotations

from kiteway.model import Affinity, AffinityType, Pool, PoolKey
from kiteway.resources import BackendConfig, Service
from kiteway.resources import annotations as keys
from kiteway.resources.kinds.backend_config import BackendConfigSpec, LogConfig
from kiteway.resources.kinds.service import ServicePort, ServiceType
from kiteway.resources.places import Path
from kiteway.resources.schema import Violation
from kiteway.translate.shared.backend_tls import upstream_tls_of
from kiteway.translate.shared.context import Backend, Context
from kiteway.translate.shared.foreign import check_annotations
from kiteway.translate.shared.google import check_backend_config, check_service
from kiteway.translate.shared.headers import custom_headers
from kiteway.translate.shared.health import health_check_of
from kiteway.translate.shared.ports import rest_port_of
from kiteway.translate.shared.protocols import protocol_of

LONGEST_TIMEOUT = 86_400
"""Seconds after which Google has restarted its front ends, which ends every stream."""


def pool_of(context: Context, service: Service, port: ServicePort) -> Backend | None:
    """
    Return what a Service port means, or None where a mistake in the Service's annotations leaves nothing.

    The port is read once, however many paths lead to it.
    """
    key = PoolKey(service.ref.namespace, service.ref.name, port.port)
    if key not in context.backends:
        context.backends[key] = _read(context, service, port, key)
    return context.backends[key]


def _read(context: Context, service: Service, port: ServicePort, key: PoolKey) -> Backend | None:
    protocol = protocol_of(context, service, port)
    found, config = _backend_config(context, service, port)
    _check_reachable(context, service)
    if protocol is None or not found:
        return None
    _check_hedging(context, service)
    check_service(context, service)
    check_annotations(context, service, plaintext_backend=not protocol.tls)
    if config is not None:
        check_backend_config(context, config)
    spec = config.spec if config else BackendConfigSpec()
    rest_port = rest_port_of(context, service, protocol)
    tls = upstream_tls_of(context, service, protocol)
    if tls is None:
        return None
    pool = Pool(
        key=key,
        protocol=protocol,
        health_check=health_check_of(context, service, protocol, config),
        timeout=_timeout(context, service, config),
        draining=_draining(context, service, config),
        affinity=_affinity(context, config),
        rest_port=rest_port,
        # Milvus with TLS serves REST on its own port only.
        rest=rest_port is not None or not protocol.tls,
        tls=tls,
        source=service.ref,
    )
    context.pools[key] = pool
    policy = context.policy_to(service.ref, key)
    if config is None:
        return Backend(pool, (), (), 1.0, policy)
    return Backend(
        pool,
        custom_headers(context, config, spec.custom_request_headers, "customRequestHeaders"),
        custom_headers(context, config, spec.custom_response_headers, "customResponseHeaders"),
        _log_sample_rate(spec.logging),
        policy,
    )


def _backend_config(context: Context, service: Service, port: ServicePort) -> tuple[bool, BackendConfig | None]:
    """Return whether the BackendConfig annotation is valid, and the BackendConfig of the port, if it has one."""
    found = service.metadata.annotations
    key = next((k for k in (keys.BACKEND_CONFIG, keys.BACKEND_CONFIG_BETA) if k in found), None)
    if key is None:
        return True, None
    path: Path = ("metadata", "annotations", key)
    reference = keys.parse_backend_config_ref(found[key])
    if isinstance(reference, Violation):
        context.refuse(service, reference, path)
        return False, None
    known = {p.name for p in service.spec.ports if p.name} | {str(p.port) for p in service.spec.ports}
    for unknown in sorted(set(reference.ports) - known):
        context.warn(
            service,
            "BackendConfigPortUnknown",
            f'the Service has no port "{unknown}", so its BackendConfig has no effect.',
            f"Use one of {', '.join(sorted(known))}, or default.",
            path,
        )
    by_name = reference.ports.get(port.name) if port.name else None
    name = by_name or reference.ports.get(str(port.port)) or reference.default
    if not name:
        return True, None
    config = context.get(BackendConfig, service.ref.namespace, name)
    if config is None:
        message, fix = context.why_missing(BackendConfig, service.ref.namespace, name)
        context.error(
            service, "BackendConfigNotFound", message, fix, path, missing=(BackendConfig, service.ref.namespace, name)
        )
        return False, None
    return True, config


def _check_reachable(context: Context, service: Service) -> None:
    value = service.metadata.annotations.get(keys.NEG)
    path: Path = ("metadata", "annotations", keys.NEG)
    neg = keys.parse_neg(value) if value is not None else None
    if isinstance(neg, Violation):
        context.refuse(service, neg, path)
        return
    if service.spec.type is ServiceType.LOAD_BALANCER:
        context.warn(
            service,
            "ServiceTypeLoadBalancer",
            "a Service of type LoadBalancer has an address of its own, past the Ingress, its certificate and its limits.",
            "Use type ClusterIP once clients have moved.",
            ("spec", "type"),
        )
    if (neg is None or not neg.ingress) and service.spec.type is ServiceType.CLUSTER_IP:
        context.trap(
            service,
            "ClusterIPWithoutNeg",
            'GKE refuses a Service of type ClusterIP without NEGs (expected "NodePort" or "LoadBalancer" when not using '
            "NEGs). Kiteway reaches endpoints directly all the same.",
            f"""Annotate it: {keys.NEG}: '{{"ingress": true}}'.""",
            path if value is not None else ("spec", "type"),
        )


def _timeout(context: Context, service: Service, config: BackendConfig | None) -> int | None:
    seconds = config.spec.timeout_sec if config else None
    if not seconds:
        about, path = _where(service, config)
        context.trap(
            about,
            "BackendTimeoutDefault",
            "there is no timeoutSec: on GKE every call ends after 30 s, streams included. Kiteway has a timeout for each "
            "class of calls.",
            "Set timeoutSec, 3600 for example.",
            path,
        )
        return None
    if config is not None and seconds > LONGEST_TIMEOUT:
        context.trap(
            config,
            "BackendTimeoutLong",
            f"Google restarts its front ends about daily, which ends every stream, so more than {LONGEST_TIMEOUT} s has no effect.",
            f"Set timeoutSec to {LONGEST_TIMEOUT} or less.",
            ("spec", "timeoutSec"),
        )
    return seconds


def _draining(context: Context, service: Service, config: BackendConfig | None) -> int:
    draining = config.spec.connection_draining if config else None
    seconds = draining.draining_timeout_sec if draining else 0
    if seconds == 0:
        about, path = _where(service, config)
        context.trap(
            about,
            "ConnectionDrainingZero",
            "there is no connectionDraining: GKE ends the calls of a removed endpoint at once. Kiteway lets them finish.",
            "Set connectionDraining.drainingTimeoutSec, 60 for example.",
            (*path, "connectionDraining") if draining else path,
        )
    return seconds


def _where(service: Service, config: BackendConfig | None) -> tuple[BackendConfig | Service, Path]:
    if config is None:
        return service, ("metadata", "annotations")
    return config, ("spec",)


def _affinity(context: Context, config: BackendConfig | None) -> Affinity:
    affinity = config.spec.session_affinity if config else None
    if config is None or affinity is None:
        return Affinity()
    kind = AffinityType(affinity.affinity_type.value)
    path: Path = ("spec", "sessionAffinity", "affinityType")
    if kind is AffinityType.CLIENT_IP:
        context.warn(
            config,
            "SessionAffinityUneven",
            "CLIENT_IP sends all calls of one address to one endpoint: with one NAT or one busy client the other endpoints "
            "are idle. Milvus needs no affinity.",
            "Remove sessionAffinity.",
            path,
        )
    if kind is AffinityType.GENERATED_COOKIE:
        context.warn(
            config,
            "SessionAffinityCookie",
            "gRPC clients store no cookies: GENERATED_COOKIE has an effect on REST from browsers only.",
            "Remove sessionAffinity.",
            path,
        )
    return Affinity(kind, (affinity.affinity_cookie_ttl_sec or 0) if kind is AffinityType.GENERATED_COOKIE else 0)


def _check_hedging(context: Context, service: Service) -> None:
    if keys.HEDGING_DELAY in service.metadata.annotations:
        context.warn(
            service,
            "HedgingAnnotation",
            f"{keys.HEDGING_DELAY} has no effect any more.",
            f"Set spec.hedging.delay in a MilvusPolicy with a targetRef to the Service {service.ref.name}, and remove "
            "the annotation.",
            ("metadata", "annotations", keys.HEDGING_DELAY),
        )


def _log_sample_rate(logging: LogConfig | None) -> float:
    """Return the share of calls that are logged: all without the field ``logging``; in the field, ``enable`` defaults to false."""
    if logging is None:
        return 1.0
    if not logging.enable:
        return 0.0
    return 1.0 if logging.sample_rate is None else logging.sample_rate

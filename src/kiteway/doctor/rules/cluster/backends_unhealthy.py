"""The health of the backends as the balancer reports it, and possible causes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from kiteway.diagnostics import ObjectRef
from kiteway.doctor.cluster.events import is_firewall
from kiteway.doctor.cluster.facts import ClusterFacts
from kiteway.doctor.manifests import app_protocol
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.resources import Ingress, Service
from kiteway.resources.annotations import AppProtocol

_SAID = {
    "BackendConfigMissingHealthCheck": "no BackendConfig has a health check for Milvus (BACKENDCONFIG_MISSING_HC)",
    "HealthCheckPort": "the health check uses the wrong port (BACKENDCONFIG_WRONG_PORT)",
    "HealthCheckType": "the health check uses the wrong protocol (BACKENDCONFIG_WRONG_PORT)",
    "HealthCheckPath": "the health check requests the wrong path (BACKENDCONFIG_WRONG_PORT)",
    "BackendConfigNotFound": "the BackendConfig does not exist (BackendConfigExistenceCheck)",
    "AppProtocolPortName": "the balancer uses HTTP/1.1 to the port (APP_PROTOCOL_PORT_NAME)",
}


def _check(facts: ClusterFacts) -> Iterator[Finding]:
    for ingress in facts.ingresses():
        states = _states(facts.backends.get(ingress.ref, ""))
        bad = sorted(name for name, state in states.items() if state == "UNHEALTHY")
        unknown = sorted(name for name, state in states.items() if state not in {"HEALTHY", "UNHEALTHY"})
        if bad:
            causes = list(_causes(facts, ingress))
            yield failed(
                ingress.ref,
                f"UNHEALTHY: {', '.join(bad)}: {'; '.join(causes) or 'nothing in the cluster says why'}.",
                "Correct what these checks name, then wait for the next health check."
                if causes
                else "Look at the firewall: 130.211.0.0/22 and 35.191.0.0/16 must reach ports 19530 and 9091.",
            )
        elif states and not unknown:
            yield passed(ingress.ref, f"all of its {len(states)} backends are HEALTHY.")


def _states(text: str) -> Mapping[str, str]:
    try:
        found: Any = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return {str(name): str(state) for name, state in found.items()} if isinstance(found, dict) else {}


def _causes(facts: ClusterFacts, ingress: Ingress) -> Iterator[str]:
    services = {service.ref: service for owner, service, _ in facts.manifests.backends() if owner.ref == ingress.ref}
    about = {ingress.ref, *services}
    if any(is_firewall(event) for event in facts.events_of(ingress.ref)):
        yield "a firewall rule is missing (FIREWALL_XPN)"
    for reason in sorted({d.reason for d in facts.manifests.diagnostics if d.object in about and d.reason in _SAID}):
        yield _SAID[reason]
    if any(diagnostic.object in services for diagnostic in facts.no_endpoints):
        yield "no endpoint is ready (NO_ENDPOINTS)"
    for service in services.values():
        pods = facts.pods_of(service)
        waiting = [pod.ref.name for pod in pods if not pod.ready]
        if waiting:
            yield f"{len(waiting)} of {len(pods)} Pods are not ready ({', '.join(waiting)})"
    yield from _tls(facts, ingress)
    yield from _probed(facts, services)


def _tls(facts: ClusterFacts, ingress: Ingress) -> Iterator[str]:
    modes = [config.tls_mode or 0 for config in facts.manifests.milvus if not config.problem]
    for owner, service, port in facts.manifests.backends():
        if owner.ref == ingress.ref and modes:
            encrypted = app_protocol(service, port) is not AppProtocol.HTTP
            if encrypted and not any(modes):
                yield "Milvus has no TLS, and the balancer uses TLS (HTTP2_WITHOUT_TLS)"
            if not encrypted and any(modes):
                yield "Milvus has TLS, and the balancer uses plaintext (TLS_WITHOUT_HTTP2)"


def _probed(facts: ClusterFacts, services: Mapping[ObjectRef, Service]) -> Iterator[str]:
    names = {pod.ref for service in services.values() for pod in facts.pods_of(service)}
    for back in facts.backs:
        if back.ref in names and back.healthz is not None and back.healthz.failure is None:
            if back.healthz.status != 200:
                yield f"{back.ref.name} answers /healthz with {back.healthz.status}"
            elif back.tcp is not None and back.tcp.failure is not None:
                yield f"{back.ref.name} is healthy on 9091 and does not serve (HEALTHZ_RACE)"


RULE = Rule(
    "BACKENDS_UNHEALTHY",
    "The health of the balancer's backends",
    "Google's balancer answers 502 for a backend that is UNHEALTHY, and reports only that word "
    "(ingress.kubernetes.io/backends); other objects in the cluster mostly show the cause (failures F6 and F25).",
    Scope.CLUSTER,
    _check,
)

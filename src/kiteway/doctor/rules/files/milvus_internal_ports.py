"""Milvus's internal ports in Services that others can reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kiteway.doctor.manifests import Manifests
from kiteway.doctor.milvus_config import METRICS_PORT, PROXY_PORT
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.resources import Service

_FIXED: dict[int | str, str] = {19529: "proxy.internalPort", 22222: "streamingNode.port"}
_PUBLIC = frozenset({PROXY_PORT, METRICS_PORT, "milvus"})
_DOMAIN = (("proxy", "internalDomain", "grpcPort"), ("proxy", "internalDomain", "httpPort"))
_OPEN_TYPES = frozenset({"LoadBalancer", "NodePort"})


def _check(manifests: Manifests) -> Iterator[Finding]:
    internal = dict(_FIXED)
    for config in manifests.milvus:
        opened = {port: path for path in _DOMAIN if (port := config.port(*path)) is not None}
        internal |= {port: ".".join(path) for port, path in opened.items()}
        for port, path in opened.items():
            yield failed(
                config.ref,
                f"{'.'.join(path)} is {port}: on that port Milvus serves everything without asking for credentials, on all "
                "addresses of the proxy.",
                "Remove the setting; if a control plane of yours needs the port, let a NetworkPolicy admit nothing else to it.",
                position=config.at(*path),
            )
        if not opened:
            yield passed(config.ref, "proxy.internalDomain opens no port.")
    routed = [service for _, service, _ in manifests.backends()]
    for service in manifests.of(Service):
        if not _is_milvus(service, routed):
            continue
        exposed = [
            (number, found)
            for number, each in enumerate(service.spec.ports)
            if service.spec.type in _OPEN_TYPES
            and (found := next((p for p in (each.port, each.target_port) if p in internal), None)) is not None
        ]
        for number, found in exposed:
            yield failed(
                service.ref,
                f"its type is {service.spec.type}, so that port {found} ({internal[found]}), where Milvus's processes trust "
                "each other, can be reached from outside.",
                "Remove the port from the Service.",
                position=service.at("spec", "ports", number),
            )
        if not exposed and any(service.ref == other.ref for other in routed):
            yield passed(service.ref, "it opens no internal port of Milvus.")


def _is_milvus(service: Service, routed: Iterable[Service]) -> bool:
    """Return whether a Service leads to Milvus: as an Ingress does, or by its ports. 22222 alone may be another program's."""
    public = any(each in _PUBLIC for port in service.spec.ports for each in (port.port, port.target_port))
    same = any(
        service.ref == other.ref or (service.spec.selector and service.spec.selector == other.spec.selector)
        for other in routed
    )
    return public or same


RULE = Rule(
    "MILVUS_INTERNAL_PORTS",
    "Milvus's internal ports",
    "Clients need one port, 19530, and the health check 9091. On 19529 proxies trust each other (all versions), on 22222 streaming "
    "nodes do (2.6 and later). proxy.internalDomain.grpcPort and httpPort (3.x, closed by default; "
    "internal/distributed/proxy/internal_domain.go) serve all of Milvus without authentication. Woodpecker, the message queue "
    "from 2.6 on, runs inside the streaming node and needs no port of its own.",
    Scope.FILES,
    _check,
)

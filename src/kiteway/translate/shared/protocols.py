"""The protocol of a Service port."""

from __future__ import annotations

from kiteway.model import BackendProtocol
from kiteway.resources import Service
from kiteway.resources import annotations as keys
from kiteway.resources.kinds.service import ServicePort
from kiteway.resources.places import Path
from kiteway.resources.schema import Violation
from kiteway.translate.shared.context import Context

H2C = "kubernetes.io/h2c"
"""Kubernetes' ``appProtocol`` for HTTP/2 in plaintext."""

_PLAINTEXT = frozenset({H2C, "grpc", "http", "kubernetes.io/grpc"})


def protocol_of(context: Context, service: Service, port: ServicePort) -> BackendProtocol | None:
    """
    Return the protocol of a port, by ``cloud.google.com/app-protocols`` and the port's *name*.

    A value that cannot be read is an error of the whole Service, as on GKE, and gives None. Without the annotation the port
    is plaintext: HTTP/1.1 on GKE, here HTTP/2 as well, which gRPC needs.
    """
    found = service.metadata.annotations
    key = next((k for k in (keys.APP_PROTOCOLS_ALPHA, keys.APP_PROTOCOLS) if k in found), None)
    protocols = keys.parse_app_protocols(found[key]) if key is not None else {}
    path: Path = ("metadata", "annotations", key or keys.APP_PROTOCOLS)
    if isinstance(protocols, Violation):
        context.refuse(service, protocols, path)
        return None
    _check_names(context, service, protocols, path)
    named = protocols.get(port.name) if port.name else None
    if named is None:
        _explain_plaintext(context, service, port)
        return BackendProtocol.HTTP
    protocol = BackendProtocol(named.value)
    if protocol is not BackendProtocol.HTTP2:
        context.trap(
            service,
            "TLSWithoutHTTP2" if protocol.tls else "HTTP1Backend",
            f'{named} means HTTP/1.1 on GKE, which carries no gRPC; Kiteway uses HTTP/2 for the port "{port.name}".',
            "Use HTTP2, which is HTTP/2 over TLS, and turn on TLS in Milvus.",
            path,
        )
    if port.app_protocol == H2C and protocol.tls:
        context.warn(
            service,
            "AppProtocolConflict",
            f"appProtocol says {H2C}, which is plaintext, and the annotation {named}, which is TLS; the annotation wins, "
            "as on GKE.",
            "Remove one of the two.",
            _app_protocol_path(service, port),
        )
    return protocol


def _check_names(context: Context, service: Service, protocols: object, path: Path) -> None:
    if not isinstance(protocols, dict):
        return
    names = {p.name for p in service.spec.ports if p.name}
    for name in protocols:
        if name not in names:
            known = ", ".join(f'"{n}"' for n in sorted(names)) or "none has a name"
            context.warn(
                service,
                "AppProtocolPortName",
                f'no port has the name "{name}", so the entry has no effect: ports are looked up by name only, never '
                "by number.",
                f"Use a port's name; this Service has: {known}.",
                path,
            )


def _explain_plaintext(context: Context, service: Service, port: ServicePort) -> None:
    path = _app_protocol_path(service, port)
    if port.app_protocol == H2C:
        context.trap(
            service,
            "H2CBackend",
            f"{H2C} has an effect here only: GKE has no HTTP/2 in plaintext and uses HTTP/1.1, which carries no gRPC.",
            f"""On GKE turn on TLS in Milvus and annotate the Service: {keys.APP_PROTOCOLS}: '{{"{port.name}":"HTTP2"}}'.""",
            path,
        )
    elif port.app_protocol is not None and port.app_protocol.lower() not in _PLAINTEXT:
        context.warn(
            service,
            "AppProtocolIgnored",
            f'appProtocol "{port.app_protocol}" has no effect, as on GKE; connections to the port are plaintext.',
            f"Use the annotation {keys.APP_PROTOCOLS}.",
            path,
        )
    else:
        context.trap(
            service,
            "AppProtocolMissing",
            f"the protocol of the port {port.name or port.port} is not set: GKE uses HTTP/1.1, which carries no gRPC; Kiteway "
            "uses HTTP/2 in plaintext.",
            f"For plaintext set appProtocol: {H2C}; for TLS annotate the Service: "
            f"""{keys.APP_PROTOCOLS}: '{{"{port.name or "NAME"}":"HTTP2"}}'.""",
            ("spec", "ports", service.spec.ports.index(port)),
        )


def _app_protocol_path(service: Service, port: ServicePort) -> Path:
    return ("spec", "ports", service.spec.ports.index(port), "appProtocol")

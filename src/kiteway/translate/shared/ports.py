"""Milvus's ports: that of REST, and those that are never balanced."""

from __future__ import annotations

from kiteway.model import BackendProtocol
from kiteway.resources import Service
from kiteway.resources import annotations as keys
from kiteway.resources.places import Path
from kiteway.resources.schema import Violation
from kiteway.translate.shared.context import Context

_PATH: Path = ("metadata", "annotations", keys.REST_PORT)
MANAGEMENT_PORTS = frozenset({9091, 19529})
"""Milvus's metrics and management API, and its internal port: never reachable through the balancer."""


def rest_port_of(context: Context, service: Service, protocol: BackendProtocol) -> int | None:
    """Return the container port for REST that the Service names; None means the port of gRPC, or no REST with TLS."""
    value = service.metadata.annotations.get(keys.REST_PORT)
    if value is None:
        if protocol.tls:
            context.warn(
                service,
                "RestPortMissing",
                "Milvus with TLS cannot serve REST on the port of gRPC, and since 2.5 does not start unless REST has "
                "another one; REST calls get an answer that says so.",
                f'Set proxy.http.port in Milvus (8080, say) and annotate the Service: {keys.REST_PORT}: "8080".',
                ("metadata", "annotations"),
            )
        return None
    port = keys.parse_port(value)
    if isinstance(port, Violation):
        context.refuse(service, port, _PATH)
        return None
    found = next((p for p in service.spec.ports if port in {p.port, p.name}), None)
    number = port if isinstance(port, int) else None
    if found is not None and isinstance(found.target_port, int):
        number = found.target_port
    elif found is not None and found.target_port is None:
        number = found.port
    if number is None:
        context.error(
            service,
            "RestPortNotFound",
            f'the Service has no port "{port}" with a number as targetPort.',
            "Give the number of Milvus's proxy.http.port.",
            _PATH,
        )
    elif number in MANAGEMENT_PORTS:
        context.error(
            service,
            "ManagementPort",
            f"the port {number} serves Milvus's metrics and management without a login.",
            "Give the number of Milvus's proxy.http.port.",
            _PATH,
        )
        return None
    return number

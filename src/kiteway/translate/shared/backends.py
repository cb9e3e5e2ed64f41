"""The Service port to which a path leads -> its pool."""

from __future__ import annotations

from kiteway.resources import Service
from kiteway.resources.kinds.service import Protocol, ServicePort, ServiceType
from kiteway.resources.places import Path
from kiteway.translate.shared.context import Backend, Context
from kiteway.translate.shared.pools import pool_of
from kiteway.translate.shared.ports import MANAGEMENT_PORTS


def backend_of(context: Context, name: str, port: str | int, *, at_name: Path, at_port: Path) -> Backend | None:
    """
    Return what a port of a Service means, or None with diagnostics that say why it means nothing.

    Args:
        context: collects the diagnostics.
        name: the Service, in the owner's namespace.
        port: the port's name or number.
        at_name: the owner's field that names the Service.
        at_port: the owner's field that names the port.
    """
    service = _service(context, name, at_name)
    if service is None:
        return None
    found = _port(context, service, port, at_port)
    return pool_of(context, service, found) if found is not None else None


def _service(context: Context, name: str, path: Path) -> Service | None:
    """Return a Service of the owner's own namespace; no owner reaches into another."""
    namespace = context.owner.ref.namespace
    service = context.get(Service, namespace, name)
    if service is None:
        message, fix = context.why_missing(Service, namespace, name)
        context.error(context.owner, "ServiceNotFound", message, fix, path, missing=(Service, namespace, name))
        return None
    if service.spec.type is ServiceType.EXTERNAL_NAME:
        context.error(
            context.owner,
            "ExternalNameService",
            f"the Service {namespace}/{name} is of type ExternalName: it is an alias of a name outside the cluster and has no "
            "endpoints.",
            "Use a Service with endpoints.",
            path,
        )
        return None
    return service


def _port(context: Context, service: Service, wanted: str | int, path: Path) -> ServicePort | None:
    matching = [p for p in service.spec.ports if wanted == (p.name if isinstance(wanted, str) else p.port)]
    port = next((p for p in matching if p.protocol is Protocol.TCP), None)
    if port is None:
        known = ", ".join(f"{p.port} ({p.name})" if p.name else str(p.port) for p in service.spec.ports) or "none"
        other = f" over TCP, only over {matching[0].protocol}" if matching else ""
        context.error(
            context.owner,
            "ServicePortNotFound",
            f"the Service {service.ref.namespace}/{service.ref.name} has no port {wanted}{other}; it has {known}.",
            "Name one of them.",
            path,
        )
        return None
    target = port.target_port if port.target_port is not None else port.port
    if target in MANAGEMENT_PORTS or port.port in MANAGEMENT_PORTS:
        context.error(
            context.owner,
            "ManagementPort",
            f"the port {port.port} leads to Milvus's metrics and management, which have no login.",
            "Name the port of Milvus's API, 19530.",
            path,
        )
        return None
    return port

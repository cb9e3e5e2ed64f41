"""The backend of a path -> the Service port behind it."""

from __future__ import annotations

from kiteway.resources import Service
from kiteway.resources.kinds.ingress import IngressBackend
from kiteway.resources.kinds.service import Protocol, ServicePort, ServiceType
from kiteway.translate.context import Backend, Context, Path
from kiteway.translate.pools import pool_of
from kiteway.translate.ports import MANAGEMENT_PORTS


def backend_of(context: Context, backend: IngressBackend, path: Path) -> Backend | None:
    """Return what a backend of an Ingress means, or None with diagnostics that say why it means nothing."""
    if backend.service is None:
        context.error(
            context.ingress,
            "ResourceBackend",
            "a backend that is not a Service (a bucket, say) exists at Google only.",
            "Name a Service.",
            path,
        )
        return None
    service = _service(context, backend.service.name, (*path, "service", "name"))
    if service is None:
        return None
    port = _port(context, service, backend, (*path, "service", "port"))
    return pool_of(context, service, port) if port is not None else None


def _service(context: Context, name: str, path: Path) -> Service | None:
    """Return a Service of the Ingress's own namespace; no Ingress reaches into another."""
    namespace = context.ingress.ref.namespace
    service = context.get(Service, namespace, name)
    if service is None:
        message, fix = context.why_missing(Service, namespace, name)
        context.error(context.ingress, "ServiceNotFound", message, fix, path)
        return None
    if service.spec.type is ServiceType.EXTERNAL_NAME:
        context.error(
            context.ingress,
            "ExternalNameService",
            f"the Service {namespace}/{name} is of type ExternalName, which has no endpoints: it stands for a name "
            "outside the cluster.",
            "Use a Service with endpoints.",
            path,
        )
        return None
    return service


def _port(context: Context, service: Service, backend: IngressBackend, path: Path) -> ServicePort | None:
    wanted = backend.service.port if backend.service else None
    if wanted is None:
        return None
    matching = [p for p in service.spec.ports if (p.name == wanted.name if wanted.name else p.port == wanted.number)]
    port = next((p for p in matching if p.protocol is Protocol.TCP), None)
    if port is None:
        known = ", ".join(f"{p.port} ({p.name})" if p.name else str(p.port) for p in service.spec.ports) or "none"
        other = f" over TCP, only over {matching[0].protocol}" if matching else ""
        context.error(
            context.ingress,
            "ServicePortNotFound",
            f"the Service {service.ref.namespace}/{service.ref.name} has no port {wanted.name or wanted.number}{other}; "
            f"it has {known}.",
            "Name one of them.",
            path,
        )
        return None
    target = port.target_port if port.target_port is not None else port.port
    if target in MANAGEMENT_PORTS or port.port in MANAGEMENT_PORTS:
        context.error(
            context.ingress,
            "ManagementPort",
            f"the port {port.port} leads to Milvus's metrics and management, which need no login.",
            "Name the port of Milvus's API, 19530.",
            path,
        )
        return None
    return port

"""EndpointSlices -> endpoints. Scale-outs and restarts take this path, which never runs a translation."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping

from kiteway.diagnostics import Diagnostic, ObjectRef, Severity
from kiteway.model import Endpoint, EndpointState, EndpointTable, Pool, PoolKey, ServiceName
from kiteway.resources import EndpointSlice, Object, Service
from kiteway.resources.kinds.endpoint_slice import SERVICE_NAME_LABEL, AddressType
from kiteway.resources.kinds.service import Protocol, ServicePort
from kiteway.translate.shared.ports import MANAGEMENT_PORTS


class Endpoints:
    """
    The endpoints of every Service, from the EndpointSlices and Services of a set of objects.

    The endpoints of a Service are cached while its objects are unchanged.

    Attributes:
        changes: how often they changed.
    """

    def __init__(
        self, objects: Iterable[Object] = (), static: Mapping[ServiceName, tuple[Endpoint, ...]] | None = None
    ) -> None:
        """
        Index ``objects``.

        Args:
            objects: kinds other than Service and EndpointSlice are ignored.
            static: endpoints given by hand (``--endpoint``), which replace those of the slices.
        """
        self.changes = 0
        self._static = dict(static or {})
        self._looked_at: list[Service | EndpointSlice] = []
        self._services: dict[ServiceName, Service] = {}
        self._slices: dict[ServiceName, dict[str, EndpointSlice]] = {}
        self._resolved: dict[ServiceName, dict[PoolKey, tuple[Endpoint, ...]]] = {}
        self.replace(objects)

    def replace(self, objects: Iterable[Object]) -> None:
        """Replace all objects. Each object is compared once; only changed objects cost more than that."""
        concerned = [each for each in objects if isinstance(each, Service | EndpointSlice)]
        if len(concerned) == len(self._looked_at) and all(map(operator.is_, concerned, self._looked_at)):
            return
        self.changes += 1
        self._looked_at = concerned
        services: dict[ServiceName, Service] = {}
        slices: dict[ServiceName, dict[str, EndpointSlice]] = {}
        for object_ in concerned:
            if isinstance(object_, Service):
                services[object_.metadata.namespace, object_.metadata.name] = object_
            elif isinstance(object_, EndpointSlice):
                service = object_.metadata.labels.get(SERVICE_NAME_LABEL)
                if service:
                    # A slice belongs only to a Service in the same namespace.
                    own = slices.setdefault((object_.metadata.namespace, service), {})
                    own[object_.metadata.name] = object_
        self._resolved = {
            name: known
            for name, known in self._resolved.items()
            if _same(self._services.get(name), services.get(name)) and self._slices.get(name) == slices.get(name)
        }
        self._services, self._slices = services, slices

    def update(self, slice_: EndpointSlice) -> ServiceName:
        """Take a new or changed slice; return the Service whose endpoints it changes."""
        self._changed()
        service = (slice_.metadata.namespace, slice_.service_name)
        self._slices.setdefault(service, {})[slice_.metadata.name] = slice_
        self._resolved.pop(service, None)
        return service

    def remove(self, slice_: EndpointSlice) -> ServiceName:
        """Forget a slice; return the Service whose endpoints it changes."""
        self._changed()
        service = (slice_.metadata.namespace, slice_.service_name)
        self._slices.get(service, {}).pop(slice_.metadata.name, None)
        self._resolved.pop(service, None)
        return service

    def set_static(self, static: Mapping[ServiceName, tuple[Endpoint, ...]]) -> None:
        """Replace the endpoints given by hand."""
        if self._static != static:
            self.changes += 1
            self._static = dict(static)

    def _changed(self) -> None:
        self.changes += 1
        self._looked_at = []

    def of(self, key: PoolKey) -> tuple[Endpoint, ...]:
        """Return the endpoints of a pool: the same object while they are unchanged."""
        name = (key.namespace, key.service)
        if name in self._static:
            return self._static[name]
        known = self._resolved.get(name)
        if known is None:
            known = self._resolved[name] = {}
        found = known.get(key)
        if found is None:
            found = known[key] = resolve_endpoints(key, self._services.get(name), self._slices.get(name, {}).values())
        return found

    def table(self, pools: Iterable[Pool]) -> EndpointTable:
        """Return the endpoints of all ``pools``."""
        return {pool.key: self.of(pool.key) for pool in pools}

    def missing(self, pools: Iterable[Pool]) -> list[Diagnostic]:
        """Return a diagnostic for each of ``pools`` that has no endpoint."""
        return [found for pool in pools if not self.of(pool.key) and (found := self.why_none(pool.key)) is not None]

    def too_many(self, key: PoolKey, served: int, most: int) -> Diagnostic | None:
        """Return a diagnostic that says that only ``served`` endpoints of a pool are used; None without its Service."""
        service = self._services.get((key.namespace, key.service))
        if service is None:
            return None
        there = len(self.of(key))
        return service.diagnostic(
            Severity.ERROR,
            "NamespaceLimit",
            f"the port {key.port} has {there} endpoints, and with them the namespace {key.namespace} has more than {most}, which "
            f"it may have; {served} of them are used.",
            "Remove what is not needed, or let the operator of Kiteway raise the limit: --namespace-limit endpoints=NUMBER.",
            ("spec",),
        )

    def too_many_of_all(self, key: PoolKey, served: int, each: int, total: int) -> Diagnostic | None:
        """Return a diagnostic that says that Envoy cannot hold all endpoints of all namespaces; None without its Service."""
        service = self._services.get((key.namespace, key.service))
        if service is None:
            return None
        return service.diagnostic(
            Severity.ERROR,
            "EndpointLimit",
            f"with the files that Envoy may open it can have {total} endpoints of all namespaces, and there are more. So each "
            f"namespace may have {each}; of the {len(self.of(key))} endpoints of the port {key.port}, {served} are used.",
            "Let the operator of Kiteway raise the hard limit of open files: ulimit -Hn, LimitNOFILE= of systemd, or that of the "
            "container runtime.",
            ("spec",),
        )

    def why_none(self, key: PoolKey) -> Diagnostic | None:
        """Return a diagnostic that says why a pool has no endpoint; None if the Service has no such port."""
        name = (key.namespace, key.service)
        service = self._services.get(name)
        port = _port(service, key.port)
        if service is None or port is None:
            return None
        slices = self._slices.get(name, {}).values()
        if not slices:
            why = "no EndpointSlice belongs to the Service"
            fix = "Check that its selector matches the Milvus proxies; on one machine give --endpoint."
            if not service.spec.selector:
                fix = (
                    "The Service has no selector: write an EndpointSlice with the label "
                    f"{SERVICE_NAME_LABEL}: {service.ref.name}; on one machine give --endpoint."
                )
        elif not any((p.name or "") == port.name for s in slices for p in s.ports):
            why = f'no EndpointSlice of the Service has a port named "{port.name}"'
            fix = "Check that targetPort is a port of the Pods."
        else:
            why = f"no endpoint of the port {port.port} is ready"
            fix = "Look at the Milvus proxies: `kubectl describe pod`."
        return service.diagnostic(
            Severity.WARNING, "NoEndpoints", f"{why}: calls are answered with UNAVAILABLE.", fix, ("spec",)
        )


def unknown_services(static: Iterable[ServiceName], objects: Iterable[Object]) -> list[Diagnostic]:
    """Return a warning for each Service that has an endpoint by ``--endpoint`` and is not among ``objects``."""
    wanted = set(static)
    if not wanted:
        return []
    there = {o.ref[1:] for o in objects if isinstance(o, Service)}
    known = ", ".join(
        sorted(name if namespace == "default" else f"{namespace}/{name}" for namespace, name in there)[:5]
    )
    return [
        Diagnostic(
            Severity.WARNING,
            "EndpointUnused",
            f"--endpoint gives an endpoint of the Service {namespace}/{name}, which is not among the manifests: it has no "
            "effect.",
            f"Correct its name, [NAMESPACE/]SERVICE; the manifests have {known or 'no Service'}.",
            ObjectRef("Service", namespace, name),
        )
        for namespace, name in sorted(wanted - there)
    ]


def _same(before: Service | None, now: Service | None) -> bool:
    return before is now or before == now


def resolve_endpoints(key: PoolKey, service: Service | None, slices: Iterable[EndpointSlice]) -> tuple[Endpoint, ...]:
    """
    Return the endpoints of a Service port, sorted, each address once.

    The slices name their ports as the Service does; the numbers in them are those of the pods (a named
    ``targetPort`` is resolved there already). An endpoint that terminates but still serves is
    draining. An endpoint that is neither ready nor draining is left out.
    """
    port = _port(service, key.port)
    if port is None:
        return ()
    found: dict[tuple[str, int], Endpoint] = {}
    for slice_ in slices:
        if slice_.address_type is AddressType.FQDN:
            continue
        number = next((p.port for p in slice_.ports if (p.name or "") == port.name and p.port), None)
        if number is None or number in MANAGEMENT_PORTS:
            continue
        for endpoint in slice_.endpoints:
            state = _state(endpoint.conditions.ready, endpoint.conditions.serving, endpoint.conditions.terminating)
            if state is None:
                continue
            for address in endpoint.addresses[:1]:
                known = found.get((address, number))
                if known is None or known.state is EndpointState.DRAINING:
                    found[address, number] = Endpoint(address, number, zone=endpoint.zone or "", state=state)
    return tuple(sorted(found.values()))


def _state(ready: bool | None, serving: bool | None, terminating: bool | None) -> EndpointState | None:  # noqa: FBT001
    """If absent, ``ready`` is true, ``serving`` equals ``ready``, and ``terminating`` is false (EndpointSlice API)."""
    is_ready = ready is not False
    is_serving = is_ready if serving is None else serving
    if terminating:
        return EndpointState.DRAINING if is_serving else None
    return EndpointState.READY if is_ready else None


def _port(service: Service | None, number: int) -> ServicePort | None:
    if service is None:
        return None
    return next((p for p in service.spec.ports if p.port == number and p.protocol is Protocol.TCP), None)

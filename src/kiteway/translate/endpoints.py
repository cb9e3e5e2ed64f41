"""EndpointSlices -> endpoints. The path of every scale-out and restart: it never runs a translation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kiteway.model import Endpoint, EndpointState, EndpointTable, Pool, PoolKey
from kiteway.resources import EndpointSlice, Object, Service
from kiteway.resources.kinds.endpoint_slice import SERVICE_NAME_LABEL, AddressType
from kiteway.resources.kinds.service import ServicePort

ServiceName = tuple[str, str]
"""Namespace and name."""


class Endpoints:
    """The EndpointSlices and Services of one set of objects, indexed by Service."""

    def __init__(
        self, objects: Iterable[Object], static: Mapping[ServiceName, tuple[Endpoint, ...]] | None = None
    ) -> None:
        """
        Index ``objects``.

        Args:
            objects: kinds other than Service and EndpointSlice are passed over.
            static: endpoints given by hand (``--endpoint``), which take the place of the slices.
        """
        self._static = dict(static or {})
        self._services: dict[ServiceName, Service] = {}
        self._slices: dict[ServiceName, dict[str, EndpointSlice]] = {}
        for object_ in objects:
            if isinstance(object_, Service):
                self._services[object_.ref.namespace, object_.ref.name] = object_
            elif isinstance(object_, EndpointSlice):
                self.update(object_)

    def update(self, slice_: EndpointSlice) -> ServiceName | None:
        """Take a new or changed slice; return the Service whose endpoints it changes."""
        service = _service_of(slice_)
        if service is not None:
            self._slices.setdefault(service, {})[slice_.ref.name] = slice_
        return service

    def remove(self, slice_: EndpointSlice) -> ServiceName | None:
        """Forget a slice; return the Service whose endpoints it changes."""
        service = _service_of(slice_)
        if service is not None:
            self._slices.get(service, {}).pop(slice_.ref.name, None)
        return service

    def set_static(self, static: Mapping[ServiceName, tuple[Endpoint, ...]]) -> set[ServiceName]:
        """Replace the endpoints given by hand; return the Services whose endpoints change."""
        names = self._static.keys() | static.keys()
        changed = {name for name in names if self._static.get(name) != static.get(name)}
        self._static = dict(static)
        return changed

    def of(self, key: PoolKey) -> tuple[Endpoint, ...]:
        """Return the endpoints of a pool."""
        name = (key.namespace, key.service)
        if name in self._static:
            return self._static[name]
        return resolve_endpoints(key, self._services.get(name), self._slices.get(name, {}).values())

    def table(self, pools: Iterable[Pool]) -> EndpointTable:
        """Return the endpoints of all ``pools``."""
        return {pool.key: self.of(pool.key) for pool in pools}


def resolve_endpoints(key: PoolKey, service: Service | None, slices: Iterable[EndpointSlice]) -> tuple[Endpoint, ...]:
    """
    Return the endpoints of a Service port, sorted, each address once.

    The slices name their ports as the Service does; the numbers in them are those of the pods (a named
    ``targetPort`` is resolved there already). What terminates but still serves is draining; what is neither ready
    nor draining is left out.
    """
    port = _port(service, key.port)
    if port is None:
        return ()
    found: dict[tuple[str, int], Endpoint] = {}
    for slice_ in slices:
        if slice_.address_type is AddressType.FQDN:
            continue
        number = next((p.port for p in slice_.ports if (p.name or "") == port.name and p.port), None)
        if number is None:
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
    """Absent conditions mean ready, as ready, and not terminating (EndpointSlice API)."""
    is_ready = ready is not False
    is_serving = is_ready if serving is None else serving
    if terminating:
        return EndpointState.DRAINING if is_serving else None
    return EndpointState.READY if is_ready else None


def _port(service: Service | None, number: int) -> ServicePort | None:
    if service is None:
        return None
    return next((port for port in service.spec.ports if port.port == number), None)


def _service_of(slice_: EndpointSlice) -> ServiceName | None:
    name = slice_.metadata.labels.get(SERVICE_NAME_LABEL)
    return (slice_.ref.namespace, name) if name else None

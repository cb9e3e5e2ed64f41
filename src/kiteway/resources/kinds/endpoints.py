"""Endpoints: the older form of EndpointSlices, still written by hand for a Milvus outside the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from kiteway.diagnostics import Severity
from kiteway.resources.kinds.endpoint_slice import (
    SERVICE_NAME_LABEL,
    AddressType,
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
    ObjectReference,
)
from kiteway.resources.object import Object, ObjectMeta
from kiteway.resources.places import quoted
from kiteway.resources.rules import at_most, dns_subdomain, is_address
from kiteway.resources.schema import REQUIRED, Rule, Violation, described

SKIP_MIRROR_LABEL = "endpointslice.kubernetes.io/skip-mirror"
"""With the value true, Kubernetes makes no EndpointSlices of the Endpoints."""
_LEADER_ANNOTATION = "control-plane.alpha.kubernetes.io/leader"
"""Endpoints with it are a lock, not addresses."""
_MOST = 1000
"""The addresses of a subset that Kubernetes mirrors (its ``mirroring-max-endpoints-per-subset``)."""


def _ip(value: str) -> Violation | None:
    if "%" not in value and is_address(value):
        return None
    return Violation(
        f"must be an IP address, not {quoted(value)}.",
        "Write the address that the name resolves to; on one machine give --endpoint with the name.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointAddress:
    """The address of one backend."""

    SILENT: ClassVar[frozenset[str]] = frozenset({"hostname"})

    ip: str = described("The address.", REQUIRED, _ip)
    node_name: str = described("The node it is on.", "")
    target_ref: ObjectReference | None = described("The Pod.", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSubset:
    """Backends with the same ports."""

    addresses: tuple[EndpointAddress, ...] = described("Those that take new requests.", (), at_most(_MOST))
    not_ready_addresses: tuple[EndpointAddress, ...] = described("Those that take none.", (), at_most(_MOST))
    ports: tuple[EndpointPort, ...] = described("The ports of every address.", (), at_most(100))


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints(Object):
    """Endpoints (v1): read as the EndpointSlices that Kubernetes mirrors them to."""

    KIND: ClassVar[str] = "Endpoints"
    API_VERSIONS: ClassVar[tuple[str, ...]] = ("v1",)
    UNKNOWN_FIELD: ClassVar[Severity] = Severity.WARNING
    NAME_RULE: ClassVar[Rule] = staticmethod(dns_subdomain)

    subsets: tuple[EndpointSubset, ...] = described(
        "The addresses of the Service of the same name, by their ports.", (), at_most(100)
    )

    def slices(self) -> Iterator[EndpointSlice]:
        """Yield the EndpointSlices that Kubernetes mirrors them to: one for each subset and address family."""
        labels, annotations = self.metadata.labels, self.metadata.annotations
        if labels.get(SKIP_MIRROR_LABEL) == "true" or _LEADER_ANNOTATION in annotations:
            return
        for number, subset in enumerate(self.subsets):
            for family, version in ((AddressType.IPV4, 4), (AddressType.IPV6, 6)):
                found = [
                    _endpoint(address, ready=ready)
                    for addresses, ready in ((subset.addresses, True), (subset.not_ready_addresses, False))
                    for address in addresses
                    if is_address(address.ip, version)
                ]
                if found:
                    name = f"{self.metadata.name}-endpoints-{number}-{family.lower()}"
                    yield EndpointSlice(
                        metadata=ObjectMeta(
                            name=name,
                            namespace=self.metadata.namespace,
                            labels={**labels, SERVICE_NAME_LABEL: self.metadata.name},
                            creation_timestamp=self.metadata.creation_timestamp,
                        ),
                        api_version=EndpointSlice.API_VERSIONS[0],
                        source=self.source,
                        address_type=family,
                        endpoints=tuple(found),
                        ports=subset.ports,
                    )


def _endpoint(address: EndpointAddress, *, ready: bool) -> Endpoint:
    return Endpoint(
        addresses=(address.ip,),
        conditions=EndpointConditions(ready=ready),
        node_name=address.node_name,
        target_ref=address.target_ref,
    )

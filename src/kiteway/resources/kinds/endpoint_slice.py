"""EndpointSlice: the addresses behind a Service."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from kiteway.diagnostics import Severity
from kiteway.resources import reasons
from kiteway.resources.kinds.service import Protocol
from kiteway.resources.object import Object
from kiteway.resources.places import quoted
from kiteway.resources.rules import (
    at_least_one,
    at_most,
    dns_label,
    dns_subdomain,
    is_address,
    port_number,
    qualified_name,
)
from kiteway.resources.schema import REQUIRED, Rule, Violation, described

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
"""The label that names the Service an EndpointSlice belongs to."""


class AddressType(enum.StrEnum):
    """The kind of the addresses of an EndpointSlice."""

    IPV4 = "IPv4"
    IPV6 = "IPv6"
    FQDN = "FQDN"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConditions:
    """The state of an endpoint."""

    ready: bool | None = described("Whether it accepts new requests.", None, absent="true")
    serving: bool | None = described("Answers requests, even while terminating.", None, absent="the same as ready")
    terminating: bool | None = described("Whether it is terminating.", None, absent="false")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectReference:
    """An object, such as the Pod behind an endpoint."""

    SILENT: ClassVar[frozenset[str]] = frozenset({"apiVersion", "fieldPath", "resourceVersion"})

    kind: str = described("The kind.", "")
    namespace: str = described("The namespace.", "")
    name: str = described("The name.", "")
    uid: str = described("The identity in the API server.", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One backend: a Pod, usually."""

    SILENT: ClassVar[frozenset[str]] = frozenset({"deprecatedTopology", "hints", "hostname", "topology"})

    addresses: tuple[str, ...] = described(
        "Its addresses; clients use the first.", REQUIRED, at_least_one, at_most(100)
    )
    conditions: EndpointConditions = described("Its state.", EndpointConditions(), absent="ready")
    zone: str = described("The zone it is in.", "")
    node_name: str = described("The node it is on.", "")
    target_ref: ObjectReference | None = described("The Pod.", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointPort:
    """A port of all endpoints of a slice."""

    name: str = described("The port's name in the Service.", "")
    port: int | None = described("The container's port.", None, port_number, absent="every port")
    protocol: Protocol = described("The transport protocol.", Protocol.TCP)
    app_protocol: str | None = described("The application protocol.", None, qualified_name)

    def violations(self) -> Iterator[Violation]:
        """Yield what is wrong with the name of the port."""
        if self.name and (broken := dns_label(self.name)):
            yield Violation(broken.message, broken.fix, broken.reason, ("name",))


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSlice(Object):
    """An EndpointSlice (discovery.k8s.io/v1)."""

    KIND: ClassVar[str] = "EndpointSlice"
    API_VERSIONS: ClassVar[tuple[str, ...]] = ("discovery.k8s.io/v1",)
    UNKNOWN_FIELD: ClassVar[Severity] = Severity.WARNING
    NAME_RULE: ClassVar[Rule] = staticmethod(dns_subdomain)

    address_type: AddressType = described("What the addresses are.")
    endpoints: tuple[Endpoint, ...] = described("The endpoints.", (), at_most(1000))
    ports: tuple[EndpointPort, ...] = described("The ports of every endpoint.", (), at_most(100))

    @property
    def service_name(self) -> str:
        """The Service it belongs to, by its label; empty for a slice of none."""
        return self.metadata.labels.get(SERVICE_NAME_LABEL, "")

    def violations(self) -> Iterator[Violation]:
        """Yield addresses that are not of the slice's type, and ports of the same name."""
        for index, endpoint in enumerate(self.endpoints):
            for nth, address in enumerate(endpoint.addresses):
                if not _is(self.address_type, address):
                    message = f"must be of type {self.address_type}, not {quoted(address)}."
                    yield Violation(message, path=("endpoints", index, "addresses", nth))
        names: set[str] = set()
        for index, port in enumerate(self.ports):
            if port.name in names:
                message = f"must be unique, but {quoted(port.name)} is the name of another port."
                yield Violation(message, "", reasons.FIELD_VALUE_DUPLICATE, ("ports", index, "name"))
            names.add(port.name)


def _is(kind: AddressType, address: str) -> bool:
    if kind is AddressType.FQDN:
        return dns_subdomain(address) is None and not is_address(address)
    # A scope (fe80::1%eth0) means something on one machine only, and Envoy refuses the whole pool for it.
    return "%" not in address and is_address(address, 4 if kind is AddressType.IPV4 else 6)

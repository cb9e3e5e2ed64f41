"""Service: the ports that Ingresses name."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from kiteway.diagnostics import Severity
from kiteway.resources import reasons
from kiteway.resources.object import Object
from kiteway.resources.places import quoted
from kiteway.resources.rules import between, dns_label, is_address, port_name_or_number, port_number, qualified_name
from kiteway.resources.schema import REQUIRED, Rule, Violation, described

HEADLESS = "None"
"""The clusterIP of a Service without one."""


class ServiceType(enum.StrEnum):
    """The type of a Service."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"
    EXTERNAL_NAME = "ExternalName"


class Protocol(enum.StrEnum):
    """A transport protocol."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort:
    """A port of a Service."""

    name: str = described("The name that annotations and EndpointSlices refer to.", "")
    port: int = described("The number that Ingresses refer to.", REQUIRED, port_number)
    target_port: int | str | None = described(
        "The container's port, or its name.", None, port_name_or_number, absent="the same as port"
    )
    protocol: Protocol = described("The transport protocol.", Protocol.TCP)
    app_protocol: str | None = described(
        "The application protocol; kubernetes.io/h2c is gRPC in plaintext. GKE reads cloud.google.com/app-protocols instead.",
        None,
        qualified_name,
    )
    node_port: int = described("The port on every node.", 0, between(0, 65535), support="ignored")

    def violations(self) -> Iterator[Violation]:
        """Yield what is wrong with the name of the port."""
        if self.name and (broken := dns_label(self.name)):
            yield Violation(broken.message, broken.fix, broken.reason, ("name",))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """The specification of a Service."""

    SILENT: ClassVar[frozenset[str]] = frozenset(
        {
            "allocateLoadBalancerNodePorts",
            "clusterIPs",
            "externalIPs",
            "externalTrafficPolicy",
            "healthCheckNodePort",
            "internalTrafficPolicy",
            "ipFamilies",
            "ipFamily",
            "ipFamilyPolicy",
            "loadBalancerClass",
            "loadBalancerIP",
            "loadBalancerSourceRanges",
            "publishNotReadyAddresses",
            "sessionAffinity",
            "sessionAffinityConfig",
            "topologyKeys",
            "trafficDistribution",
        }
    )

    type: ServiceType = described("How it is reached inside the cluster.", ServiceType.CLUSTER_IP)
    cluster_ip: str = described(
        "Its address in the cluster; None for a headless Service.", "", name="clusterIP", support="ignored"
    )
    external_name: str = described("The DNS name of a Service of type ExternalName.", "", support="diagnostic")
    ports: tuple[ServicePort, ...] = described("Its ports.", ())
    selector: Mapping[str, str] = described("The labels of its Pods.", {})

    def violations(self) -> Iterator[Violation]:
        """Yield what the API server refuses in a Service."""
        if self.cluster_ip not in {"", HEADLESS} and not is_address(self.cluster_ip):
            message = f"must be an IP address or None, not {quoted(self.cluster_ip)}."
            yield Violation(message, path=("clusterIP",))
        if not self.ports and self.type is not ServiceType.EXTERNAL_NAME and self.cluster_ip != HEADLESS:
            yield Violation("is required.", "Add ports.", reasons.FIELD_VALUE_REQUIRED, ("ports",))
        names: set[str] = set()
        numbers: set[tuple[Protocol, int]] = set()
        for index, port in enumerate(self.ports):
            if not port.name and len(self.ports) > 1:
                message = "is required in a Service with several ports."
                yield Violation(message, "Add name.", reasons.FIELD_VALUE_REQUIRED, ("ports", index, "name"))
            elif port.name in names:
                message = f"must be unique, but {quoted(port.name)} is the name of another port."
                yield Violation(message, "", reasons.FIELD_VALUE_DUPLICATE, ("ports", index, "name"))
            if (port.protocol, port.port) in numbers:
                message = f"must be unique, but another port has the number {port.port}."
                yield Violation(message, "", reasons.FIELD_VALUE_DUPLICATE, ("ports", index, "port"))
            names.add(port.name)
            numbers.add((port.protocol, port.port))


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Object):
    """A Service (v1)."""

    KIND: ClassVar[str] = "Service"
    API_VERSIONS: ClassVar[tuple[str, ...]] = ("v1",)
    UNKNOWN_FIELD: ClassVar[Severity] = Severity.WARNING
    NAME_RULE: ClassVar[Rule] = staticmethod(dns_label)
    SILENT: ClassVar[frozenset[str]] = frozenset({"status"})

    spec: ServiceSpec = described("The specification.")

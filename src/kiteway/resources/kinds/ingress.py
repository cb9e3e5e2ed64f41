"""Ingress: hosts, paths and the Services behind them."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from kiteway.diagnostics import Severity
from kiteway.resources import reasons
from kiteway.resources.object import Object
from kiteway.resources.places import quoted
from kiteway.resources.rules import at_least_one, dns_label, dns_subdomain, each, host, port_name, port_number
from kiteway.resources.schema import REQUIRED, Rule, Violation, described

_V1BETA1_BACKEND = {
    "serviceName": "Write it as service.name: it is of the removed API version v1beta1.",
    "servicePort": "Write it as service.port.number or service.port.name: it is of the removed API version v1beta1.",
}


class PathType(enum.StrEnum):
    """How a path is matched."""

    EXACT = "Exact"
    PREFIX = "Prefix"
    IMPLEMENTATION_SPECIFIC = "ImplementationSpecific"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceBackendPort:
    """A port of a Service: its name or its number."""

    name: str = described("The port's name in the Service.", "", port_name)
    number: int | None = described("The port's number in the Service (not the container's).", None, port_number)

    def violations(self) -> Iterator[Violation]:
        """Yield a port with both or neither."""
        if self.name and self.number is not None:
            yield Violation("must have name or number, not both.", "Remove one of the two.")
        if not self.name and self.number is None:
            yield Violation("must have name or number.", "Add number.", reasons.FIELD_VALUE_REQUIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressServiceBackend:
    """A port of a Service in the Ingress's namespace."""

    name: str = described("The Service's name.", REQUIRED, dns_label)
    port: ServiceBackendPort = described("The Service's port.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedLocalObjectReference:
    """An object in the Ingress's namespace, such as a storage bucket."""

    api_group: str = described("The API group.", "")
    kind: str = described("The kind.")
    name: str = described("The name.")


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressBackend:
    """The target of requests."""

    RENAMED: ClassVar[Mapping[str, str]] = _V1BETA1_BACKEND

    service: IngressServiceBackend | None = described("A Service.", None)
    resource: TypedLocalObjectReference | None = described("Another object.", None, support="diagnostic")

    def violations(self) -> Iterator[Violation]:
        """Yield a backend with both or neither."""
        if self.service and self.resource:
            yield Violation("must have service or resource, not both.", "Remove resource.")
        if not self.service and not self.resource:
            yield Violation("must have service or resource.", "Add service.", reasons.FIELD_VALUE_REQUIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPIngressPath:
    """A path and where its requests go."""

    path: str = described("The path, compared as pathType says.", "", absent="every path")
    path_type: PathType = described("How the path is matched.")
    backend: IngressBackend = described("The target of requests.")

    def violations(self) -> Iterator[Violation]:
        """Yield what the API server refuses in a path."""
        specific = self.path_type is PathType.IMPLEMENTATION_SPECIFIC
        if not self.path.startswith("/") and (self.path or not specific):
            fix = f"Write {quoted('/' + self.path)}." if self.path else 'Write "/".'
            yield Violation("must be absolute.", fix, path=("path",))
        elif not specific and (wrong := _ambiguous(self.path)):
            yield Violation(f'must not contain "{wrong}".', "Write the path as clients send it.", path=("path",))


def _ambiguous(path: str) -> str:
    for sequence in ("//", "/./", "/../", "%2f", "%2F"):
        if sequence in path:
            return sequence
    return next((ending for ending in ("/..", "/.") if path.endswith(ending)), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPIngressRuleValue:
    """The paths of a host."""

    paths: tuple[HTTPIngressPath, ...] = described("The paths; the longest match wins.", REQUIRED, at_least_one)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressRule:
    """A host and its paths."""

    host: str = described(
        "A DNS name, or a wildcard such as *.example.com; no address and no port.", "", absent="every host"
    )
    http: HTTPIngressRuleValue | None = described("The paths of the host.", None, absent="the default backend")

    def violations(self) -> Iterator[Violation]:
        """Yield what is wrong with the host."""
        if self.host and (broken := host(self.host)):
            yield Violation(broken.message, broken.fix, broken.reason, ("host",))


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressTLS:
    """A certificate."""

    hosts: tuple[str, ...] = described(
        "Names of the certificate. They have no effect, as on GKE: the certificate's own names are matched with SNI.",
        (),
        each(host),
        support="ignored",
    )
    secret_name: str = described("A Secret in the Ingress's namespace with tls.crt and tls.key.", "", dns_subdomain)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressSpec:
    """The specification of an Ingress."""

    RENAMED: ClassVar[Mapping[str, str]] = {
        "backend": "Write it as defaultBackend: it is of the removed API version v1beta1."
    }

    ingress_class_name: str | None = described(
        "The IngressClass. GKE has none and ignores an Ingress that names one.", None, dns_subdomain
    )
    default_backend: IngressBackend | None = described(
        "The target of requests that no rule matches.", None, absent="404, as kube-system/default-http-backend answers"
    )
    rules: tuple[IngressRule, ...] = described("Hosts and paths.", ())
    tls: tuple[IngressTLS, ...] = described(
        "Certificates.", (), absent="no HTTPS, unless annotations name certificates"
    )

    def violations(self) -> Iterator[Violation]:
        """Yield an Ingress without any backend."""
        if not self.rules and self.default_backend is None:
            fix = "Add rules."
            yield Violation("must have defaultBackend or rules.", fix, reasons.FIELD_VALUE_REQUIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingress(Object):
    """An Ingress (networking.k8s.io/v1)."""

    KIND: ClassVar[str] = "Ingress"
    API_VERSIONS: ClassVar[tuple[str, ...]] = ("networking.k8s.io/v1",)
    UNKNOWN_FIELD: ClassVar[Severity] = Severity.WARNING
    NAME_RULE: ClassVar[Rule] = staticmethod(dns_subdomain)
    SILENT: ClassVar[frozenset[str]] = frozenset({"status"})

    spec: IngressSpec = described("The specification.")

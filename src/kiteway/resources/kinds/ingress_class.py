"""IngressClass: which controller an Ingress is for. GKE's own classes have no such object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kiteway.diagnostics import Severity
from kiteway.resources.object import Object
from kiteway.resources.rules import dns_subdomain
from kiteway.resources.schema import Rule, described

DEFAULT_CLASS_ANNOTATION = "ingressclass.kubernetes.io/is-default-class"
"""``true`` makes a class that of every Ingress which names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressClassSpec:
    """The specification of an IngressClass."""

    SILENT: ClassVar[frozenset[str]] = frozenset({"parameters"})

    controller: str = described("The controller that handles the class, such as kiteway.io/ingress-controller.", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressClass(Object):
    """An IngressClass (networking.k8s.io/v1)."""

    KIND: ClassVar[str] = "IngressClass"
    API_VERSIONS: ClassVar[tuple[str, ...]] = ("networking.k8s.io/v1",)
    NAMESPACED: ClassVar[bool] = False
    UNKNOWN_FIELD: ClassVar[Severity] = Severity.WARNING
    NAME_RULE: ClassVar[Rule] = staticmethod(dns_subdomain)

    spec: IngressClassSpec = described("The specification.", IngressClassSpec())

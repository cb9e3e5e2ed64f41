"""ManagedCertificate: a certificate that is issued and renewed by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kiteway.diagnostics import Severity
from kiteway.resources.object import Object
from kiteway.resources.rules import at_least_one, at_most, dns_subdomain, each, managed_domain
from kiteway.resources.schema import REQUIRED, Origin, Rule, described

_ORIGIN = Origin.MANAGED_CERTIFICATE


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedCertificateSpec:
    """The specification of a ManagedCertificate."""

    domains: tuple[str, ...] = described(
        "The names to certify: at most 100, each at most 63 characters, lower case, no wildcard.",
        REQUIRED,
        at_least_one,
        at_most(100),
        each(managed_domain),
        origin=_ORIGIN,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainStatus:
    """The state of one name."""

    domain: str = described("The name.", origin=_ORIGIN)
    status: str = described(
        "Active, Provisioning, FailedNotVisible, FailedCaaChecking, FailedCaaForbidden or FailedRateLimited.",
        "",
        origin=_ORIGIN,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedCertificateStatus:
    """The state of a certificate. The controller writes it, so nothing in it is ever an error."""

    certificate_name: str = described("The certificate's name at Google.", "", origin=_ORIGIN)
    certificate_status: str = described(
        "Provisioning, Active, ProvisioningFailed, ProvisioningFailedPermanently or RenewalFailed.", "", origin=_ORIGIN
    )
    domain_status: tuple[DomainStatus, ...] = described("The state of each name.", (), origin=_ORIGIN)
    expire_time: str = described("When the certificate expires.", "", origin=_ORIGIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedCertificate(Object):
    """A ManagedCertificate (networking.gke.io/v1), named by an Ingress's annotation."""

    KIND: ClassVar[str] = "ManagedCertificate"
    API_VERSIONS: ClassVar[tuple[str, ...]] = ("networking.gke.io/v1",)
    UNKNOWN_FIELD: ClassVar[Severity] = Severity.ERROR
    NAME_RULE: ClassVar[Rule] = staticmethod(dns_subdomain)

    spec: ManagedCertificateSpec = described("The specification.", origin=_ORIGIN)
    status: ManagedCertificateStatus = described(
        "The state of the certificate.", ManagedCertificateStatus(), lenient=True, absent="nothing yet", origin=_ORIGIN
    )

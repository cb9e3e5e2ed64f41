"""Certificates: those of the listeners, and the state of ManagedCertificates."""

from __future__ import annotations

import datetime as dt
import enum

import msgspec

from kiteway.report.problem import ObjectName


class ChainMember(msgspec.Struct, frozen=True, rename="camel"):
    """
    A certificate of a chain.

    Attributes:
        subject: its subject (RFC 4514).
        not_after: when it expires.
    """

    subject: str
    not_after: dt.datetime


class CertificateProblem(msgspec.Struct, frozen=True):
    """
    Why clients refuse a certificate, or some of them do.

    Attributes:
        reason: a stable code.
        message: what is wrong.
        fix: what to do.
    """

    reason: str
    message: str
    fix: str


class CertificateReport(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    A certificate.

    Attributes:
        name: its name in Kiteway, or the file or address it was read from.
        names: its names: subjectAltName, or the common name of a certificate without one.
        not_before: when its validity begins.
        not_after: when it expires.
        days_left: whole days until then; negative afterwards.
        key_type: the type and size of its key.
        issuer: its issuer (RFC 4514).
        self_signed: whether it is its own issuer.
        fingerprint: its SHA-256 in hexadecimal digits.
        chain: the certificates that are sent, the server's first.
        problems: why clients refuse it.
    """

    name: str
    names: tuple[str, ...]
    not_before: dt.datetime
    not_after: dt.datetime
    days_left: int
    key_type: str
    issuer: str
    self_signed: bool
    fingerprint: str
    chain: tuple[ChainMember, ...]
    problems: tuple[CertificateProblem, ...]


class ServedCertificate(CertificateReport, frozen=True, rename="camel", kw_only=True):
    """
    A certificate of a listener.

    Attributes:
        source: KIND NAMESPACE/NAME of the object it comes from; can be empty.
        served_for: the names by which clients get it; `default` stands for clients that name no known host.
        temporary: whether it is self-signed, until the ManagedCertificate is issued.
    """

    source: str
    served_for: tuple[str, ...]
    temporary: bool


class IssuanceStatus(enum.StrEnum):
    """The state of a ManagedCertificate, in GKE's words."""

    ACTIVE = "Active"
    PROVISIONING = "Provisioning"
    PROVISIONING_FAILED = "ProvisioningFailed"
    PROVISIONING_FAILED_PERMANENTLY = "ProvisioningFailedPermanently"
    RENEWAL_FAILED = "RenewalFailed"

    @property
    def failed(self) -> bool:
        """Whether the last attempt failed."""
        return self not in {IssuanceStatus.ACTIVE, IssuanceStatus.PROVISIONING}


class DomainStatus(enum.StrEnum):
    """The state of one name of a ManagedCertificate, in GKE's words."""

    ACTIVE = "Active"
    PROVISIONING = "Provisioning"
    FAILED_NOT_VISIBLE = "FailedNotVisible"
    FAILED_CAA_CHECKING = "FailedCaaChecking"
    FAILED_CAA_FORBIDDEN = "FailedCaaForbidden"
    FAILED_RATE_LIMITED = "FailedRateLimited"

    @property
    def failed(self) -> bool:
        """Whether the last attempt failed for this name."""
        return self not in {DomainStatus.ACTIVE, DomainStatus.PROVISIONING}


class DomainReport(msgspec.Struct, frozen=True):
    """
    A name of a ManagedCertificate.

    Attributes:
        domain: the name.
        status: its state.
        message: why; empty when nothing is wrong.
    """

    domain: str
    status: DomainStatus
    message: str = ""


class ManagedCertificateReport(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """
    A ManagedCertificate.

    Attributes:
        name: NAMESPACE/NAME.
        object: the object.
        certificate_name: the name of the certificate, in GKE's form.
        certificate_status: its state.
        domain_status: the state of each name.
        expire_time: when the issued certificate expires; null without one.
        fingerprint: the SHA-256 of the issued certificate; empty without one.
        message: why there is none, or why it was not renewed; empty when nothing is wrong.
        fix: what to do; can be empty.
        waiting_for: what the attempt in progress waits for; can be empty.
        next_attempt: when a failed issuance is tried again; null when it is not.
    """

    name: str
    object: ObjectName
    certificate_name: str
    certificate_status: IssuanceStatus
    domain_status: tuple[DomainReport, ...]
    expire_time: dt.datetime | None = None
    fingerprint: str = ""
    message: str = ""
    fix: str = ""
    waiting_for: str = ""
    next_attempt: dt.datetime | None = None

"""The status of a ManagedCertificate, in GKE's words and with a reason for people."""

from __future__ import annotations

import datetime as dt

from kiteway.acme.config import AcmeConfig
from kiteway.acme.problems import DOMAIN_KINDS, Kind
from kiteway.acme.schedule import Known, current_failure, due, fits
from kiteway.acme.wanted_certificate import WantedCertificate
from kiteway.report.certificates import DomainReport, DomainStatus, IssuanceStatus, ManagedCertificateReport
from kiteway.report.problem import ObjectName


def managed_report(
    wanted: WantedCertificate, known: Known, config: AcmeConfig, now: dt.datetime, waiting_for: str = ""
) -> ManagedCertificateReport:
    """Report the status of a ManagedCertificate; ``waiting_for`` is what an attempt in progress waits for."""
    failure = current_failure(known)
    message, fix = _explanation(wanted, known, config, now)
    issued = known.issued if known.issued is not None and known.issued.not_after > now else None
    return ManagedCertificateReport(
        name=wanted.key,
        object=ObjectName.of_ref(wanted.ref),
        certificate_name=wanted.google_name(),
        certificate_status=issuance_status(known, now),
        domain_status=tuple(_domain(domain, known, now) for domain in wanted.domains),
        expire_time=issued.not_after if issued else None,
        fingerprint=issued.fingerprint if issued else "",
        message=message,
        fix=fix,
        waiting_for=waiting_for,
        next_attempt=failure.retry_at if failure and wanted.attached and not config.blocked else None,
    )


def issuance_status(known: Known, now: dt.datetime) -> IssuanceStatus:
    """
    Return the status of the whole certificate.

    A name that is not visible yet leaves it Provisioning, as on GKE: nothing is wrong with the certificate.
    """
    failure = current_failure(known)
    if known.issued is not None and fits(known) and known.issued.not_after > now:
        return IssuanceStatus.RENEWAL_FAILED if failure is not None else IssuanceStatus.ACTIVE
    if failure is None or failure.kind is Kind.NOT_VISIBLE:
        return IssuanceStatus.PROVISIONING
    if failure.kind is Kind.REFUSED:
        return IssuanceStatus.PROVISIONING_FAILED_PERMANENTLY
    return IssuanceStatus.PROVISIONING_FAILED


def _domain(domain: str, known: Known, now: dt.datetime) -> DomainReport:
    failure = current_failure(known)
    problem = failure.problems.get(domain) if failure else None
    if problem is not None and problem[0] in DOMAIN_KINDS:
        return DomainReport(domain, DOMAIN_KINDS[problem[0]], problem[1])
    if failure is not None and failure.kind is Kind.RATE_LIMITED:
        return DomainReport(domain, DomainStatus.FAILED_RATE_LIMITED, failure.message)
    covered = known.issued is not None and domain in known.issued_domains and known.issued.not_after > now
    status = DomainStatus.ACTIVE if covered else DomainStatus.PROVISIONING
    return DomainReport(domain, status, problem[1] if problem else "")


def _explanation(wanted: WantedCertificate, known: Known, config: AcmeConfig, now: dt.datetime) -> tuple[str, str]:
    failure = current_failure(known)
    if not wanted.attached:
        return (
            "no Ingress names it, so Kiteway does not order it.",
            f"Annotate the Ingress: networking.gke.io/managed-certificates: {wanted.ref.name}",
        )
    if config.blocked is not None and now >= due(known):
        return config.blocked
    if failure is not None:
        return failure.message, failure.fix
    return "", ""

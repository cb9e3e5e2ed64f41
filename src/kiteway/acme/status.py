"""The status of a ManagedCertificate, in GKE's words and with a reason for people."""

from __future__ import annotations

import datetime as dt
from typing import Any

from kiteway.acme.config import AcmeConfig
from kiteway.acme.problems import DOMAIN_KINDS, Kind
from kiteway.acme.schedule import Known, current_failure, due, fits
from kiteway.acme.wanted_certificate import WantedCertificate


def managed_report(
    wanted: WantedCertificate, known: Known, config: AcmeConfig, now: dt.datetime, waiting_for: str = ""
) -> dict[str, Any]:
    """
    Return a ManagedCertificate's status.

    In addition to GKE's fields it has ``message``, ``fix`` and ``nextAttempt``, which are about the last attempt, and
    ``waitingFor``, which is about the one under way.
    """
    failure = current_failure(known)
    message, fix = _explanation(wanted, known, config, now)
    issued = known.issued if known.issued is not None and known.issued.not_after > now else None
    return {
        "name": wanted.key,
        "certificateName": wanted.google_name(),
        "certificateStatus": certificate_status(known, now),
        "domainStatus": [_domain(domain, known, now) for domain in wanted.domains],
        "expireTime": issued.not_after.isoformat() if issued else "",
        "fingerprint": issued.fingerprint if issued else "",
        "message": message,
        "fix": fix,
        "waitingFor": waiting_for,
        "nextAttempt": failure.retry_at.isoformat() if failure and wanted.attached and not config.blocked else "",
    }


def certificate_status(known: Known, now: dt.datetime) -> str:
    """
    Return ``status.certificateStatus``.

    A name that is not visible yet leaves it Provisioning, as on GKE: nothing is wrong with the certificate.
    """
    failure = current_failure(known)
    if known.issued is not None and fits(known) and known.issued.not_after > now:
        return "RenewalFailed" if failure is not None else "Active"
    if failure is None or failure.kind is Kind.NOT_VISIBLE:
        return "Provisioning"
    return "ProvisioningFailedPermanently" if failure.kind is Kind.REFUSED else "ProvisioningFailed"


def _domain(domain: str, known: Known, now: dt.datetime) -> dict[str, str]:
    failure = current_failure(known)
    problem = failure.problems.get(domain) if failure else None
    if problem is not None and problem[0] in DOMAIN_KINDS:
        return {"domain": domain, "status": str(problem[0]), "message": problem[1]}
    if failure is not None and failure.kind is Kind.RATE_LIMITED:
        return {"domain": domain, "status": str(Kind.RATE_LIMITED), "message": failure.message}
    covered = known.issued is not None and domain in known.issued_domains and known.issued.not_after > now
    return {
        "domain": domain,
        "status": "Active" if covered else "Provisioning",
        "message": problem[1] if problem else "",
    }


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

"""Certificates grow old by themselves, so they are judged apart from the units, which are kept while nothing changes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from kiteway.diagnostics import Diagnostic, ObjectRef, Severity
from kiteway.model import Certificate
from kiteway.resources import Object
from kiteway.translate.context import Index

EXPIRES_SOON = dt.timedelta(days=21)
"""So long before its end a certificate is warned about."""


def judge(certificates: Iterable[Certificate], index: Index, now: dt.datetime) -> list[Diagnostic]:
    """Return what is wrong with the certificates' validity at ``now``."""
    found = []
    for certificate in certificates:
        problem = _problem(certificate, now)
        if problem is not None and certificate.source is not None:
            found.append(_diagnostic(certificate.source, index, *problem))
    return found


def _problem(certificate: Certificate, now: dt.datetime) -> tuple[str, str, str] | None:
    if certificate.not_after <= now:
        return "CertificateExpired", f"the certificate expired on {certificate.not_after:%Y-%m-%d}.", "Replace it."
    if certificate.not_before > now:
        return (
            "CertificateNotYetValid",
            f"the certificate is valid only from {certificate.not_before:%Y-%m-%d %H:%M} UTC.",
            "Check the clock of the machine that made it, and of this one.",
        )
    if certificate.not_after - now <= EXPIRES_SOON:
        days = (certificate.not_after - now).days
        return "CertificateExpiresSoon", f"the certificate expires in {days} days.", "Replace it in time."
    return None


def _diagnostic(source: ObjectRef, index: Index, reason: str, message: str, fix: str) -> Diagnostic:
    object_: Object | None = index.objects.get((source.kind, source.namespace, source.name))
    if object_ is None:
        return Diagnostic(Severity.WARNING, reason, message, fix, source)
    return object_.diagnostic(Severity.WARNING, reason, message, fix, ("data", "tls.crt"))

"""The validity of certificates, which changes with time alone and is therefore no part of the cached units."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from kiteway.certificates.weaknesses import EXPIRES_SOON, Weakness, validity
from kiteway.diagnostics import Diagnostic, ObjectRef, Severity
from kiteway.model import Certificate
from kiteway.resources import ManagedCertificate, Object
from kiteway.translate.shared.context import Index

_EXPIRES_SOON = "CertificateExpiresSoon"


def judge(certificates: Iterable[Certificate], index: Index, now: dt.datetime) -> list[Diagnostic]:
    """Return what is wrong with the certificates' validity at ``now``."""
    found = []
    for certificate in certificates:
        if certificate.not_before <= now < certificate.not_after - EXPIRES_SOON:
            continue
        problem = validity(certificate.not_before, certificate.not_after, now)
        if problem is None or certificate.source is None:
            continue
        if certificate.source.kind == ManagedCertificate.KIND and problem.reason == _EXPIRES_SOON:
            continue  # it is renewed automatically; a failure is in its status
        found.append(_diagnostic(certificate.source, index, problem))
    return found


_PATHS: dict[str, tuple[str | int, ...]] = {ManagedCertificate.KIND: ("spec", "domains")}


def _diagnostic(source: ObjectRef, index: Index, problem: Weakness) -> Diagnostic:
    object_: Object | None = index.objects.get((source.kind, source.namespace, source.name))
    if object_ is None:
        return Diagnostic(Severity.WARNING, problem.reason, problem.message, problem.fix, source)
    return object_.diagnostic(
        Severity.WARNING, problem.reason, problem.message, problem.fix, _PATHS.get(source.kind, ("data", "tls.crt"))
    )

"""Reads the stored records of one certificate."""

from __future__ import annotations

import structlog

from kiteway.acme.context import IssuanceContext
from kiteway.acme.records import Demand, Failure, Issued, Renewal, read
from kiteway.acme.schedule import Known
from kiteway.acme.wanted_certificate import WantedCertificate
from kiteway.certificates.x509 import CertificateError

_log = structlog.get_logger(__name__)


def look(context: IssuanceContext, wanted: WantedCertificate) -> Known:
    """Return what the storage knows of a certificate."""
    folder, storage = wanted.folder(context.config.issuer_key), context.storage
    issued = read(storage, f"{folder}/certificate", Issued)
    certificate = None
    if issued is not None:
        try:
            certificate = issued.certificate(wanted.certificate, wanted.ref)
        except CertificateError as error:
            _log.error("certificate", name=wanted.key, message=f"the stored certificate cannot be served: {error}")
    return Known(
        domains=wanted.domains,
        issued=certificate,
        issued_domains=issued.domains if issued is not None else (),
        issued_at=issued.at if issued is not None else None,
        renewal=read(storage, f"{folder}/renewal", Renewal),
        failure=read(storage, f"{folder}/failure", Failure),
        demanded_at=demand.at if (demand := read(storage, f"{folder}/demand", Demand)) is not None else None,
    )

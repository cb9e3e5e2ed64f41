"""The requests to the CA for one certificate; they block, so they run in a thread."""

from __future__ import annotations

import datetime as dt
import traceback
from collections.abc import Mapping

import structlog

from kiteway.acme.challenges import HTTP_01, TLS_ALPN_01
from kiteway.acme.context import IssuanceContext, StoppedError
from kiteway.acme.issuer import connect, forget_account, issue
from kiteway.acme.look import look
from kiteway.acme.precheck import check_held
from kiteway.acme.problems import AcmeError, Kind
from kiteway.acme.records import Issued, Renewal, read, write
from kiteway.acme.schedule import AskRenewal, Issue, Known, current_failure, decide, failed
from kiteway.acme.storage import LeaseLostError, LockedError
from kiteway.acme.wanted_certificate import WantedCertificate
from kiteway.certificates.x509 import CertificateError
from kiteway.envoy.settings import EnvoySettings
from kiteway.model import Certificate

_log = structlog.get_logger(__name__)

_ASK_AGAIN = dt.timedelta(hours=6)
"""RFC 9773, section 4.3.3: the interval when the CA names none."""


def attempt(
    context: IssuanceContext, wanted: WantedCertificate, settings: EnvoySettings, holders: Mapping[str, str]
) -> None:
    """
    Try once to get a certificate; the result goes into the storage.

    Args:
        context: see `IssuanceContext`.
        wanted: the certificate.
        settings: which challenges can be answered.
        holders: see `precheck.check_held`.

    Raises:
        LockedError: another process works on it.
        LeaseLostError: another process may work on it.
        StoppedError: the process ends.
        OSError: the storage cannot be written.
    """
    folder = wanted.folder(context.config.issuer_key)
    with context.storage.lock(folder) as lease:
        known = look(context, wanted)
        if not isinstance(decide(known, context.now()), Issue):
            return
        try:
            check_held(wanted.domains, wanted.ref.namespace, holders)
            issued = issue(context, folder, wanted.domains, _kinds(known, settings), lease)
            _check(issued.certificate(wanted.certificate, wanted.ref), context.now())
        except (AcmeError, CertificateError) as error:
            problem = error if isinstance(error, AcmeError) else AcmeError(Kind.UNAVAILABLE, error.message, asked=True)
            if problem.kind is Kind.ACCOUNT_GONE:
                forget_account(context)
            write(context.storage, f"{folder}/failure", failed(known, problem, context.now()))
        except (LockedError, LeaseLostError, StoppedError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not become a loop of requests at the CA
            # Not `exception`, which would print local variables, keys among them.
            _log.error("certificate", name=wanted.key, traceback=traceback.format_exc())
            problem = AcmeError(
                Kind.UNAVAILABLE, f"unexpected: {type(error).__name__}; the log says where.", asked=True
            )
            write(context.storage, f"{folder}/failure", failed(known, problem, context.now()))
        else:
            for over in ("failure", "demand"):
                context.storage.delete(f"{folder}/{over}")


def _check(certificate: Certificate, now: dt.datetime) -> None:
    if certificate.not_after <= now:
        raise AcmeError(Kind.UNAVAILABLE, "the CA sent a certificate that has expired already.", asked=True)


def _kinds(known: Known, settings: EnvoySettings) -> tuple[str, ...]:
    """Return HTTP-01, then TLS-ALPN-01; the order alternates with each failure, because one port may be blocked."""
    if settings.http_port is None:
        return (TLS_ALPN_01,)
    failure = current_failure(known)
    kinds = (HTTP_01, TLS_ALPN_01)
    return kinds[::-1] if failure is not None and failure.attempts % 2 else kinds


def ask_renewal(context: IssuanceContext, wanted: WantedCertificate) -> None:
    """
    Ask the CA when it suggests to renew; the answer goes into the storage.

    Raises:
        LockedError, OSError: the storage's.
    """
    folder = wanted.folder(context.config.issuer_key)
    with context.storage.lock(folder):
        if not isinstance(decide(look(context, wanted), context.now()), AskRenewal):
            return
        issued = read(context.storage, f"{folder}/certificate", Issued)
        if issued is None:
            return
        fingerprint = issued.certificate(wanted.certificate, wanted.ref).fingerprint
        try:
            at, again = connect(context).renewal_time(issued.chain)
        except AcmeError:
            at, again = None, context.now() + _ASK_AGAIN
        write(context.storage, f"{folder}/renewal", Renewal(fingerprint, at, again))

"""When to issue, renew or ask the CA: pure functions of records and the clock."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass

from kiteway.acme.problems import AcmeError, Kind
from kiteway.acme.records import Failure, Renewal
from kiteway.model import Certificate

_JITTER = 0.05
"""Share of the lifetime; certificates issued together are not renewed together."""
_SHARE_AT_LEAST = 1 / 200
"""Share of the lifetime: 11 hours of 90 days."""


@dataclass(frozen=True, slots=True)
class Known:
    """
    The records of one certificate.

    Attributes:
        domains: the names that are wanted.
        issued: the newest certificate.
        issued_domains: the names for which this certificate was ordered.
        issued_at: when this certificate was issued.
        renewal: the CA's suggestion when to renew this certificate.
        failure: the last failed attempt since ``issued_at``.
        demanded_at: when a user asked for a new one.
    """

    domains: tuple[str, ...]
    issued: Certificate | None = None
    issued_domains: tuple[str, ...] = ()
    issued_at: dt.datetime | None = None
    renewal: Renewal | None = None
    failure: Failure | None = None
    demanded_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """There is nothing to do before ``until``."""

    until: dt.datetime


@dataclass(frozen=True, slots=True)
class Issue:
    """A certificate is needed now."""


@dataclass(frozen=True, slots=True)
class AskRenewal:
    """The CA is to be asked when it suggests to renew."""


Decision = Wait | Issue | AskRenewal


def decide(known: Known, now: dt.datetime) -> Decision:
    """Return what to do next."""
    wanted = due(known)
    if now >= wanted:
        failure = current_failure(known)
        return (
            Wait(failure.retry_at)
            if failure is not None and now < failure.retry_at and _holds(failure, known)
            else Issue()
        )
    renewal = current_renewal(known)
    if renewal is None or now >= renewal.ask_again:
        return AskRenewal()
    return Wait(min(wanted, renewal.ask_again))


def _holds(failure: Failure, known: Known) -> bool:
    """Return whether to wait after a failure: a later request of a user skips the wait, but not the CA's limits."""
    return known.demanded_at is None or known.demanded_at <= failure.at or failure.kind is Kind.RATE_LIMITED


def due(known: Known) -> dt.datetime:
    """Return when a new certificate is needed: now if there is none for these names, or a user asked for it."""
    if known.issued is None or not fits(known) or known.demanded_at is not None:
        return dt.datetime.min.replace(tzinfo=dt.UTC)
    renewal = current_renewal(known)
    wish = renewal.at if renewal is not None else None
    return _not_at_once(known, min(wish, known.issued.not_after) if wish else at_two_thirds(known.issued))


def fits(known: Known) -> bool:
    """Return whether the present certificate was ordered for the wanted names, in any order."""
    return set(known.issued_domains) == set(known.domains)


def _not_at_once(known: Known, when: dt.datetime) -> dt.datetime:
    """Return ``when``, but no sooner than a minimum share of the lifetime: a CA may always suggest to renew at once."""
    if known.issued is None or known.issued_at is None:
        return when
    return max(when, known.issued_at + (known.issued.not_after - known.issued.not_before) * _SHARE_AT_LEAST)


def at_two_thirds(certificate: Certificate) -> dt.datetime:
    """Return two thirds of the lifetime, plus a jitter computed from the certificate, so that every replica has the same."""
    digest = hashlib.sha256(certificate.fingerprint.encode()).digest()
    jitter = _JITTER * int.from_bytes(digest[:4], "big") / 2**32
    return certificate.not_before + (certificate.not_after - certificate.not_before) * (2 / 3 + jitter)


def current_failure(known: Known) -> Failure | None:
    """Return the last failure if it was for the names wanted now."""
    return known.failure if known.failure is not None and known.failure.domains == known.domains else None


def current_renewal(known: Known) -> Renewal | None:
    """Return the CA's suggestion if it is about the present certificate."""
    if known.renewal is None or known.issued is None or known.renewal.fingerprint != known.issued.fingerprint:
        return None
    return known.renewal


_FIRST = {Kind.RATE_LIMITED: 3600.0, Kind.REFUSED: 3600.0}
_LAST = {Kind.RATE_LIMITED: 6 * 3600.0, Kind.REFUSED: 24 * 3600.0, Kind.UNAVAILABLE: 600.0}
_VALIDATED = 60.0
"""Seconds after a validation that failed; Let's Encrypt allows 5 of them an hour for each name."""
_CHEAP = 5.0
"""Seconds after a failure that cost the CA nothing."""
_ATTEMPTS_COUNTED = 20


def failed(known: Known, error: AcmeError, now: dt.datetime) -> Failure:
    """
    Return the record of a failed attempt, with the time of the next: doubling, and never before the CA allows it.

    A name that is not visible yet is looked up again every minute, because that costs only DNS queries.
    """
    before = current_failure(known)
    attempts = (before.attempts if before else 0) + 1
    first = _FIRST.get(error.kind, _VALIDATED if error.asked else _CHEAP)
    last = _LAST.get(error.kind, 3600.0 if error.asked else 60.0)
    delay = min(first * 2 ** min(attempts - 1, _ATTEMPTS_COUNTED), last)
    retry_at = now + dt.timedelta(seconds=delay)
    if error.retry_at is not None:
        # Where the CA states a time in its rate limit, only that time counts; it may also be sooner than the computed one.
        retry_at = error.retry_at if error.kind is Kind.RATE_LIMITED else max(retry_at, error.retry_at)
    return Failure(
        domains=known.domains,
        attempts=attempts,
        kind=error.kind,
        message=error.message,
        fix=error.fix,
        problems={name: (problem.kind, problem.message) for name, problem in error.domains.items()},
        at=now,
        retry_at=max(retry_at, now + dt.timedelta(seconds=1)),
    )

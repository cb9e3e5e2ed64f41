"""Whether the certificate is valid, and for how long."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.certificates.weaknesses import EXPIRES_SOON
from kiteway.diagnostics import Severity
from kiteway.doctor.address import AddressFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped


def _check(facts: AddressFacts) -> Iterator[Finding]:
    chain = facts.tls.chain if facts.tls else ()
    if not chain:
        yield skipped(facts.ref, "no certificate was seen.")
        return
    first = min(chain, key=lambda certificate: certificate.not_after)
    last = max(chain, key=lambda certificate: certificate.not_before)
    if first.not_after <= facts.now:
        yield failed(facts.ref, f"{first.subject} expired on {first.not_after:%Y-%m-%d}.", "Replace the certificate.")
    elif last.not_before > facts.now:
        yield failed(
            facts.ref,
            f"{last.subject} is valid only from {last.not_before:%Y-%m-%d %H:%M} UTC.",
            "Check the clock of the machine that made it, and of this one.",
        )
    elif first.not_after - facts.now <= EXPIRES_SOON:
        days = (first.not_after - facts.now).days
        fix = "Replace the certificate in time."
        yield failed(facts.ref, f"{first.subject} expires in {days} days.", fix, severity=Severity.WARNING)
    else:
        yield passed(facts.ref, f"it is valid until {first.not_after:%Y-%m-%d}.")


RULE = Rule(
    "CERT_VALIDITY",
    "The validity of the certificate that is served",
    "An expired certificate is refused by every client at once; a balancer may serve an old one though the Secret was "
    "replaced long ago.",
    Scope.ADDRESS,
    _check,
)

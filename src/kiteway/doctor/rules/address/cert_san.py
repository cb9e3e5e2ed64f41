"""Whether the certificate has a subjectAltName."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.address import AddressFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped


def _check(facts: AddressFacts) -> Iterator[Finding]:
    chain = facts.tls.chain if facts.tls else ()
    if not chain:
        yield skipped(facts.ref, "no certificate was seen.")
    elif chain[0].names:
        yield passed(facts.ref, f"the subjectAltName has {', '.join(chain[0].names)}.")
    else:
        yield failed(
            facts.ref,
            f"the certificate names {chain[0].common_name or 'nothing'} only as its common name: PyMilvus accepts it, "
            "Go's TLS (the Go SDK) and browsers refuse it.",
            "Create one with a subjectAltName: `kiteway cert create --host NAME`.",
        )


RULE = Rule(
    "CERT_SAN",
    "A subjectAltName in the certificate that is served",
    "The guide's openssl command makes a certificate without one (trap G6); the guide's own verification passes, "
    "clients in other languages fail.",
    Scope.ADDRESS,
    _check,
    Severity.WARNING,
)

"""Port 80 of the address."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.address import AddressFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped


def _check(facts: AddressFacts) -> Iterator[Finding]:
    http = facts.http
    if http is None:
        yield skipped(facts.ref, "port 80 was not checked.")
    elif http.status is None:
        yield passed(facts.ref, "port 80 does not answer.")
    elif http.balancer:
        yield passed(facts.ref, f"port 80 refuses the host: {http.balancer}.")
    elif 300 <= http.status < 400:
        yield passed(facts.ref, f"port 80 redirects ({http.status}).")
    else:
        yield failed(
            facts.ref,
            f"port 80 answers in plaintext with {http.status}.",
            'Annotate the Ingress kubernetes.io/ingress.allow-http: "false", or redirect with a FrontendConfig.',
        )


RULE = Rule(
    "HTTP_80_OPEN",
    "Plain HTTP on port 80",
    "kubernetes.io/ingress.allow-http is true unless it says false (trap G7): a client that leaves out TLS sends its "
    "credentials in plaintext.",
    Scope.ADDRESS,
    _check,
    Severity.WARNING,
)

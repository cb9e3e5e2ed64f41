"""Whether the name resolves."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.address import AddressFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed


def _check(facts: AddressFacts) -> Iterator[Finding]:
    if facts.dns.failure is not None:
        yield failed(
            facts.ref,
            f"{facts.dns.failure.detail}.",
            "Add an A record that points to the load balancer, or give its address and --server-name.",
        )
    else:
        yield passed(facts.ref, f"it resolves to {', '.join((*facts.dns.ipv4, *facts.dns.ipv6))}.")


RULE = Rule(
    "CERT_DNS",
    "The name in DNS",
    "Without an A or AAAA record no client gets there, and a managed certificate stays in FailedNotVisible "
    "(failure F10).",
    Scope.ADDRESS,
    _check,
)

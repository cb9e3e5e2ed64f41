"""Whether the port accepts connections."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.address import AddressFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped


def _check(facts: AddressFacts) -> Iterator[Finding]:
    if facts.tcp is None:
        yield skipped(facts.ref, "the name has no address.")
    elif facts.tcp.failure is not None:
        yield failed(
            facts.ref,
            f"{facts.tcp.failure.detail}.",
            "Check that the balancer runs, the port, and firewalls on the way.",
        )
    else:
        yield passed(facts.ref, f"{facts.tcp.connected} takes connections.")


RULE = Rule(
    "TCP_CONNECT",
    "The port accepts connections",
    "All other checks depend on it. On GKE a new load balancer answers after about six minutes.",
    Scope.ADDRESS,
    _check,
)

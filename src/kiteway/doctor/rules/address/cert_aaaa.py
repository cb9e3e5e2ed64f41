"""Whether every address in the name's DNS records answers."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.address import AddressFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped


def _check(facts: AddressFacts) -> Iterator[Finding]:
    addresses = {*facts.dns.ipv4, *facts.dns.ipv6}
    if not addresses:
        yield skipped(facts.ref, "the name has no address.")
    elif len(facts.unreachable) == len(addresses):
        yield skipped(facts.ref, "no address answers; see TCP_CONNECT.")
    elif facts.unreachable:
        for address, failure in facts.unreachable:
            record = "AAAA" if ":" in address else "A"
            yield failed(
                facts.ref,
                f"the {record} record leads to {address}, where nothing answers: {failure.detail}.",
                f"Remove that {record} record, or make the load balancer answer there.",
            )
    else:
        yield passed(facts.ref, "every address answers.")


RULE = Rule(
    "CERT_AAAA",
    "A and AAAA records",
    "An AAAA record that leads nowhere keeps a managed certificate from being issued, as authorities try IPv6 first, "
    "and makes clients wait (failure F10).",
    Scope.ADDRESS,
    _check,
)

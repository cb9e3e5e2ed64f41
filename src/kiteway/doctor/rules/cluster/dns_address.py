"""Whether the hosts of an Ingress resolve to its address."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.cluster.facts import ClusterFacts
from kiteway.doctor.cluster.names import leads_elsewhere
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped
from kiteway.probe.result import Reason


def _check(facts: ClusterFacts) -> Iterator[Finding]:
    for ingress in facts.ingresses():
        address = facts.addresses.get(ingress.ref)
        for host in dict.fromkeys(rule.host for rule in ingress.spec.rules):
            found = facts.dns.get(host)
            if not address or found is None:
                continue
            elsewhere = leads_elsewhere(found, address)
            if elsewhere:
                yield failed(
                    ingress.ref,
                    f"{host} {elsewhere}.",
                    f"Make one A record for {address}, and no AAAA record; a CDN's proxy in between must be off.",
                )
            elif found.failure is not None and found.failure.reason is not Reason.NAME_NOT_FOUND:
                yield skipped(ingress.ref, f"{found.failure.detail}.")
            else:
                yield passed(ingress.ref, f"{host} leads to {address}.")


RULE = Rule(
    "DNS_ADDRESS",
    "DNS records of an Ingress's hosts",
    "With a wrong record clients reach another server, often the old one, or none, and a CA issues no certificate "
    "(trap G5, failure F10).",
    Scope.CLUSTER,
    _check,
    Severity.WARNING,
)

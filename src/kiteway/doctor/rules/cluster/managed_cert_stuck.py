"""ManagedCertificates that do not become Active."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from kiteway.doctor.cluster.facts import ClusterFacts, minutes
from kiteway.doctor.cluster.names import leads_elsewhere
from kiteway.doctor.managed import fixes, in_words, refused
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped
from kiteway.report.certificates import IssuanceStatus
from kiteway.resources import Ingress, ManagedCertificate
from kiteway.resources import annotations as keys

_PATIENCE = dt.timedelta(hours=1)
"""Google: up to an hour until a certificate is Active."""
_EVENTS = frozenset({"BackendError", "TooManyCertificates"})


def _check(facts: ClusterFacts) -> Iterator[Finding]:
    for managed in facts.manifests.of(ManagedCertificate):
        status, age = managed.status.certificate_status, facts.age(managed.metadata.creation_timestamp)
        domains = refused(managed.status.domain_status)
        if status == IssuanceStatus.ACTIVE and not domains:
            yield passed(managed.ref, "it is Active.")
        elif not domains and "Failed" not in status and age <= _PATIENCE:
            yield skipped(
                managed.ref, f"it is {status or 'without a status'} and {minutes(age)} old; an hour is normal."
            )
        else:
            statuses = list(map(in_words, domains))
            causes = list(_causes(facts, managed))
            yield failed(
                managed.ref,
                f"it is {status or 'without a status'} after {minutes(age)}: {'; '.join([*statuses, *causes]) or 'no reason is given'}.",
                " ".join((*fixes(domains), "Correct these; the CA tries again within an hour."))
                if statuses or causes
                else "Look at its Events, and whether port 80 of the load balancer can be reached from everywhere.",
            )


def _causes(facts: ClusterFacts, managed: ManagedCertificate) -> Iterator[str]:
    ingresses = [ingress for ingress in facts.ingresses() if managed.ref.name in _named(ingress)]
    if not ingresses:
        yield "no Ingress names it"
    for ingress in ingresses:
        address = facts.addresses.get(ingress.ref)
        if not address:
            yield f"{ingress.ref} has no address"
            continue
        if ingress.spec.ingress_class_name and facts.gke:
            yield f"{ingress.ref} is not Google's: it names the class {ingress.spec.ingress_class_name}"
        for domain in managed.spec.domains:
            elsewhere = leads_elsewhere(facts.dns.get(domain), address)
            if elsewhere:
                yield f"{domain} {elsewhere}"
    for event in facts.events_of(managed.ref):
        if event.warning and event.reason in _EVENTS:
            yield f"{event.reason}: {event.message.rstrip('.')}"
            return


def _named(ingress: Ingress) -> tuple[str, ...]:
    names = keys.parse_names(ingress.metadata.annotations.get(keys.MANAGED_CERTIFICATES, ""))
    return names if isinstance(names, tuple) else ()


RULE = Rule(
    "MANAGED_CERT_STUCK",
    "ManagedCertificates that do not become Active",
    "The CA must find the load balancer at every address of the name: an AAAA record to nowhere, a CDN in between, or an "
    "Ingress of another class keeps it in FailedNotVisible (failure F10).",
    Scope.CLUSTER,
    _check,
    needs=frozenset({"Ingress"}),
)

"""Whether Google's controllers report errors."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from kiteway.doctor.cluster.events import is_firewall, is_static_ip
from kiteway.doctor.cluster.facts import ClusterFacts, minutes
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed

_REASONS = frozenset({"Sync", "Translate", "SyncService", "BackendError", "TooManyCertificates", "MissingCertificate"})
"""The reasons of Events from ingress-gce, its NEG controller, and gke-managed-certs."""
_LASTING = dt.timedelta(minutes=20)
"""ingress-gce tries again after at most 1,000 s: an error that is older than this has gone."""


def _check(facts: ClusterFacts) -> Iterator[Finding]:
    seen = set()
    for event in facts.events:
        key = (event.about, event.reason)
        if not event.warning or event.reason not in _REASONS or is_firewall(event) or is_static_ip(event):
            continue
        if key not in seen and facts.age(event.at) <= _LASTING:
            seen.add(key)
            yield failed(
                event.about,
                f"{event.reason}, {minutes(facts.age(event.at))} ago: {event.message.rstrip('.')}.",
                "Correct what it names; until then Google's balancer keeps its old configuration.",
            )
    about = {ref for ref, _ in seen}
    for ingress in facts.ingresses():
        if ingress.ref not in about:
            yield passed(ingress.ref, "no Event of Google's controller reports a failure.")


RULE = Rule(
    "GKE_SYNC",
    "Errors of Google's controllers",
    "GKE refuses an Ingress as a whole and gives the reason only in an Event; the load balancer is unchanged, so a wrong "
    "manifest seems to work.",
    Scope.CLUSTER,
    _check,
    needs=frozenset({"Event"}),
)

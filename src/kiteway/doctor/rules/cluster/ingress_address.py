"""Ingresses that get no address."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from kiteway.doctor.cluster.facts import ClusterFacts, minutes
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped

_PATIENCE = dt.timedelta(minutes=10)
"""GKE needs one minute to make a load balancer; ingress-gce's LIMITATIONS.md adds five or six for its health checks."""


def _check(facts: ClusterFacts) -> Iterator[Finding]:
    for ingress in facts.ingresses():
        age = facts.age(ingress.metadata.creation_timestamp)
        address = facts.addresses.get(ingress.ref)
        if address:
            yield passed(ingress.ref, f"its address is {address}.")
        elif age <= _PATIENCE:
            yield skipped(ingress.ref, f"it has no address yet, but is only {minutes(age)} old.")
        else:
            last = next((event for event in facts.events_of(ingress.ref) if event.warning), None)
            why = f"; the last Event is {last.reason}: {last.message.rstrip('.')}" if last else ""
            yield failed(
                ingress.ref,
                f"it has no address after {minutes(age)}{why}.",
                "Correct what the Event says."
                if last
                else "Check that a controller serves its class: `kubectl describe ingress` shows no Event of one.",
            )


RULE = Rule(
    "INGRESS_ADDRESS",
    "The address of an Ingress",
    "Without an address nothing is served. GKE reports the obstacle in Events, which expire after an hour.",
    Scope.CLUSTER,
    _check,
)

"""Firewall rules that Google's controller may not write."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kiteway.doctor.cluster.events import is_firewall
from kiteway.doctor.cluster.facts import ClusterFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed

_COMMAND = re.compile(r"`(gcloud [^`]+)`")


def _check(facts: ClusterFacts) -> Iterator[Finding]:
    for ingress in facts.ingresses():
        event = next((event for event in facts.events_of(ingress.ref) if is_firewall(event)), None)
        if event is None:
            yield passed(ingress.ref, "no Event asks for a firewall rule.")
            continue
        command = _COMMAND.search(event.message.replace("\\`", "`"))
        yield failed(
            ingress.ref,
            "the network is a Shared VPC, and Google's controller may not write its firewall rule: health checks and "
            "calls do not reach the Pods.",
            f"Ask the administrator of the network to run: {command[1]}."
            if command
            else "Ask the administrator of the network to allow 130.211.0.0/22 and 35.191.0.0/16 to ports 19530 and 9091.",
        )


RULE = Rule(
    "FIREWALL_XPN",
    "Firewall rules in a Shared VPC",
    "In a Shared VPC the rule for 130.211.0.0/22 and 35.191.0.0/16 has to be made by hand; the Event XPN has the command, "
    "and until it is run every endpoint is UNHEALTHY (failure F25).",
    Scope.CLUSTER,
    _check,
    needs=frozenset({"Event"}),
)

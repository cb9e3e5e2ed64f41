"""The reserved address that an Ingress names."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.cluster.events import is_static_ip
from kiteway.doctor.cluster.facts import ClusterFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.printable import suggested
from kiteway.resources import annotations as keys


def _check(facts: ClusterFacts) -> Iterator[Finding]:
    for ingress in facts.ingresses():
        marks = ingress.metadata.annotations
        name = marks.get(keys.GLOBAL_STATIC_IP_NAME) or marks.get(keys.REGIONAL_STATIC_IP_NAME)
        if not name:
            continue
        missing = next((e for e in facts.events_of(ingress.ref) if is_static_ip(e) and f" {name} " in e.message), None)
        if missing is None:
            yield passed(ingress.ref, f"no Event says that the address {name} is missing.")
            continue
        regional = not marks.get(keys.GLOBAL_STATIC_IP_NAME)
        scope = ("--region", "REGION") if regional else ("--global",)
        yield failed(
            ingress.ref,
            f"Google knows no {'regional' if regional else 'global'} address {name}"
            f"{'' if regional else '; a regional one of this name does not count'}.",
            "`gcloud compute addresses list` shows the existing ones; create it: "
            f"{suggested('gcloud', 'compute', 'addresses', 'create', name, *scope)}.",
        )


RULE = Rule(
    "STATIC_IP_FOUND",
    "The reserved address that an Ingress names",
    "A name that is misspelt, in another project, or of a regional address (the default of the console) stops GKE from "
    "building the load balancer at all.",
    Scope.CLUSTER,
    _check,
    needs=frozenset({"Event"}),
)

"""Ingresses of a class that no controller serves."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.cluster.facts import ClusterFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.resources import Ingress
from kiteway.resources import annotations as keys
from kiteway.translate.ingress.classes import CONTROLLER


def _check(facts: ClusterFacts) -> Iterator[Finding]:
    for ingress in facts.ingresses():
        if facts.addresses.get(ingress.ref):
            yield passed(ingress.ref, "it has an address, so a controller serves it.")
            continue
        reason = _unserved(facts, ingress)
        if reason is None:
            yield passed(ingress.ref, "a controller of its class is there.")
        else:
            fix = (
                f"The cluster's classes are: {', '.join(sorted(facts.classes))}."
                if facts.classes
                else "Install a controller."
            )
            yield failed(ingress.ref, f"{reason}, so no controller serves it.", fix)


def _unserved(facts: ClusterFacts, ingress: Ingress) -> str | None:
    """Return why no controller takes an Ingress; None if one does."""
    annotated, named = ingress.metadata.annotations.get(keys.INGRESS_CLASS), ingress.spec.ingress_class_name
    stands_in = CONTROLLER in facts.classes.values()
    if facts.is_googles(ingress):
        return None if facts.gke or stands_in else "it is for Google's controller, and this is no GKE cluster"
    if annotated:
        return None if annotated in facts.classes else f'no controller is known for its class "{annotated}"'
    if named:
        return None if named in facts.classes else f'there is no IngressClass "{named}"'
    return None if stands_in else "it names no class, and this is no GKE cluster"


RULE = Rule(
    "INGRESS_CLASS_SERVED",
    "Who serves an Ingress",
    "An Ingress whose class no controller serves never gets an address, and no Event says why; "
    "ManagedCertificates attached to it end in FailedNotVisible (failure F10).",
    Scope.CLUSTER,
    _check,
    needs=frozenset({"IngressClass"}),
)

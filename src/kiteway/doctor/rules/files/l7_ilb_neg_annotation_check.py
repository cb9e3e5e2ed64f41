"""NEGs on the Services of an internal Ingress."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped
from kiteway.resources import Service
from kiteway.resources import annotations as keys
from kiteway.resources.annotations import Neg


def _has_neg(service: Service) -> bool:
    text = service.metadata.annotations.get(keys.NEG)
    neg = keys.parse_neg(text) if text is not None else None
    return isinstance(neg, Neg) and neg.ingress


def _check(manifests: Manifests) -> Iterator[Finding]:
    for ingress, service, _ in manifests.backends():
        if ingress.metadata.annotations.get(keys.INGRESS_CLASS) != "gce-internal":
            yield skipped(service.ref, f"{ingress.ref} is not of class gce-internal.")
        elif _has_neg(service):
            yield passed(service.ref, f"{ingress.ref} reaches its endpoints by NEGs.")
        else:
            yield failed(
                service.ref,
                f"{ingress.ref} is of class gce-internal, which reaches endpoints by NEGs only, but the Service has none.",
                f"""Annotate the Service: {keys.NEG}: '{{"ingress": true}}'.""",
                position=service.at("metadata", "annotations"),
            )


RULE = Rule(
    "L7ILBNegAnnotationCheck",
    "NEGs on the Services of an Ingress of class gce-internal",
    "Google's internal balancer knows no instance groups: without NEGs GKE builds nothing.",
    Scope.FILES,
    _check,
)

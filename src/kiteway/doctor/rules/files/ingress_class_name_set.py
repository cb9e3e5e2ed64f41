"""An Ingress that GKE would pass over."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.resources import Ingress
from kiteway.resources import annotations as keys
from kiteway.translate.classes import GOOGLE_CLASSES


def _check(manifests: Manifests) -> Iterator[Finding]:
    for ingress in manifests.of(Ingress):
        name = ingress.spec.ingress_class_name
        if name in GOOGLE_CLASSES and keys.INGRESS_CLASS not in ingress.metadata.annotations:
            yield failed(
                ingress.ref,
                f"spec.ingressClassName is {name}, but GKE has no IngressClass objects and passes over the Ingress.",
                f"Remove spec.ingressClassName and annotate {keys.INGRESS_CLASS}: {name}.",
                position=ingress.at("spec", "ingressClassName"),
            )
        else:
            yield passed(ingress.ref, "the controller that it is meant for will see it.")


RULE = Rule(
    "INGRESS_CLASS_NAME_SET",
    "spec.ingressClassName with one of Google's classes",
    "GKE goes by the annotation kubernetes.io/ingress.class: an Ingress that says gce in spec.ingressClassName gets no "
    "load balancer and no event that would say why.",
    Scope.FILES,
    _check,
    Severity.WARNING,
)

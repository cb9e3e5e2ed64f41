"""A FrontendConfig on an internal Ingress."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped
from kiteway.resources import Ingress
from kiteway.resources import annotations as keys


def _check(manifests: Manifests) -> Iterator[Finding]:
    for ingress in manifests.of(Ingress):
        annotations = ingress.metadata.annotations
        if annotations.get(keys.INGRESS_CLASS) != "gce-internal":
            yield skipped(ingress.ref, "it is not of class gce-internal.")
        elif keys.FRONTEND_CONFIG in annotations:
            yield failed(
                ingress.ref,
                "an Ingress of class gce-internal cannot have a FrontendConfig.",
                f"Remove the annotation {keys.FRONTEND_CONFIG}.",
                position=ingress.at("metadata", "annotations", keys.FRONTEND_CONFIG),
            )
        else:
            yield passed(ingress.ref, "it names no FrontendConfig.")


RULE = Rule(
    "L7ILBFrontendConfigCheck",
    "A FrontendConfig on an Ingress of class gce-internal",
    "GKE applies a FrontendConfig to external Ingresses only; the redirect and the SSL policy would be missing.",
    Scope.FILES,
    _check,
)

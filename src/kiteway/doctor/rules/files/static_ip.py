"""A reserved address for an Ingress on GKE."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed, skipped
from kiteway.resources import Ingress
from kiteway.resources import annotations as keys
from kiteway.translate.classes import GOOGLE_CLASSES


def _check(manifests: Manifests) -> Iterator[Finding]:
    for ingress in manifests.of(Ingress):
        annotations = ingress.metadata.annotations
        named = [key for key in (keys.GLOBAL_STATIC_IP_NAME, keys.REGIONAL_STATIC_IP_NAME) if key in annotations]
        class_ = annotations.get(keys.INGRESS_CLASS, "gce" if ingress.spec.ingress_class_name is None else "")
        if len(named) == 2:
            yield failed(
                ingress.ref,
                "it names a global and a regional address; GKE refuses both together.",
                f"Remove {keys.REGIONAL_STATIC_IP_NAME}, unless the class is gce-regional-external.",
                severity=Severity.ERROR,
                position=ingress.at("metadata", "annotations", keys.REGIONAL_STATIC_IP_NAME),
            )
        elif named:
            yield passed(ingress.ref, f"its address is reserved as {annotations[named[0]]}.")
        elif class_ not in GOOGLE_CLASSES:
            yield skipped(ingress.ref, "it is not meant for GKE.")
        else:
            yield failed(
                ingress.ref,
                "it names no reserved address: on GKE its address is known only afterwards and may change, "
                "when TLS is added for example.",
                "Reserve one (gcloud compute addresses create NAME --global) and annotate "
                f"{keys.GLOBAL_STATIC_IP_NAME}: NAME.",
                position=ingress.at("metadata", "annotations"),
            )


RULE = Rule(
    "STATIC_IP",
    "A reserved address",
    "The guide reserves none (trap G5): the DNS record can only be made after the load balancer, and a "
    "Google-managed certificate waits for that record. Of no effect outside GKE.",
    Scope.FILES,
    _check,
    Severity.WARNING,
)

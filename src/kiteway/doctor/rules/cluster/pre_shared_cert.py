"""Certificates that the annotation names and that no longer exist."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import ObjectRef
from kiteway.doctor.cluster.facts import ClusterFacts
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.printable import suggested
from kiteway.resources import annotations as keys

_MADE = "mcrt-"
"""The pattern of the names that gke-managed-certs gives to certificates at Google."""


def _remove(ingress: ObjectRef) -> str:
    return suggested(
        "kubectl", "annotate", "ingress", ingress.name, "-n", ingress.namespace, f"{keys.PRE_SHARED_CERT}-"
    )


def _check(facts: ClusterFacts) -> Iterator[Finding]:
    for ingress in facts.ingresses():
        text = ingress.metadata.annotations.get(keys.PRE_SHARED_CERT, "")
        names = [name for part in text.split(",") if (name := part.strip())]
        if not names:
            continue
        stale = [name for name in names if name.startswith(_MADE) and name not in facts.issued]
        if stale:
            yield failed(
                ingress.ref,
                f"{keys.PRE_SHARED_CERT} names {', '.join(stale)}, which no ManagedCertificate of the namespace has: "
                "Google refuses all certificates of the Ingress when one is gone.",
                f"Remove it from the annotation: {_remove(ingress.ref)}; the controller writes the remaining ones.",
            )
        else:
            yield passed(ingress.ref, "every certificate that the controller has attached exists.")


RULE = Rule(
    "PRE_SHARED_CERT",
    "Certificates that are attached by name",
    "The controller of managed certificates writes ingress.gcp.kubernetes.io/pre-shared-cert; copied into a manifest, it "
    "names a certificate that was deleted, and that breaks the whole Ingress (failure F10).",
    Scope.CLUSTER,
    _check,
    needs=frozenset({"ManagedCertificate"}),
)

"""The number of certificates of an Ingress."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import Severity
from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.resources import Ingress
from kiteway.resources import annotations as keys

_MOST = 10
"""TargetProxyCertLimit of ingress-gce."""


def _check(manifests: Manifests) -> Iterator[Finding]:
    for ingress in manifests.of(Ingress):
        count = len({tls.secret_name for tls in ingress.spec.tls if tls.secret_name})
        for key in (keys.MANAGED_CERTIFICATES, keys.PRE_SHARED_CERT):
            text = ingress.metadata.annotations.get(key, "")
            count += len({name.strip() for name in text.split(",")} - {""})
        if count > _MOST:
            yield failed(
                ingress.ref,
                f"it has {count} certificates; a load balancer at Google takes {_MOST}.",
                "Use one certificate for several names, or several Ingresses.",
                position=ingress.at("spec", "tls"),
            )
        else:
            yield passed(ingress.ref, f"it has {count} of at most {_MOST} certificates.")


RULE = Rule(
    "LIMIT_10_CERTS",
    "The number of certificates",
    "GKE refuses an Ingress with more than ten. Kiteway itself has no such limit.",
    Scope.FILES,
    _check,
    Severity.WARNING,
)

"""A ManagedCertificate that no Ingress names."""

from __future__ import annotations

from collections.abc import Iterator

from kiteway.diagnostics import ObjectRef, Severity
from kiteway.doctor.manifests import Manifests
from kiteway.doctor.rule import Finding, Rule, Scope, failed, passed
from kiteway.resources import Ingress, ManagedCertificate
from kiteway.resources import annotations as keys


def _check(manifests: Manifests) -> Iterator[Finding]:
    attached: set[ObjectRef] = set()
    for ingress in manifests.of(Ingress):
        names = keys.parse_names(ingress.metadata.annotations.get(keys.MANAGED_CERTIFICATES, ""))
        for name in names if isinstance(names, tuple) else ():
            attached.add(ObjectRef("ManagedCertificate", ingress.ref.namespace, name))
    for certificate in manifests.of(ManagedCertificate):
        if certificate.ref in attached:
            yield passed(certificate.ref, "an Ingress names it.")
        else:
            yield failed(
                certificate.ref,
                "no Ingress of its namespace names it, so it stays Provisioning for ever.",
                f"Annotate the Ingress with {keys.MANAGED_CERTIFICATES}: {certificate.ref.name}, and apply both together.",
                position=certificate.at("metadata", "name"),
            )


RULE = Rule(
    "MANAGED_CERT_UNATTACHED",
    "ManagedCertificates that no Ingress names",
    "The guide says to wait for Active before the Ingress is made (trap G4): a deadlock, because the certificate is issued "
    "only once it is attached to a load balancer that DNS points at.",
    Scope.FILES,
    _check,
    Severity.WARNING,
    needs=frozenset({"Ingress"}),
)

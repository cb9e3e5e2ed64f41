"""The certificates an Ingress lists, in its order."""

from __future__ import annotations

import dataclasses

from kiteway.certificates.names import covers
from kiteway.model import Certificate
from kiteway.resources import ManagedCertificate
from kiteway.resources import annotations as keys
from kiteway.resources.kinds.ingress import IngressTLS
from kiteway.resources.places import Path
from kiteway.resources.schema import Violation
from kiteway.translate.ingress.context import IngressContext
from kiteway.translate.shared.limits import MOST_CERTIFICATE_NAMES, MOST_CERTIFICATES
from kiteway.translate.shared.secrets import certificate_of

TARGET_PROXY_CERT_LIMIT = 10
"""The most certificates of one Ingress on GKE (ingress-gce ``TargetProxyCertLimit``)."""

_MANAGED: Path = ("metadata", "annotations", keys.MANAGED_CERTIFICATES)


def certificates_of(context: IngressContext) -> tuple[tuple[Certificate, ...], bool]:
    """Return the certificates that can be served, in their order, and whether the Ingress lists any at all."""
    secrets, wants_secrets = _from_secrets(context)
    managed, wants_managed = _managed(context)
    found = {certificate.name: certificate for certificate in (*secrets, *managed)}
    names = {name for certificate in found.values() for name in certificate.names}
    if len(names) > MOST_CERTIFICATE_NAMES:
        context.warn(
            context.ingress,
            "CertificateNamesTooMany",
            f"the certificates have {len(names)} names; at most {MOST_CERTIFICATE_NAMES} of those without a rule are served.",
            "Add rules for the hosts, or use several Ingresses.",
            ("spec", "tls"),
        )
    if len(found) > TARGET_PROXY_CERT_LIMIT:
        context.trap(
            context.ingress,
            "TargetProxyCertLimit",
            f"there are {len(found)} certificates; GKE refuses more than {TARGET_PROXY_CERT_LIMIT}, Kiteway serves all.",
            "Use certificates with several names, or several Ingresses.",
            ("spec", "tls"),
        )
    return tuple(found.values()), wants_secrets or wants_managed


def _from_secrets(context: IngressContext) -> tuple[list[Certificate], bool]:
    found: list[Certificate] = []
    wanted = False
    entries = context.ingress.spec.tls
    if len(entries) > MOST_CERTIFICATES:
        context.error(
            context.ingress,
            "CertificatesTooMany",
            f"there are {len(entries)} entries; those after the first {MOST_CERTIFICATES} are left out.",
            "Use certificates with several names, or several Ingresses.",
            ("spec", "tls"),
        )
    for index, tls in enumerate(entries[:MOST_CERTIFICATES]):
        if not tls.secret_name:
            context.warn(
                context.ingress,
                "TLSSecretNameMissing",
                "the entry has no secretName, so it gives no certificate.",
                "Name a TLS Secret.",
                ("spec", "tls", index),
            )
            continue
        wanted = True
        certificate = certificate_of(context, tls.secret_name, ("spec", "tls", index, "secretName"))
        if certificate is not None:
            found.append(certificate)
            _check_hosts(context, tls, certificate, ("spec", "tls", index, "hosts"))
    return found, wanted


def _check_hosts(context: IngressContext, tls: IngressTLS, certificate: Certificate, path: Path) -> None:
    """Report hosts that the certificate does not cover: GKE ignores ``hosts``, and the certificate decides."""
    for number, host in enumerate(tls.hosts):
        if not covers(certificate.names, host):
            context.warn(
                context.ingress,
                "TLSHostsIgnored",
                f"hosts has no effect, as on GKE; the certificate is not valid for {host}, only for "
                f"{', '.join(certificate.names) or 'no name'}.",
                "Create a certificate with this name in its subjectAltName, or correct the list.",
                (*path, number),
            )


def _managed(context: IngressContext) -> tuple[list[Certificate], bool]:
    ingress = context.ingress
    names = keys.parse_names(ingress.metadata.annotations.get(keys.MANAGED_CERTIFICATES, ""))
    if isinstance(names, Violation):
        context.refuse(ingress, dataclasses.replace(names, reason="ManagedCertificateNotFound"), _MANAGED)
        return [], True
    if len(names) > MOST_CERTIFICATES:
        context.error(
            ingress,
            "CertificatesTooMany",
            f"there are {len(names)} names; those after the first {MOST_CERTIFICATES} are left out.",
            "Use certificates with several names, or several Ingresses.",
            _MANAGED,
        )
    found = [certificate for name in names[:MOST_CERTIFICATES] if (certificate := _issued(context, name)) is not None]
    return found, bool(names)


def _issued(context: IngressContext, name: str) -> Certificate | None:
    ingress = context.ingress
    namespace = ingress.ref.namespace
    managed = context.get(ManagedCertificate, namespace, name)
    if managed is None:
        message, fix = context.why_missing(ManagedCertificate, namespace, name)
        context.error(
            ingress, "ManagedCertificateNotFound", message, fix, _MANAGED, missing=(ManagedCertificate, namespace, name)
        )
        return None
    _check_domains(context, managed)
    issued = context.options.issued.get(f"{namespace}/{name}")
    if issued is None or issued.temporary:
        instead = (
            "is not served on port 443" if issued is None else "is served with a temporary one that no client trusts"
        )
        context.warn(
            managed,
            "ManagedCertificateProvisioning",
            f"no certificate is issued yet, so {ingress.ref} {instead}. A CA issues one only when the names lead to the "
            "balancer, so do not wait for Active before you create the Ingress.",
            "Create the DNS records and the Ingress now; `kiteway status` shows the progress.",
            ("spec", "domains"),
        )
    return issued


def _check_domains(context: IngressContext, managed: ManagedCertificate) -> None:
    hosts = {rule.host for rule in context.ingress.spec.rules if rule.host}
    for number, domain in enumerate(managed.spec.domains):
        if hosts and not any(covers((host,), domain) for host in hosts):
            context.warn(
                managed,
                "DomainWithoutHost",
                f'no rule of {context.ingress.ref} is for the domain "{domain}".',
                "Correct the domain, or add a rule for it.",
                ("spec", "domains", number),
            )

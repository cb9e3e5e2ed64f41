"""Reads the certificates of CAs from Secrets."""

from __future__ import annotations

from kiteway.certificates.x509 import CertificateError
from kiteway.model import TrustBundle
from kiteway.printable import suggested
from kiteway.resources import Object, Secret
from kiteway.resources.places import Path
from kiteway.translate.shared.context import Context
from kiteway.translate.shared.limits import LONGEST_CA_BUNDLE

CA = "ca.crt"
"""The key of a CA in a Secret, as cert-manager and Kubernetes write it."""


def bundle_of(context: Context, about: Object, name: str, path: Path) -> TrustBundle | None:
    """
    Return the CAs of a Secret in the namespace of ``about``, or None with diagnostics that say why not.

    None is a failure, not a default: if verification was asked for, nothing may be served without it.
    """
    namespace = about.ref.namespace
    secret = context.get(Secret, namespace, name)
    if secret is None:
        context.error(
            about,
            "CASecretNotFound",
            f"the Secret {namespace}/{name}, which should have the CA in {CA}, does not exist or has errors.",
            f"Create it: {suggested('kubectl', 'create', 'secret', 'generic', name, f'--from-file={CA}', '-n', namespace)}.",
            path,
            missing=(Secret, namespace, name),
        )
        return None
    if not secret.values.get(CA):
        context.error(
            secret,
            "CASecretInvalid",
            f"the Secret has no {CA}.",
            f"Put the PEM certificates of the CA into {CA}.",
            ("data",),
        )
        return None
    if len(secret.values[CA]) > LONGEST_CA_BUNDLE:
        context.error(
            secret,
            "CASecretTooLong",
            f"{CA} has {len(secret.values[CA])} bytes; at most {LONGEST_CA_BUNDLE} are taken.",
            "Leave out the CAs that sign no certificate here.",
            secret.where(CA),
        )
        return None
    found = context.bundle(secret)
    if isinstance(found, CertificateError):
        context.error(secret, "CASecretInvalid", found.message, found.fix, secret.where(CA))
        return None
    return found

"""TLS Secrets -> certificates."""

from __future__ import annotations

from kiteway.certificates.x509 import CertificateError, inspect
from kiteway.diagnostics import Severity
from kiteway.model import Certificate, PrivateKey
from kiteway.resources import Object, Secret
from kiteway.translate.context import Context


def certificate_of(context: Context, ingress: Object, name: str, path: tuple[str | int, ...]) -> Certificate | None:
    """
    Return the certificate of a Secret in the Ingress's namespace.

    GKE reads every ``spec.tls[].secretName`` and refuses the Ingress when one is missing or unusable.
    """
    namespace = ingress.ref.namespace
    secret = context.get(Secret, namespace, name)
    if secret is None:
        if not context.unreadable(Secret, namespace, name):
            context.report(
                ingress.diagnostic(
                    Severity.ERROR,
                    "SecretNotFound",
                    f"the TLS Secret {namespace}/{name} does not exist.",
                    f"Create it: `kiteway cert create --host HOST --secret {name} -n {namespace}`, or "
                    f"`kubectl create secret tls {name} --cert=tls.crt --key=tls.key -n {namespace}`.",
                    path,
                )
            )
        else:
            context.report(
                ingress.diagnostic(
                    Severity.ERROR,
                    "SecretInvalid",
                    f"the TLS Secret {namespace}/{name} has errors of its own.",
                    "Correct the Secret.",
                    path,
                )
            )
        return None
    return read_secret(context, secret)


def read_secret(context: Context, secret: Secret) -> Certificate | None:
    """Return the certificate in a Secret, or None with diagnostics that say why not."""
    values = secret.values
    missing = [key for key in ("tls.crt", "tls.key") if not values.get(key)]
    if missing:
        context.report(
            secret.diagnostic(
                Severity.ERROR,
                "SecretInvalid",
                f"the Secret has no {' and no '.join(missing)}.",
                "A TLS Secret holds the certificate chain in tls.crt and its key in tls.key.",
                ("data",),
            )
        )
        return None
    try:
        facts = inspect(bytes(values["tls.crt"]), bytes(values["tls.key"]))
    except CertificateError as error:
        context.report(secret.diagnostic(Severity.ERROR, error.reason, error.message, error.fix, ("data", error.part)))
        return None

    def warn(reason: str, message: str, fix: str) -> None:
        context.report(secret.diagnostic(Severity.WARNING, reason, message, fix, ("data", "tls.crt")))

    if not facts.has_san:
        warn(
            "CertificateWithoutSAN",
            f"the certificate names {', '.join(facts.names) or 'nothing'} only as its common name: PyMilvus accepts it, "
            "the Go and Java SDKs, curl and browsers refuse it.",
            "Create one with a subjectAltName: `kiteway cert create --host NAME`.",
        )
    if facts.reordered:
        warn(
            "CertificateChainOrder",
            "the certificates in tls.crt are not in order, or hold some that do not belong to the chain; they are "
            "served in order.",
            "Put the server's certificate first, each followed by its issuer.",
        )
    return Certificate(
        name=f"{secret.ref.namespace}/{secret.ref.name}",
        chain=facts.chain,
        key=PrivateKey(bytes(values["tls.key"])),
        names=facts.names,
        not_before=facts.not_before,
        not_after=facts.not_after,
        key_type=facts.key_type,
        fingerprint=facts.fingerprint,
        temporary=False,
        source=secret.ref,
    )

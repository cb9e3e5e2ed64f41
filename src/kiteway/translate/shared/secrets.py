"""TLS Secrets -> certificates."""

from __future__ import annotations

from kiteway.certificates.names import is_address, is_server_name
from kiteway.certificates.x509 import CertificateError
from kiteway.model import Certificate
from kiteway.printable import suggested
from kiteway.resources import Secret
from kiteway.resources.kinds.secret import TLS_SECRET
from kiteway.resources.places import Path, quoted
from kiteway.translate.shared.context import Context
from kiteway.translate.shared.limits import LONGEST_CERTIFICATE_CHAIN


def certificate_of(context: Context, name: str, path: Path) -> Certificate | None:
    """
    Return the certificate of a Secret in the owner's namespace, or None with diagnostics that say why not.

    GKE reads every ``spec.tls[].secretName`` and refuses an Ingress when one is missing or unusable.
    """
    namespace = context.owner.ref.namespace
    secret = context.get(Secret, namespace, name)
    if secret is not None:
        return read_secret(context, secret)
    if context.unreadable(Secret, namespace, name):
        message, fix = "has errors of its own.", "Correct the Secret."
        reason = "SecretInvalid"
    else:
        message, reason = "does not exist.", "SecretNotFound"
        fix = (
            f"Create it: {suggested('kiteway', 'cert', 'create', '--host', 'HOST', '--secret', name, '-n', namespace)}, or "
            f"{suggested('kubectl', 'create', 'secret', 'tls', name, '--cert=tls.crt', '--key=tls.key', '-n', namespace)}."
        )
    context.error(
        context.owner,
        reason,
        f"the TLS Secret {namespace}/{name} {message}",
        fix,
        path,
        missing=(Secret, namespace, name),
    )
    return None


def read_secret(context: Context, secret: Secret, *, for_server: bool = True) -> Certificate | None:
    """
    Return the certificate in a Secret, or None with diagnostics that say why not.

    Weaknesses for which clients refuse a certificate are reported only for a server's certificate (``for_server``).
    """
    values = secret.values
    missing = [key for key in ("tls.crt", "tls.key") if not values.get(key)]
    if missing:
        context.error(
            secret,
            "SecretInvalid",
            f"the Secret has no {' and no '.join(missing)}.",
            "Put the certificate chain into tls.crt and its key into tls.key.",
            ("data",),
        )
        return None
    if len(values["tls.crt"]) > LONGEST_CERTIFICATE_CHAIN:
        context.error(
            secret,
            "CertificateTooLong",
            f"tls.crt has {len(values['tls.crt'])} bytes; at most {LONGEST_CERTIFICATE_CHAIN} are served, which is all that TLS "
            "clients take.",
            "Remove what is no part of the chain, or divide the names among several certificates.",
            secret.where("tls.crt"),
        )
        return None
    facts = context.inspected(secret)
    if isinstance(facts, CertificateError):
        context.error(secret, facts.reason, facts.message, facts.fix, secret.where(facts.part))
        return None
    if for_server and secret.type != TLS_SECRET:
        context.note(
            secret,
            "SecretTypeNotTLS",
            f"the Secret is of the type {secret.type or 'Opaque'}, not {TLS_SECRET}; its certificate is served, as on GKE.",
            f"Create it with the type {TLS_SECRET}: the API server then refuses one without tls.crt or tls.key.",
            ("type",),
        )
    for weakness in facts.weaknesses if for_server else ():
        context.warn(secret, weakness.reason, weakness.message, weakness.fix, secret.where("tls.crt"))
    odd = [name for name in facts.names if not is_server_name(name) and not is_address(name)]
    if for_server and odd:
        context.warn(
            secret,
            "CertificateNameUnusable",
            f"the certificate names {quoted(odd[0])}{f' and {len(odd) - 1} more' if len(odd) > 1 else ''}, which no "
            "client can send as SNI; the other names are served.",
            'Use DNS names; a wildcard is the whole first label and only that: "*.example.com".',
            secret.where("tls.crt"),
        )
    return facts.certificate(f"{secret.ref.namespace}/{secret.ref.name}", secret.ref)

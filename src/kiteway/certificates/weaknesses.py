"""Why some clients refuse a certificate that can be served."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from kiteway.certificates.chain import lacks_intermediate
from kiteway.certificates.names import extension

LONGEST_VALIDITY = dt.timedelta(days=825)
"""Clients from Apple refuse a server certificate that is valid for longer."""
EXPIRES_SOON = dt.timedelta(days=21)
"""How long before a certificate's expiry the warning begins."""


@dataclass(frozen=True, slots=True)
class Weakness:
    """
    One problem of a certificate.

    Attributes:
        reason: a stable code for diagnostics.
        message: what is wrong, in the predicate style of a diagnostic.
        fix: what to do.
    """

    reason: str
    message: str
    fix: str


def weaknesses(
    chain: Sequence[x509.Certificate], names: Sequence[str], *, has_san: bool, given: Sequence[x509.Certificate]
) -> tuple[Weakness, ...]:
    """
    Return the problems of a chain.

    Args:
        chain: in order, the leaf first.
        names: the names of the leaf.
        has_san: whether these names come from a subjectAltName.
        given: the certificates as they were written.
    """
    found = []
    if not has_san:
        found.append(
            Weakness(
                "CertificateWithoutSAN",
                f"the certificate names {', '.join(names)} only as its common name: PyMilvus accepts it, "
                "Go's TLS (the Go SDK) and browsers refuse it.",
                "Create one with a subjectAltName: `kiteway cert create --host NAME`.",
            )
        )
    if list(chain) != list(given):
        found.append(
            Weakness(
                "CertificateChainOrder",
                "the certificates in tls.crt are not in order, or contain some that do not belong to the chain; they are "
                "served in order.",
                "Put the server's certificate first, each followed by its issuer.",
            )
        )
    if lacks_intermediate(chain):
        found.append(
            Weakness(
                "CertificateChainIncomplete",
                f"the chain ends with the server's certificate, and that of its issuer ({_issuer(chain[0])}) is "
                "missing: clients that know only the root refuse it.",
                "Put the CA's full chain into tls.crt (`fullchain.pem`, not `cert.pem`).",
            )
        )
    return (*found, *_usage(chain[0]), *_signature(chain[0]), *_validity(chain[0]))


def validity(not_before: dt.datetime, not_after: dt.datetime, now: dt.datetime) -> Weakness | None:
    """Return the problems of a certificate's validity at ``now``."""
    if not_after <= now:
        return Weakness("CertificateExpired", f"the certificate expired on {not_after:%Y-%m-%d}.", "Replace it.")
    if not_before > now:
        return Weakness(
            "CertificateNotYetValid",
            f"the certificate is valid only from {not_before:%Y-%m-%d %H:%M} UTC.",
            "Check the clock of the machine that made it, and of this one.",
        )
    if not_after - now <= EXPIRES_SOON:
        days = (not_after - now).days
        return Weakness("CertificateExpiresSoon", f"the certificate expires in {days} days.", "Replace it in time.")
    return None


def _issuer(leaf: x509.Certificate) -> str:
    return leaf.issuer.rfc4514_string()


def _usage(leaf: x509.Certificate) -> list[Weakness]:
    extended = extension(leaf, x509.ExtendedKeyUsage)
    if extended is not None and not {
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    } & set(extended):
        return [
            Weakness(
                "CertificateUsage",
                "the certificate is not meant for a server (its extendedKeyUsage lacks serverAuth): clients refuse it.",
                "Issue it with extendedKeyUsage serverAuth: `kiteway cert create`.",
            )
        ]
    usage = extension(leaf, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        return [
            Weakness(
                "CertificateUsage",
                "the certificate's keyUsage lacks digitalSignature, which TLS 1.3 and gRPC clients require.",
                "Issue it with keyUsage digitalSignature: `kiteway cert create`.",
            )
        ]
    return []


def _signature(leaf: x509.Certificate) -> list[Weakness]:
    algorithm = leaf.signature_hash_algorithm
    if not isinstance(algorithm, hashes.SHA1 | hashes.MD5) or leaf.issuer == leaf.subject:
        return []
    return [
        Weakness(
            "CertificateSignatureWeak",
            f"the certificate is signed with {algorithm.name}, which clients do not accept any more.",
            "Issue it with SHA-256.",
        )
    ]


def _validity(leaf: x509.Certificate) -> list[Weakness]:
    validity = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    if validity <= LONGEST_VALIDITY:
        return []
    return [
        Weakness(
            "CertificateValidTooLong",
            f"the certificate is valid for {validity.days} days; clients from Apple refuse more than "
            f"{LONGEST_VALIDITY.days}.",
            "Create one for a shorter time and rotate it: `kiteway cert create`.",
        )
    ]

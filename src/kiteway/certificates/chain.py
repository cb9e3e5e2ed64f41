"""Chains of certificates: their order, and whether a client can build a path to a trusted root."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import AuthorityInformationAccessOID

from kiteway.certificates.names import extension


def ordered_chain(leaf: x509.Certificate, given: Iterable[x509.Certificate]) -> list[x509.Certificate]:
    """
    Return the chain from the leaf upwards; certificates that do not belong to it are left out.

    An issuer is recognised by its signature, not by its name alone: a CA with a new key has the old name.
    """
    result, rest = [leaf], [c for c in given if c != leaf]
    while rest and not self_issued(result[-1]):
        issuer = next((c for c in rest if signed_by(result[-1], c)), None)
        if issuer is None:
            break
        result.append(issuer)
        rest = [c for c in rest if c != issuer]
    return result


def self_issued(certificate: x509.Certificate) -> bool:
    """Return whether a certificate names itself as its issuer, as a root does."""
    return certificate.issuer == certificate.subject


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Return whether ``issuer`` has signed ``certificate``."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def lacks_intermediate(chain: Sequence[x509.Certificate]) -> bool:
    """
    Return whether an intermediate certificate is missing, so that a client that trusts only the root refuses the chain.

    A public CA never signs a server's certificate with its root, and publishes where its own certificate can be fetched.
    A private CA publishes no such place and often signs with its root, which is the certificate that clients have.
    """
    last = chain[-1]
    if len(chain) > 1 or self_issued(last):
        return False
    access = extension(last, x509.AuthorityInformationAccess)
    return access is not None and any(d.access_method == AuthorityInformationAccessOID.CA_ISSUERS for d in access)

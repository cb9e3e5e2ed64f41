"""What a certificate and its key say."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


class CertificateError(Exception):
    """
    A certificate or key that cannot be served.

    Attributes:
        reason: a stable code for diagnostics.
        message: what is wrong; never holds key material.
        fix: what to do.
        part: ``tls.crt`` or ``tls.key``.
    """

    def __init__(self, reason: str, message: str, fix: str, part: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.fix = fix
        self.part = part


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """
    What a chain says of itself.

    Attributes:
        chain: the PEM chain, leaf first, each certificate followed by its issuer.
        names: DNS names and IP addresses, lower case; the common name when there is no SAN.
        has_san: whether the names come from a subjectAltName.
        reordered: whether the chain had to be put in order.
        not_before: start of validity.
        not_after: end of validity.
        key_type: ``RSA`` or ``ECDSA``.
        fingerprint: SHA-256 of the leaf, hex.
        issuer: the issuer's name, RFC 4514.
        self_signed: whether the leaf is its own issuer.
    """

    chain: bytes
    names: tuple[str, ...]
    has_san: bool
    reordered: bool
    not_before: dt.datetime
    not_after: dt.datetime
    key_type: str
    fingerprint: str
    issuer: str
    self_signed: bool


def inspect(chain_pem: bytes, key_pem: bytes) -> CertificateFacts:
    """
    Read a chain and its key and check that they belong together.

    Raises:
        CertificateError: with reason, message and fix, when Envoy could not serve them.
    """
    chain = _certificates(chain_pem)
    key = _key(key_pem)
    leaf = _leaf(chain, key)
    ordered = _ordered(leaf, chain)
    public = leaf.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        key_type = "RSA"
        if public.key_size < 2048:
            raise CertificateError(
                "CertificateKeyTooSmall",
                f"the RSA key has {public.key_size} bits; Envoy and GCP take 2048 or more.",
                "Create a new key: `kiteway cert create`.",
                "tls.key",
            )
    elif isinstance(public, ec.EllipticCurvePublicKey):
        key_type = "ECDSA"
        if public.curve.name not in {"secp256r1", "secp384r1", "secp521r1"}:
            raise CertificateError(
                "CertificateKeyType",
                f"the key is on the curve {public.curve.name}, which TLS clients do not offer.",
                "Create a key on P-256: `kiteway cert create`.",
                "tls.key",
            )
    else:
        raise CertificateError(
            "CertificateKeyType",
            "the key is neither RSA nor ECDSA.",
            "Create a new key: `kiteway cert create`.",
            "tls.key",
        )
    names = alternative_names(leaf)
    return CertificateFacts(
        chain=b"".join(c.public_bytes(serialization.Encoding.PEM) for c in ordered),
        names=names or common_names(leaf),
        has_san=bool(names),
        reordered=ordered != chain[: len(ordered)],
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        key_type=key_type,
        fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
        issuer=leaf.issuer.rfc4514_string(),
        self_signed=leaf.issuer == leaf.subject,
    )


def alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the DNS names and IP addresses of the subjectAltName, lower case, in order, without repetitions."""
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    names = [name.lower() for name in san.get_values_for_type(x509.DNSName)]
    names += [str(address) for address in san.get_values_for_type(x509.IPAddress)]
    return tuple(dict.fromkeys(names))


def common_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the common names of the subject, lower case."""
    attributes = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return tuple(dict.fromkeys(str(a.value).lower() for a in attributes))


def covers(names: tuple[str, ...], host: str) -> bool:
    """Return whether one of the certificate's ``names`` is valid for ``host``; ``*.`` stands for one label."""
    host = host.lower().rstrip(".")
    if host in names:
        return True
    try:
        return str(ipaddress.ip_address(host)) in names
    except ValueError:
        pass
    _, _, parent = host.partition(".")
    return bool(parent) and f"*.{parent}" in names


def _certificates(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        hint = "it is empty" if not pem.strip() else "it is no PEM certificate"
        if b"PRIVATE KEY" in pem:
            hint = "it holds a private key; tls.crt and tls.key may be swapped"
        raise CertificateError(
            "CertificateUnreadable",
            f"tls.crt cannot be read: {hint}.",
            "Put the PEM certificate chain there, the server's certificate first.",
            "tls.crt",
        ) from error


def _key(pem: bytes) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | object:
    try:
        return serialization.load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise CertificateError(
            "CertificateKeyEncrypted",
            "tls.key is protected by a passphrase.",
            "Remove it: `openssl pkey -in tls.key -out plain.key`.",
            "tls.key",
        ) from error
    except (ValueError, UnsupportedAlgorithm):
        # The cause may quote the input; it is not chained.
        raise CertificateError(
            "CertificateKeyUnreadable",
            "tls.key cannot be read: it is empty." if not pem.strip() else "tls.key cannot be read: it is no PEM key.",
            "Put the PEM private key there.",
            "tls.key",
        ) from None


def _leaf(chain: list[x509.Certificate], key: object) -> x509.Certificate:
    wanted = _public_bytes(key.public_key()) if hasattr(key, "public_key") else b""
    for certificate in chain:
        if _public_bytes(certificate.public_key()) == wanted:
            return certificate
    raise CertificateError(
        "CertificateKeyMismatch",
        "tls.key does not belong to tls.crt.",
        "Put the key the certificate was made with; compare `openssl x509 -noout -pubkey` with `openssl pkey -pubout`.",
        "tls.key",
    )


def _public_bytes(key: object) -> bytes:
    encoded: bytes = key.public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def _ordered(leaf: x509.Certificate, chain: list[x509.Certificate]) -> list[x509.Certificate]:
    """Return the chain from the leaf upwards; certificates that do not belong to it are left out."""
    result, rest = [leaf], [c for c in chain if c != leaf]
    while rest:
        last = result[-1]
        if last.issuer == last.subject:
            break
        issuer = next((c for c in rest if c.subject == last.issuer), None)
        if issuer is None:
            break
        result.append(issuer)
        rest.remove(issuer)
    return result

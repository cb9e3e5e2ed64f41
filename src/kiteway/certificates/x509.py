"""Reads and checks a certificate chain and its key."""

from __future__ import annotations

import datetime as dt
import ssl
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from kiteway.certificates.chain import ordered_chain
from kiteway.certificates.encodings import encoding_of
from kiteway.certificates.names import alternative_names, common_names, extension
from kiteway.certificates.weaknesses import Weakness, weaknesses
from kiteway.diagnostics import ObjectRef
from kiteway.model import Certificate, PrivateKey

MAX_RSA_BITS = 8192
"""BoringSSL accepts up to 16,384 bits; above this limit a handshake takes longer than clients wait."""
_CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})
_UNREADABLE = (
    ValueError,
    # cryptography raises this for a name with a value of an unexpected type.
    TypeError,
    UnsupportedAlgorithm,
    ssl.SSLError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
_NEW_KEY = "Create a new key: `kiteway cert create`."


class CertificateError(Exception):
    """
    A certificate or key that cannot be served.

    Attributes:
        reason: a stable code for diagnostics.
        message: what is wrong; it never contains key material.
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
    The fields of a chain.

    Attributes:
        chain: the PEM chain, leaf first, each certificate followed by its issuer; nothing else is in it.
        key: the key, re-encoded as PKCS #8, so that Envoy gets only what was parsed.
        names: DNS names and IP addresses, lower case; the common name when there is no SAN.
        has_san: whether the names come from a subjectAltName.
        not_before: start of validity.
        not_after: end of validity.
        key_type: ``RSA`` or ``ECDSA``.
        fingerprint: SHA-256 of the leaf, hex.
        issuer: the issuer's name, RFC 4514.
        self_signed: whether the leaf is its own issuer.
        weaknesses: why some clients refuse it though it can be served; without its validity, which depends on the time.
    """

    chain: bytes
    key: PrivateKey
    names: tuple[str, ...]
    has_san: bool
    not_before: dt.datetime
    not_after: dt.datetime
    key_type: str
    fingerprint: str
    issuer: str
    self_signed: bool
    weaknesses: tuple[Weakness, ...]

    def certificate(
        self, name: str, source: ObjectRef | None, *, key: PrivateKey | None = None, temporary: bool = False
    ) -> Certificate:
        """
        Return the certificate to serve.

        Args:
            name: the name of its SDS secret.
            source: the object from which it comes.
            key: the key to serve; None is `key`.
            temporary: whether it serves until the real one is there.
        """
        return Certificate(
            name=name,
            chain=self.chain,
            key=key or self.key,
            names=self.names,
            not_before=self.not_before,
            not_after=self.not_after,
            key_type=self.key_type,
            fingerprint=self.fingerprint,
            temporary=temporary,
            source=source,
        )


def inspect(chain_pem: bytes, key_pem: bytes) -> CertificateFacts:
    """
    Read a chain and its key and check that they belong together and that Envoy accepts them.

    Envoy must accept everything that passes, because its rejection would quote the input.

    Raises:
        CertificateError: with reason, message and fix, when Envoy could not serve them.
    """
    chain = _certificates(chain_pem)
    key = _key(key_pem)
    try:
        leaf = _leaf(chain, key)
        _check_leaf(leaf)
        found = ordered_chain(leaf, chain)
        names = alternative_names(leaf)
        return CertificateFacts(
            chain=b"".join(c.public_bytes(serialization.Encoding.PEM) for c in found),
            key=PrivateKey(
                key.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
            ),
            names=names or common_names(leaf),
            has_san=bool(names),
            not_before=leaf.not_valid_before_utc,
            not_after=leaf.not_valid_after_utc,
            key_type="RSA" if isinstance(key, rsa.RSAPrivateKey) else "ECDSA",
            fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
            issuer=leaf.issuer.rfc4514_string(),
            self_signed=leaf.issuer == leaf.subject,
            weaknesses=weaknesses(found, names or common_names(leaf), has_san=bool(names), given=chain),
        )
    except _UNREADABLE as error:
        raise CertificateError(
            "CertificateUnreadable",
            "tls.crt cannot be read: it is no valid certificate.",
            "Put the PEM certificate chain there, the server's certificate first.",
            "tls.crt",
        ) from error


def read_bundle(pem: bytes) -> str:
    """
    Return only the CA certificates of a PEM text.

    Raises:
        CertificateError: there is none, or one cannot be read.
    """
    found = _certificates(pem, "ca.crt", "Put the PEM certificates of the CA there.")
    return "".join(c.public_bytes(serialization.Encoding.PEM).decode() for c in dict.fromkeys(found))


def _certificates(
    pem: bytes, part: str = "tls.crt", fix: str = "Put the PEM certificate chain there, the server's certificate first."
) -> list[x509.Certificate]:
    def unreadable(hint: str) -> CertificateError:
        return CertificateError("CertificateUnreadable", f"{part} cannot be read: {hint}.", fix, part)

    if not pem.strip():
        raise unreadable("it is empty")
    try:
        found = x509.load_pem_x509_certificates(pem)
        for certificate in found:
            _parse_again(certificate)
    except _UNREADABLE as error:
        if b"PRIVATE KEY" in pem:
            raise unreadable("it contains a private key; tls.crt and tls.key may be swapped") from error
        if (instead := encoding_of(pem)) is not None:
            raise CertificateError(
                "CertificateUnreadable", f"{part} cannot be read: it {instead.what}.", instead.fix, part
            ) from error
        raise unreadable("it contains no valid PEM certificates") from error
    return found


def _parse_again(certificate: x509.Certificate) -> None:
    """
    Parse every field, which cryptography would do lazily, and parse with OpenSSL too: Envoy parses all of it.

    Raises:
        ValueError, TypeError: a field cannot be parsed.
        ssl.SSLError: OpenSSL cannot read it.
    """
    list(certificate.extensions)
    list(certificate.subject)
    list(certificate.issuer)
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
        cadata=certificate.public_bytes(serialization.Encoding.DER)
    )


def _key(pem: bytes) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise CertificateError(
            "CertificateKeyEncrypted",
            "tls.key is protected by a passphrase.",
            "Remove it: `openssl pkey -in tls.key -out plain.key`.",
            "tls.key",
        ) from error
    except (ValueError, UnsupportedAlgorithm):
        # The cause may quote the input; it is not chained.
        raise _unreadable_key(pem) from None
    if isinstance(key, rsa.RSAPrivateKey):
        _check_rsa(key)
    elif not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError("CertificateKeyType", "the key is neither RSA nor ECDSA.", _NEW_KEY, "tls.key")
    elif key.curve.name not in _CURVES:
        raise CertificateError(
            "CertificateKeyType",
            f"the key is on the curve {key.curve.name}, which TLS clients do not offer.",
            "Create a key on P-256: `kiteway cert create`.",
            "tls.key",
        )
    return key


def _unreadable_key(pem: bytes) -> CertificateError:
    what, fix = "is no PEM key", "Put an unencrypted PEM private key there, RSA or ECDSA on P-256."
    if not pem.strip():
        what = "is empty"
    elif b"BEGIN CERTIFICATE" in pem:
        what = "contains a certificate; tls.crt and tls.key may be swapped"
    elif (instead := encoding_of(pem)) is not None:
        what, fix = instead
    return CertificateError("CertificateKeyUnreadable", f"tls.key cannot be read: it {what}.", fix, "tls.key")


def _check_rsa(key: rsa.RSAPrivateKey) -> None:
    if key.key_size < 2048:
        raise CertificateError(
            "CertificateKeyTooSmall",
            f"the RSA key has {key.key_size} bits; Envoy and GCP take 2048 or more.",
            _NEW_KEY,
            "tls.key",
        )
    # BoringSSL accepts public exponents of at most 33 bits.
    if key.key_size > MAX_RSA_BITS or key.public_key().public_numbers().e.bit_length() > 33:
        raise CertificateError(
            "CertificateKeyTooLarge",
            f"the RSA key has {key.key_size} bits or an unusual exponent; at most {MAX_RSA_BITS} bits are served.",
            _NEW_KEY,
            "tls.key",
        )


def _leaf(chain: list[x509.Certificate], key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """
    Return the certificate of the key.

    The function searches the certificate's bytes for the plain encoding of the key. Another encoding of the same key
    (RSA-PSS, a curve with explicit parameters) is no match, because Envoy accepts only the plain one.
    """
    wanted = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    for certificate in chain:
        if wanted in certificate.tbs_certificate_bytes:
            return certificate
    for certificate in chain:
        if _same_key(certificate, wanted):
            raise CertificateError(
                "CertificateKeyType",
                "the certificate names its key in an unusual way (RSA-PSS, or a curve by its parameters), which Envoy "
                "does not accept.",
                "Create a plain RSA or P-256 key and a certificate for it: `kiteway cert create`.",
                "tls.crt",
            )
    raise CertificateError(
        "CertificateKeyMismatch",
        "tls.key does not belong to tls.crt.",
        "Put the key the certificate was made with; compare `openssl x509 -noout -pubkey` with `openssl pkey -pubout`.",
        "tls.key",
    )


def _same_key(certificate: x509.Certificate, wanted: bytes) -> bool:
    try:
        public = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False
    return wanted == public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _check_leaf(leaf: x509.Certificate) -> None:
    """Refuse what BoringSSL and Envoy refuse in a server's own certificate."""
    if not alternative_names(leaf) and not common_names(leaf):
        raise CertificateError(
            "CertificateWithoutNames",
            "the certificate names no host at all.",
            "Create one with a subjectAltName: `kiteway cert create --host NAME`.",
            "tls.crt",
        )
    usage = extension(leaf, x509.KeyUsage)
    if usage is not None and not usage.digital_signature and not isinstance(leaf.public_key(), rsa.RSAPublicKey):
        raise CertificateError(
            "CertificateKeyUsage",
            "the certificate's keyUsage does not allow digitalSignature, without which an ECDSA key cannot be served.",
            "Issue it with keyUsage digitalSignature: `kiteway cert create`.",
            "tls.crt",
        )
    if extension(leaf, x509.TLSFeature) is not None:
        raise CertificateError(
            "CertificateMustStaple",
            "the certificate asks for a stapled OCSP answer (must-staple), which is not served.",
            "Issue it without the TLS feature extension.",
            "tls.crt",
        )

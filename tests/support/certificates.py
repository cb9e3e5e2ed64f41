"""Certificates for tests, with everything that can be wrong with one."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def ecdsa() -> ec.EllipticCurvePrivateKey:
    """Return a new key on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return a new RSA key."""
    return rsa.generate_private_key(65537, bits)


def pem(key: Key, form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8) -> bytes:
    """Return a key in PEM."""
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


@dataclass(frozen=True)
class Issued:
    """A certificate and its key; as an authority it issues others."""

    certificate: x509.Certificate
    key: Key

    @property
    def crt(self) -> bytes:
        """The certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def pem(self) -> bytes:
        """The key in PEM."""
        return pem(self.key)


def issue(
    *hosts: str,
    key: Key | None = None,
    issuer: Issued | None = None,
    cn: str | None = None,
    ips: Sequence[str] = (),
    ca: bool = False,
    usage: Collection[str] | None = None,
    extended: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH,),
    start: dt.timedelta = dt.timedelta(minutes=-5),
    end: dt.timedelta = dt.timedelta(days=90),
    must_staple: bool = False,
    ca_issuers: bool = False,
    digest: hashes.HashAlgorithm | None = None,
) -> Issued:
    """Return a certificate for ``hosts``, self-signed without ``issuer``; ``start`` and ``end`` are from now."""
    mine = key or ecdsa()
    common_name = cn if cn is not None else (hosts or ("test",))[0]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(mine.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + start)
        .not_valid_after(NOW + end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    names: list[x509.GeneralName] = [x509.DNSName(host) for host in hosts]
    names += [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if usage is not None:
        flags = {name: name in usage for name in _USAGES}
        builder = builder.add_extension(x509.KeyUsage(**flags), critical=True)
    if extended and not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    if must_staple:
        builder = builder.add_extension(x509.TLSFeature([x509.TLSFeatureType.status_request]), critical=False)
    if ca_issuers:
        where = x509.UniformResourceIdentifier("http://ca.example/ca.der")
        access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, where)
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    signer = issuer.key if issuer else mine
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else (digest or hashes.SHA256())
    return Issued(builder.sign(signer, algorithm), mine)  # type: ignore[arg-type]


def authority(cn: str = "Test CA", issuer: Issued | None = None) -> Issued:
    """Return a CA, self-signed without ``issuer``."""
    return issue(cn=cn, ca=True, issuer=issuer, usage=("key_cert_sign", "digital_signature"))

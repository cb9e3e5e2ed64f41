"""`kiteway cert`: the guide's self-managed certificate, with the subjectAltName that the guide omits, and private CAs."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kiteway.certificates.names import is_address
from kiteway.hostnames import ascii_hint
from kiteway.model import PrivateKey

MAX_DAYS = 825
"""Apple's and others' limit for a server certificate that a user has trusted."""
MAX_CA_DAYS = 7300
"""Twenty years: users hesitate to replace a CA that lasts longer than its machines."""

_BACKDATE = dt.timedelta(minutes=5)

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate in PEM and its key."""

    certificate: bytes
    key: PrivateKey


@dataclass(frozen=True, slots=True)
class _Request:
    subject: x509.Name
    extensions: tuple[x509.ExtensionType, ...] = ()


@dataclass(frozen=True, slots=True)
class _Authority:
    certificate: x509.Certificate
    key: Key


def create_self_signed(
    hosts: Sequence[str],
    ips: Sequence[str] = (),
    *,
    days: int = MAX_DAYS,
    key_type: str = "ECDSA",
    organization: str = "",
    now: dt.datetime | None = None,
) -> KeyPair:
    """
    Make a self-signed server certificate whose names are in the subjectAltName.

    A certificate with only a common name is refused by Go's TLS. It is its own CA, so that a client
    can trust the same file (``server_pem_path="tls.crt"``), as in the guide.

    Args:
        hosts: DNS names; ``*.`` wildcards are allowed.
        ips: IP addresses.
        days: validity, 1 to 825.
        key_type: ``ECDSA`` (P-256) or ``RSA`` (2048).
        organization: the subject's O; marks Kiteway's temporary certificates.
        now: the start of validity.

    Raises:
        ValueError: for no name at all, a bad name or address, or a validity out of range.
    """
    return _signed(_server(hosts, ips, organization), _new_key(key_type), None, _days(days), now)


def create_authority(name: str, *, days: int = 3650, now: dt.datetime | None = None) -> KeyPair:
    """
    Make a CA that signs certificates only, no further CAs.

    Raises:
        ValueError: for a name that is empty or too long, or a validity out of range.
    """
    return _signed(_Request(_subject(name)), _new_key("ECDSA"), None, _days(days, MAX_CA_DAYS), now)


def create_issued(
    authority: KeyPair,
    hosts: Sequence[str],
    ips: Sequence[str] = (),
    *,
    days: int = MAX_DAYS,
    key_type: str = "ECDSA",
    now: dt.datetime | None = None,
) -> KeyPair:
    """
    Make a server certificate signed by ``authority``; ``tls.crt`` holds the leaf only, because clients have the CA.

    Raises:
        ValueError: as `create_self_signed`, and for an ``authority`` that is no CA with its key, or expires earlier.
    """
    return _signed(_server(hosts, ips, ""), _new_key(key_type), _authority(authority), _days(days), now)


def create_client(
    authority: KeyPair, name: str, *, days: int = MAX_DAYS, key_type: str = "ECDSA", now: dt.datetime | None = None
) -> KeyPair:
    """
    Make a client certificate signed by ``authority``; ``name`` is its common name.

    Raises:
        ValueError: as `create_issued`.
    """
    extended = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    request = _Request(_subject(name), (extended,))
    return _signed(request, _new_key(key_type), _authority(authority), _days(days), now)


def _authority(pair: KeyPair) -> _Authority:
    try:
        certificate = x509.load_pem_x509_certificate(pair.certificate)
        key = serialization.load_pem_private_key(pair.key.reveal(), password=None)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (ValueError, TypeError, x509.ExtensionNotFound):
        # The cause may quote the key; it is not chained.
        raise ValueError("the CA cannot be used: it needs a CA certificate and its key, in PEM") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) or (
        key.public_key() != certificate.public_key()
    ):
        raise ValueError("the CA's key does not belong to its certificate")
    if not constraints.ca:
        raise ValueError("the certificate is not one of a CA; make one with `kiteway cert create-ca`")
    return _Authority(certificate, key)


def _server(hosts: Sequence[str], ips: Sequence[str], organization: str) -> _Request:
    if not hosts and not ips:
        raise ValueError("a certificate needs at least one host name or IP address: give --host NAME or --ip ADDRESS")
    sans: list[x509.GeneralName] = [x509.DNSName(_dns_name(host)) for host in hosts]
    sans += [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips]
    subject = _subject(str(hosts[0] if hosts else ips[0])[:64], organization)
    extended = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return _Request(subject, (x509.SubjectAlternativeName(sans), extended))


def _signed(
    request: _Request, key: Key, authority: _Authority | None, validity: dt.timedelta, now: dt.datetime | None
) -> KeyPair:
    """Return certificate and key; without ``authority`` the certificate is self-signed, and a CA."""
    start = (now or dt.datetime.now(dt.UTC)) - _BACKDATE
    end = start + validity
    if authority is not None and end > authority.certificate.not_valid_after_utc:
        until = authority.certificate.not_valid_after_utc
        raise ValueError(f"the CA is valid until {until:%Y-%m-%d} only; give fewer days, or make a new CA")
    ca, public, signer = authority is None, key.public_key(), authority.key if authority else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(authority.certificate.subject if authority else request.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(_usage(ca=ca), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        # Lets a client that trusts an old and a new certificate of the same name tell them apart.
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    for extension in request.extensions:
        builder = builder.add_extension(extension, critical=False)
    certificate = builder.sign(signer, hashes.SHA256())
    return KeyPair(
        certificate.public_bytes(serialization.Encoding.PEM),
        PrivateKey(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        ),
    )


def _days(days: int, most: int = MAX_DAYS) -> dt.timedelta:
    if not 1 <= days <= most:
        raise ValueError(f"days must be 1 to {most}, not {days}")
    return dt.timedelta(days=days)


def _new_key(key_type: str) -> Key:
    if key_type == "RSA":
        return rsa.generate_private_key(65537, 2048)
    if key_type == "ECDSA":
        return ec.generate_private_key(ec.SECP256R1())
    raise ValueError(f"key type must be ECDSA or RSA, not {key_type}")


def _subject(common_name: str, organization: str = "") -> x509.Name:
    if not 1 <= len(common_name) <= 64:
        raise ValueError("a name needs 1 to 64 characters")
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        key_cert_sign=ca,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _dns_name(host: str) -> str:
    name = host.lower().rstrip(".")
    if is_address(name):
        raise ValueError(f"{host!r} is an IP address; give it with --ip")
    labels = name.removeprefix("*.").split(".")
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789-_")
    if len(name) > 253 or not all(
        label and len(label) <= 63 and set(label) <= allowed and not label.startswith("-") and not label.endswith("-")
        for label in labels
    ):
        raise ValueError(
            f"{host!r} is no DNS name{ascii_hint(name)}: give one such as milvus.example.com, without a scheme, a port or a path"
        )
    return name

"""`kiteway cert create`: the guide's self-managed certificate, with the names it forgets."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kiteway.model import PrivateKey

MAX_DAYS = 825
"""Apple's and others' limit for a server certificate that a user has trusted."""

_BACKDATE = dt.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate in PEM and its key."""

    certificate: bytes
    key: PrivateKey


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

    A certificate with only a common name is refused by Go's and Java's TLS. It is its own CA, so that a client can
    be given the very file (``server_pem_path="tls.crt"``), as the guide does.

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
    if not hosts and not ips:
        raise ValueError("a certificate needs at least one host name or IP address")
    if not 1 <= days <= MAX_DAYS:
        raise ValueError(f"days must be 1 to {MAX_DAYS}, not {days}")
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    if key_type == "RSA":
        key = rsa.generate_private_key(65537, 2048)
    elif key_type == "ECDSA":
        key = ec.generate_private_key(ec.SECP256R1())
    else:
        raise ValueError(f"key type must be ECDSA or RSA, not {key_type}")
    sans: list[x509.GeneralName] = [x509.DNSName(_dns_name(host)) for host in hosts]
    sans += [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips]
    start = (now or dt.datetime.now(dt.UTC)) - _BACKDATE
    common_name = str(hosts[0] if hosts else ips[0])
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])]
    if organization:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    name = x509.Name(attributes)
    public = key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(sans), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        # Lets a client that trusts an old and a new certificate of the same name tell them apart.
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    return KeyPair(
        certificate.public_bytes(serialization.Encoding.PEM),
        PrivateKey(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        ),
    )


def _key_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        key_cert_sign=True,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _dns_name(host: str) -> str:
    name = host.lower().rstrip(".")
    labels = name.removeprefix("*.").split(".")
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789-_")
    if len(name) > 253 or not all(
        label and len(label) <= 63 and set(label) <= allowed and not label.startswith("-") and not label.endswith("-")
        for label in labels
    ):
        raise ValueError(f"{host!r} is no DNS name; an IP address goes with --ip")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name
    raise ValueError(f"{host!r} is an IP address; give it with --ip")

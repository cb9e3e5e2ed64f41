"""The two challenges that Kiteway can answer, computed from the CA's token and the account's key."""

from __future__ import annotations

import datetime as dt
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.b64 import b64encode
from josepy.jwk import JWK

from kiteway.certificates.x509 import inspect
from kiteway.model import Certificate, Challenge, HTTPChallenge, PrivateKey, TLSChallenge

HTTP_01 = "http-01"
TLS_ALPN_01 = "tls-alpn-01"

_ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
"""id-pe-acmeIdentifier, RFC 8737, section 6.1."""
_DAYS = 7


def key_authorization(token: str, account_key: JWK) -> str:
    """Return ``token.thumbprint`` (RFC 8555, section 8.1)."""
    return f"{token}.{b64encode(account_key.thumbprint()).decode()}"


def to_show(kind: str, domain: str, token: str, account_key: JWK, now: dt.datetime) -> Challenge:
    """Return what Envoy answers to a challenge of ``kind``."""
    proof = key_authorization(token, account_key)
    if kind == HTTP_01:
        return HTTPChallenge(domain, token, proof)
    return TLSChallenge(domain, _challenge_certificate(domain, proof, now))


def _challenge_certificate(domain: str, proof: str, now: dt.datetime) -> Certificate:
    """Return the certificate of RFC 8737, section 3: the name as its only SAN, the proof's digest, critical."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    # An OCTET STRING of 32 bytes in DER.
    value = b"\x04\x20" + hashlib.sha256(proof.encode()).digest()
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(domain)]), critical=False)
        .add_extension(x509.UnrecognizedExtension(_ACME_IDENTIFIER, value), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    facts = inspect(built.public_bytes(serialization.Encoding.PEM), pem)
    return facts.certificate(f"acme/{domain}", None, key=PrivateKey(pem), temporary=True)

"""Certificates as they are served."""

from __future__ import annotations

import datetime as dt
import enum
import hashlib
from dataclasses import dataclass, field

from kiteway.diagnostics import ObjectRef


class PrivateKey:
    """A private key in PEM that does not show itself: not in ``repr``, ``str``, a format or a pickle."""

    __slots__ = ("_digest", "_pem")

    def __init__(self, pem: bytes) -> None:
        self._pem = pem
        self._digest = hashlib.sha256(pem).digest()

    def reveal(self) -> bytes:
        """Return the PEM text, which may go only to Envoy, into a 0600 file or to OpenSSL."""
        return self._pem

    def __repr__(self) -> str:
        return "PrivateKey(<redacted>)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PrivateKey) and self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a private key is not pickled")


class TLSProfile(enum.StrEnum):
    """GCP's SSL policy profiles; TLS 1.2 is the least with each of them."""

    COMPATIBLE = "COMPATIBLE"
    MODERN = "MODERN"
    RESTRICTED = "RESTRICTED"


@dataclass(frozen=True, slots=True)
class TrustBundle:
    """
    The CAs that a certificate is verified against.

    Attributes:
        pem: the certificates of the CAs, and nothing else.
        source: the Secret they come from.
    """

    pem: str = field(repr=False)
    source: ObjectRef


@dataclass(frozen=True, slots=True)
class ClientAuth:
    """
    How clients are authenticated by certificate.

    Attributes:
        ca: the CAs that client certificates are verified against.
        required: whether a client without a certificate is refused; an invalid certificate always is.
    """

    ca: TrustBundle
    required: bool


@dataclass(frozen=True, slots=True)
class Certificate:
    """
    A certificate chain and its key.

    Attributes:
        name: where it comes from, e.g. ``default/my-release-milvus-tls``; the SDS secret's name.
        chain: the PEM chain, leaf first.
        key: the private key.
        names: the DNS names and IP addresses it is valid for, lower case; the CN when it has no SAN.
        not_before: start of validity.
        not_after: end of validity.
        key_type: ``RSA`` or ``ECDSA``.
        fingerprint: SHA-256 of the leaf, hex.
        temporary: self-signed by Kiteway until the real one is issued.
        source: the Secret or ManagedCertificate.
    """

    name: str
    chain: bytes = field(repr=False)
    key: PrivateKey
    names: tuple[str, ...]
    not_before: dt.datetime
    not_after: dt.datetime
    key_type: str
    fingerprint: str
    temporary: bool
    source: ObjectRef | None

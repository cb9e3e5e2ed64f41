"""The answers that prove control of a name to a CA (RFC 8555, RFC 8737)."""

from __future__ import annotations

from dataclasses import dataclass

from kiteway.model.certificates import Certificate


@dataclass(frozen=True, slots=True, order=True)
class HTTPChallenge:
    """
    HTTP-01: an answer on port 80.

    Attributes:
        domain: the name that is validated.
        token: the last segment of ``/.well-known/acme-challenge/TOKEN``; the CA's, base64url.
        key_authorization: the body of the answer; public by its nature.
    """

    domain: str
    token: str
    key_authorization: str


@dataclass(frozen=True, slots=True)
class TLSChallenge:
    """
    TLS-ALPN-01: a certificate on port 443 for connections that offer ``acme-tls/1``.

    Attributes:
        domain: the name that is validated.
        certificate: self-signed, with the acmeIdentifier extension.
    """

    domain: str
    certificate: Certificate


Challenge = HTTPChallenge | TLSChallenge

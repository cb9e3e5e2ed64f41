"""
The records in the storage, below a folder for each CA.

::

    acme/ISSUER/account                                    the account's private key, and its URL at the CA
    acme/ISSUER/certificates/NAMESPACE/NAME/order          the order in progress, with the certificate's key
    acme/ISSUER/certificates/NAMESPACE/NAME/certificate    chain and key in one value, so that they always match
    acme/ISSUER/certificates/NAMESPACE/NAME/renewal        when the CA suggests to renew it
    acme/ISSUER/certificates/NAMESPACE/NAME/failure        what went wrong last, and when to try again
    acme/ISSUER/certificates/NAMESPACE/NAME/demand         a user asked for a new one
    acme/ISSUER/certificates/NAMESPACE/NAME/challenges     the challenges every replica shows; only with several
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from kiteway.acme.problems import Kind
from kiteway.acme.storage import NotStoredError, Storage
from kiteway.certificates.x509 import inspect
from kiteway.diagnostics import ObjectRef
from kiteway.model import Certificate, Challenge, HTTPChallenge, PrivateKey, TLSChallenge


class Account(msgspec.Struct, frozen=True):
    """
    An account.

    Attributes:
        key: its private key; stored before the CA gets it.
        uri: its URL at the CA; empty until there is one.
    """

    key: PrivateKey
    uri: str = ""


class Order(msgspec.Struct, frozen=True):
    """
    An order in progress.

    Attributes:
        domains: the names it is for.
        key: the certificate's private key; stored before the order, so that every order has its key.
        uri: its URL at the CA; empty until there is one.
    """

    domains: tuple[str, ...]
    key: PrivateKey
    uri: str = ""


class Issued(msgspec.Struct, frozen=True):
    """
    A certificate.

    Attributes:
        domains: the names that were ordered.
        chain: the PEM chain.
        key: its key.
        at: when it was issued, by this machine's clock; CAs backdate certificates.
    """

    domains: tuple[str, ...]
    chain: str
    key: PrivateKey
    at: dt.datetime

    def certificate(self, name: str, source: ObjectRef) -> Certificate:
        """Return the certificate to serve. Raises ``CertificateError`` if the CA sent something else than a certificate."""
        facts = inspect(self.chain.encode(), self.key.reveal())
        return facts.certificate(name, source, key=self.key)


class Renewal(msgspec.Struct, frozen=True):
    """
    The CA's suggestion when to renew (ARI, RFC 9773).

    Attributes:
        fingerprint: of the certificate it is about.
        at: when to renew; None where the CA suggests nothing.
        ask_again: when to ask for it next.
    """

    fingerprint: str
    at: dt.datetime | None
    ask_again: dt.datetime


class Failure(msgspec.Struct, frozen=True):
    """
    The last failed attempt.

    Attributes:
        domains: the names it was for; another set of names is tried at once.
        attempts: how many attempts failed in a row.
        kind: see `Kind`.
        message: for people.
        fix: for people.
        problems: by name, kind and message.
        at: when it failed.
        retry_at: when it is tried again.
    """

    domains: tuple[str, ...]
    attempts: int
    kind: Kind
    message: str
    fix: str
    problems: dict[str, tuple[Kind, str]]
    at: dt.datetime
    retry_at: dt.datetime


class Demand(msgspec.Struct, frozen=True):
    """
    A renewal that a user asked for.

    Attributes:
        at: when.
    """

    at: dt.datetime


class Challenges(msgspec.Struct, frozen=True):
    """
    The challenges that every replica shows.

    Attributes:
        until: when they expire, as the process that should remove them may have been killed and its certificate deleted.
        http: for HTTP-01.
        tls: for TLS-ALPN-01.
    """

    until: dt.datetime
    http: tuple[HTTPChallenge, ...] = ()
    tls: tuple[TLSChallenge, ...] = ()

    @property
    def all(self) -> tuple[Challenge, ...]:
        """The challenges of both types: first HTTP-01, then TLS-ALPN-01."""
        return (*self.http, *self.tls)

    @property
    def digest(self) -> str:
        """A short digest that identifies these challenges."""
        proofs = [f"{c.domain} {c.key_authorization}" for c in self.http]
        proofs += [f"{c.domain} {c.certificate.fingerprint}" for c in self.tls]
        return hashlib.sha256("\n".join(proofs).encode()).hexdigest()[:16]


def challenges_of(challenges: Iterable[Challenge], until: dt.datetime) -> Challenges:
    """Return challenges as a record."""
    each = list(challenges)
    return Challenges(
        until,
        tuple(c for c in each if isinstance(c, HTTPChallenge)),
        tuple(c for c in each if isinstance(c, TLSChallenge)),
    )


Record = Account | Order | Issued | Renewal | Failure | Demand | Challenges
R = TypeVar("R", Account, Order, Issued, Renewal, Failure, Demand, Challenges)


def read(storage: Storage, key: str, kind: type[R]) -> R | None:
    """Return a record; None when there is none or it cannot be read (it is then created again)."""
    try:
        return decoded(storage.load(key), kind)
    except NotStoredError:
        return None


def decoded(value: bytes, kind: type[R]) -> R | None:
    """Return a stored value as a record; None when it cannot be read."""
    try:
        return msgspec.json.decode(value, type=kind, dec_hook=_decode)
    except msgspec.MsgspecError:
        return None


def write(storage: Storage, key: str, record: Record) -> None:
    """Store a record."""
    storage.store(key, encoded(record))


def encoded(record: Record) -> bytes:
    """Return a record in its stored form."""
    return msgspec.json.encode(record, enc_hook=_encode)


def _decode(kind: type[Any], value: Any) -> Any:
    if kind is PrivateKey and isinstance(value, str):
        return PrivateKey(value.encode())
    raise NotImplementedError(kind)


def _encode(value: Any) -> Any:
    if isinstance(value, PrivateKey):
        return value.reveal().decode()
    raise NotImplementedError(type(value))

"""A certificate as plain values for people and JSON; they never hold key material."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from kiteway.certificates.chain import ordered_chain, self_issued
from kiteway.certificates.names import alternative_names, common_names
from kiteway.certificates.weaknesses import validity, weaknesses


def describe(given: Sequence[x509.Certificate], now: dt.datetime) -> dict[str, Any]:
    """
    Return the fields of a chain, and its problems at ``now``.

    Args:
        given: the certificates as they were written or sent, the server's first.
        now: the time they are judged by.
    """
    leaf = given[0]
    chain = ordered_chain(leaf, given)
    names = alternative_names(leaf)
    wrong = list(weaknesses(chain, names or common_names(leaf), has_san=bool(names), given=given))
    time = validity(leaf.not_valid_before_utc, leaf.not_valid_after_utc, now)
    if time is not None:
        wrong.insert(0, time)
    return {
        "names": list(names or common_names(leaf)),
        "notBefore": leaf.not_valid_before_utc.isoformat(),
        "notAfter": leaf.not_valid_after_utc.isoformat(),
        "daysLeft": (leaf.not_valid_after_utc - now).days,
        "keyType": _key_type(leaf),
        "issuer": leaf.issuer.rfc4514_string(),
        "selfSigned": self_issued(leaf),
        "fingerprint": leaf.fingerprint(hashes.SHA256()).hex(),
        "chain": [
            {"subject": c.subject.rfc4514_string(), "notAfter": c.not_valid_after_utc.isoformat()} for c in chain
        ],
        "problems": [{"reason": w.reason, "message": w.message, "fix": w.fix} for w in wrong],
    }


def _key_type(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA {key.curve.name}"
    return type(key).__name__.removesuffix("PublicKey")

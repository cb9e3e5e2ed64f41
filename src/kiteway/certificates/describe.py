"""A certificate for people and for JSON; no key material is in the report."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from kiteway.certificates.chain import ordered_chain, self_issued
from kiteway.certificates.names import alternative_names, common_names
from kiteway.certificates.weaknesses import validity, weaknesses
from kiteway.report.certificates import CertificateProblem, CertificateReport, ChainMember


def describe(name: str, given: Sequence[x509.Certificate], now: dt.datetime) -> CertificateReport:
    """
    Report a chain, and its problems at ``now``.

    Args:
        name: the name of the report: a Secret, a file or an address.
        given: the certificates as they were written or sent, the server's first.
        now: the time at which the validity is judged.
    """
    leaf = given[0]
    chain = ordered_chain(leaf, given)
    names = alternative_names(leaf)
    wrong = list(weaknesses(chain, names or common_names(leaf), has_san=bool(names), given=given))
    time = validity(leaf.not_valid_before_utc, leaf.not_valid_after_utc, now)
    if time is not None:
        wrong.insert(0, time)
    return CertificateReport(
        name=name,
        names=tuple(names or common_names(leaf)),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        days_left=(leaf.not_valid_after_utc - now).days,
        key_type=_key_type(leaf),
        issuer=leaf.issuer.rfc4514_string(),
        self_signed=self_issued(leaf),
        fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
        chain=tuple(ChainMember(c.subject.rfc4514_string(), c.not_valid_after_utc) for c in chain),
        problems=tuple(CertificateProblem(w.reason, w.message, w.fix) for w in wrong),
    )


def _key_type(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA {key.curve.name}"
    return type(key).__name__.removesuffix("PublicKey")

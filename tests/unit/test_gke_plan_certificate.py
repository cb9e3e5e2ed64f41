"""The user's own certificate is checked before anything is planned."""

from __future__ import annotations

import base64
import datetime as dt
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kiteway.certificates.create import create_self_signed
from kiteway.gke.objects import tls_secret
from kiteway.gke.plan import make_plan
from kiteway.gke.step import State
from tests.support.gke import HOST, live, wanted
from tests.unit.test_gke_plan import SHELL, step_of


def _secret(certificate: bytes, key: bytes) -> dict[str, Any]:
    data = {"tls.crt": base64.b64encode(certificate).decode(), "tls.key": base64.b64encode(key).decode()}
    return {"kind": "Secret", "metadata": {"name": "my-release-milvus-tls", "namespace": "default"}, "data": data}


def _certificate(host: str, start: dt.datetime | None = None) -> dict[str, Any]:
    pair = create_self_signed([host], now=start, days=30)
    return _secret(pair.certificate, pair.key.reveal())


def test_a_certificate_of_the_users_is_looked_at_and_kept() -> None:
    """A valid certificate of the user is used unchanged."""
    good = {("Secret", "default", "my-release-milvus-tls"): tls_secret("my-release-milvus-tls", "default", HOST)}
    plan = make_plan(live(objects=good, at=dt.datetime.now(dt.UTC)), wanted(), SHELL)
    assert step_of(plan, "certificate").state is State.DONE


def _common_name_only() -> dict[str, Any]:
    """Return what the guide's openssl commands make."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start + dt.timedelta(days=99))
    pem, none = serialization.Encoding.PEM, serialization.NoEncryption()
    return _secret(
        builder.sign(key, hashes.SHA256()).public_bytes(pem),
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, none),
    )


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (_common_name_only(), "CertificateWithoutSAN"),
        (_certificate("other.example.com"), "HostMismatch"),
        (_certificate(HOST, dt.datetime(2020, 1, 1, tzinfo=dt.UTC)), "CertificateExpired"),
        (_secret(b"", b""), "CertificateUnreadable"),
    ],
)
def test_a_bad_certificate_stops_the_plan(item: dict[str, Any], reason: str) -> None:
    """A certificate that clients would refuse is an error of the plan."""
    objects = {("Secret", "default", "my-release-milvus-tls"): item}
    plan = make_plan(live(objects=objects, at=dt.datetime.now(dt.UTC)), wanted(), SHELL)
    assert [p.reason for p in plan.problems if p.severity == "error"] == [reason]
    assert plan.steps == ()

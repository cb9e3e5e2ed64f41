"""Envoy accepts every certificate and key that Kiteway accepts: its rejection would quote them."""

from __future__ import annotations

import base64
import functools
import random
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from kiteway.certificates import x509
from kiteway.certificates.x509 import CertificateError, CertificateFacts, inspect
from kiteway.envoy.bootstrap import validate
from tests.support.certificates import Issued, authority, ecdsa, issue, pem, rsa_key

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

HOST = "milvus.example.com"
_CONTEXT = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"


def _configuration(pairs: list[CertificateFacts]) -> dict[str, Any]:
    """Return a configuration with one filter chain a pair."""

    def chain(number: int, facts: CertificateFacts) -> dict[str, Any]:
        pair = {
            "certificate_chain": {"inline_bytes": base64.b64encode(facts.chain).decode()},
            "private_key": {"inline_bytes": base64.b64encode(facts.key.reveal()).decode()},
        }
        context = {"@type": _CONTEXT, "common_tls_context": {"tls_certificates": [pair]}}
        return {
            "filter_chain_match": {"server_names": [f"n{number}.example"]},
            "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context},
        }

    listener = {
        "name": "all",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [chain(number, facts) for number, facts in enumerate(pairs)],
    }
    return {"static_resources": {"listeners": [listener]}}


def _good(pairs: Iterator[tuple[bytes, bytes]]) -> list[CertificateFacts]:
    found = []
    for chain, key in pairs:
        try:
            found.append(inspect(chain, key))
        except CertificateError:
            continue
    return found


def _odd() -> Iterator[tuple[str, Issued]]:
    for curve in (ec.SECP224R1, ec.SECP256R1, ec.SECP384R1, ec.SECP521R1, ec.SECP256K1, ec.BrainpoolP256R1):
        yield curve.name, issue(HOST, key=ec.generate_private_key(curve()))
    for bits in (1024, 2047, 2048, 3072, 4096):
        yield f"RSA {bits}", issue(HOST, key=rsa_key(bits))
    yield "RSA, exponent 3", issue(HOST, key=rsa.generate_private_key(3, 2048))
    yield "Ed25519", issue(HOST, key=ed25519.Ed25519PrivateKey.generate())
    for usage in ("digital_signature", "key_encipherment", "key_agreement", "key_cert_sign"):
        yield f"ECDSA {usage}", issue(HOST, usage=[usage])
        yield f"RSA {usage}", issue(HOST, key=rsa_key(), usage=[usage])
    yield "must-staple", issue(HOST, must_staple=True)
    yield "no SAN", issue(cn=HOST)
    yield "no name", issue(cn="")
    yield "an address only", issue(cn="", ips=["192.0.2.7"])


def test_odd_keys_and_certificates(envoy_binary: Path) -> None:
    """Of all kinds of keys and certificates, Envoy accepts those that Kiteway accepts, and these are many."""
    made = dict(_odd())
    good = _good((issued.crt, issued.pem) for issued in made.values())

    assert validate(envoy_binary, _configuration(good)) is None
    assert len(good) >= 14


WRAPPED: dict[str, Callable[[bytes], bytes]] = {
    "CRLF": lambda text: text.replace(b"\n", b"\r\n"),
    "byte order mark": lambda text: b"\xef\xbb\xbf" + text,
    "text around": lambda text: b"Bag Attributes\n  friendlyName: x\n" + text + b"trailing",
    "spaces at line ends": lambda text: text.replace(b"\n", b"  \n"),
    "twice": lambda text: text + text,
    "another key behind": lambda text: text + pem(ecdsa()),
    "a certificate behind": lambda text: text + issue("other.example.com").crt,
}


@pytest.mark.parametrize("form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
def test_odd_wrappings(envoy_binary: Path, form: serialization.PrivateFormat) -> None:
    """
    Envoy accepts PKCS #1, SEC1 and PKCS #8 keys with other line ends, marks and text around them, if Kiteway
    does.
    """
    pairs = []
    for key in (ecdsa(), rsa_key()):
        made = issue(HOST, key=key)
        for wrap in WRAPPED.values():
            pairs += [(wrap(made.crt), pem(key, form)), (made.crt, wrap(pem(key, form)))]
    good = _good(iter(pairs))

    assert validate(envoy_binary, _configuration(good)) is None
    assert len(good) >= len(pairs) - 4


def _armoured(der: bytes, label: str) -> bytes:
    return f"-----BEGIN {label}-----\n{base64.encodebytes(der).decode()}-----END {label}-----\n".encode()


def _mutated(der: bytes, choose: random.Random) -> bytes:
    changed = bytearray(der)
    for _ in range(choose.choice((1, 1, 2))):
        at = choose.randrange(len(changed))
        changed[at] = choose.randrange(256) if choose.random() < 0.5 else changed[at] ^ (1 << choose.randrange(8))
    return bytes(changed)


# Newer releases of cryptography refuse what they now warn of.
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize("seed", range(2))
def test_damaged_certificates_and_keys(envoy_binary: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of thousands of damaged certificates and keys, Envoy accepts those that Kiteway accepts."""
    # Most pairs have the same key, and to check an RSA key takes 25 ms.
    monkeypatch.setattr(x509, "_key", functools.cache(x509._key))
    choose = random.Random(seed)
    made = issue(HOST, key=(ecdsa, rsa_key)[seed % 2](), usage=["digital_signature"])
    certificate = ssl.PEM_cert_to_DER_cert(made.crt.decode())
    key = made.key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

    def pairs() -> Iterator[tuple[bytes, bytes]]:
        for number in range(1000):
            if number % 4:
                yield _armoured(_mutated(certificate, choose), "CERTIFICATE"), made.pem
            else:
                yield made.crt, _armoured(_mutated(key, choose), "PRIVATE KEY")

    good = _good(pairs())

    assert validate(envoy_binary, _configuration(good)) is None
    assert len(good) > 50


@pytest.mark.parametrize(
    "options",
    [
        ["-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"],
        ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit"],
        ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt", "rsa_keygen_primes:3"],
    ],
    ids=["RSA-PSS", "explicit curve", "three primes"],
)
def test_keys_that_only_openssl_makes_are_refused(
    options: list[str], tmp_path: Path, openssl: Callable[..., bytes]
) -> None:
    """Kiteway refuses keys that OpenSSL supports and Envoy does not, with a reason, before Envoy gets them."""
    key = tmp_path / "key.pem"
    key.write_bytes(openssl("genpkey", *options))
    certificate = openssl("req", "-x509", "-new", "-key", key, "-subj", f"/CN={HOST}", "-days", "30")

    with pytest.raises(CertificateError) as caught:
        inspect(certificate, key.read_bytes())

    assert caught.value.reason in {"CertificateKeyType", "CertificateKeyUnreadable"}


@pytest.fixture
def openssl() -> Callable[..., bytes]:
    """Return a function that runs ``openssl``."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")

    def run(*arguments: str | Path) -> bytes:
        return subprocess.run([program, *arguments], check=True, capture_output=True).stdout

    return run


def test_a_long_chain(envoy_binary: Path) -> None:
    """A chain of ten certificates in random order is put in order and accepted."""
    issuers = [authority("Root")]
    for number in range(8):
        issuers.append(authority(f"Intermediate {number}", issuers[-1]))
    leaf = issue(HOST, issuer=issuers[-1])
    members = [leaf, *issuers]
    random.Random(1).shuffle(members)

    facts = inspect(b"".join(m.crt for m in members), leaf.pem)

    assert facts.chain == b"".join(m.crt for m in [leaf, *reversed(issuers)])
    assert validate(envoy_binary, _configuration([facts])) is None

"""The facts that are read from a certificate and its key, and the reasons for refusing them."""

from __future__ import annotations

import contextlib
import datetime as dt
import ssl
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from kiteway.certificates.names import covers
from kiteway.certificates.x509 import CertificateError, inspect, read_bundle
from tests.support.certificates import Issued, authority, ecdsa, issue, pem, rsa_key

HOST = "milvus.example.com"
SMALL = rsa_key(1024)
SIMPLE = issue(HOST)


def certificates(chain: bytes) -> list[x509.Certificate]:
    """Return the certificates of a PEM text."""
    return x509.load_pem_x509_certificates(chain)


def reasons(chain: bytes, key: bytes) -> set[str]:
    """Return the reasons of what is weak."""
    return {weakness.reason for weakness in inspect(chain, key).weaknesses}


def test_a_good_pair_has_no_weakness() -> None:
    """A certificate with a SAN, valid for 90 days, is served as it is."""
    facts = inspect(SIMPLE.crt, SIMPLE.pem)

    assert facts.names == (HOST,)
    assert facts.has_san
    assert facts.key_type == "ECDSA"
    assert facts.weaknesses == ()
    assert facts.chain == SIMPLE.crt


@pytest.mark.parametrize("kind", [0x03, 0x08])
@pytest.mark.parametrize("which", [1, 2])
def test_a_name_of_a_type_that_names_do_not_have(kind: int, which: int) -> None:
    """Kiteway refuses a CA whose issuer or subject OpenSSL can read and BoringSSL, which Envoy uses, cannot."""
    der = issue(cn="Root", ca=True, key=rsa_key()).certificate.public_bytes(serialization.Encoding.DER)
    parts = der.split(b"\x55\x04\x03\x0c")
    assert len(parts) == 3
    damaged = b"".join(
        part + (b"\x55\x04\x03" + bytes([kind if number == which else 0x0C]) if number < 3 else b"")
        for number, part in enumerate(parts, start=1)
    )

    with pytest.raises(CertificateError):
        read_bundle(ssl.DER_cert_to_PEM_cert(damaged).encode())


@pytest.mark.parametrize("scrambled", [(2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_a_chain_is_put_in_order(scrambled: tuple[int, ...]) -> None:
    """
    Whatever the order in the file, the leaf is served first, each followed by its issuer, and there is a
    diagnostic.
    """
    root = authority("Root")
    intermediate = authority("Intermediate", root)
    leaf = issue(HOST, issuer=intermediate)
    members = [leaf, intermediate, root]

    facts = inspect(b"".join(members[i].crt for i in scrambled), leaf.pem)

    assert certificates(facts.chain) == [m.certificate for m in members]
    assert {w.reason for w in facts.weaknesses} == {"CertificateChainOrder"}


def test_strangers_are_left_out_of_a_chain() -> None:
    """A certificate that signed nothing in the chain is not served."""
    root = authority("Root")
    leaf = issue(HOST, issuer=root)

    facts = inspect(leaf.crt + issue("other.example.com").crt + root.crt, leaf.pem)

    assert certificates(facts.chain) == [leaf.certificate, root.certificate]


def test_an_issuer_is_known_by_its_signature() -> None:
    """Of two CA certificates with the same name, the one whose key signed the leaf is served."""
    old, new = authority("Same name"), authority("Same name")
    leaf = issue(HOST, issuer=new)

    facts = inspect(leaf.crt + old.crt + new.crt, leaf.pem)

    assert certificates(facts.chain) == [leaf.certificate, new.certificate]


def test_a_missing_intermediate_is_reported() -> None:
    """
    A lone leaf of a CA that publishes its certificate lacks the intermediate; with the intermediate the chain
    is complete.
    """
    intermediate = authority("Intermediate", authority("Root"))
    leaf = issue(HOST, issuer=intermediate, ca_issuers=True)

    assert reasons(leaf.crt, leaf.pem) == {"CertificateChainIncomplete"}
    assert reasons(leaf.crt + intermediate.crt, leaf.pem) == set()


def test_a_leaf_of_a_private_root_is_complete() -> None:
    """A lone leaf of a private CA is no mistake, because clients have the CA."""
    leaf = issue(HOST, issuer=authority())

    assert reasons(leaf.crt, leaf.pem) == set()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: issue(cn=HOST), "CertificateWithoutSAN"),
        (lambda: issue(HOST, end=dt.timedelta(days=900)), "CertificateValidTooLong"),
        (lambda: issue(HOST, extended=[ExtendedKeyUsageOID.CLIENT_AUTH]), "CertificateUsage"),
        (lambda: issue(HOST, key=rsa_key(), usage=["key_encipherment"]), "CertificateUsage"),
    ],
)
def test_weak_certificates_are_served_and_reported(make: Callable[[], Issued], reason: str) -> None:
    """A certificate that Envoy accepts and a client may refuse has a weakness, not an error."""
    made = make()

    assert reasons(made.crt, made.pem) == {reason}


def _encrypted(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )


REFUSED: dict[str, tuple[Callable[[], tuple[bytes, bytes]], str, str]] = {
    "another key": (lambda: (SIMPLE.crt, pem(ecdsa())), "CertificateKeyMismatch", "tls.key"),
    "swapped": (lambda: (SIMPLE.pem, SIMPLE.crt), "CertificateUnreadable", "tls.crt"),
    "empty certificate": (lambda: (b" \n", SIMPLE.pem), "CertificateUnreadable", "tls.crt"),
    "empty key": (lambda: (SIMPLE.crt, b""), "CertificateKeyUnreadable", "tls.key"),
    "half a certificate": (lambda: (SIMPLE.crt[:200], SIMPLE.pem), "CertificateUnreadable", "tls.crt"),
    "half a key": (lambda: (SIMPLE.crt, SIMPLE.pem[:90]), "CertificateKeyUnreadable", "tls.key"),
    "a passphrase": (lambda: (SIMPLE.crt, _encrypted(ecdsa())), "CertificateKeyEncrypted", "tls.key"),
    "RSA 1024": (
        lambda: (issue(HOST, key=SMALL, digest=hashes.SHA256()).crt, pem(SMALL)),
        "CertificateKeyTooSmall",
        "tls.key",
    ),
    "Ed25519": (
        lambda: ((made := issue(HOST, key=ed25519.Ed25519PrivateKey.generate())).crt, made.pem),
        "CertificateKeyType",
        "tls.key",
    ),
    "secp256k1": (
        lambda: ((made := issue(HOST, key=ec.generate_private_key(ec.SECP256K1()))).crt, made.pem),
        "CertificateKeyType",
        "tls.key",
    ),
    "must-staple": (
        lambda: ((made := issue(HOST, must_staple=True)).crt, made.pem),
        "CertificateMustStaple",
        "tls.crt",
    ),
    "an ECDSA key that may not sign": (
        lambda: ((made := issue(HOST, usage=["key_agreement"])).crt, made.pem),
        "CertificateKeyUsage",
        "tls.crt",
    ),
    "no name": (lambda: ((made := issue(cn="")).crt, made.pem), "CertificateWithoutNames", "tls.crt"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_unusable_certificates_are_refused(case: str) -> None:
    """Each error has a reason, a fix and the wrong part."""
    make, reason, part = REFUSED[case]

    with pytest.raises(CertificateError) as caught:
        inspect(*make())

    assert (caught.value.reason, caught.value.part) == (reason, part)
    assert caught.value.fix
    assert caught.value.message.endswith(".")


@pytest.mark.parametrize(
    ("form", "wrap"),
    [
        (serialization.PrivateFormat.PKCS8, lambda b: b.replace(b"\n", b"\r\n")),
        (serialization.PrivateFormat.PKCS8, lambda b: b"\xef\xbb\xbf" + b),
        (serialization.PrivateFormat.PKCS8, lambda b: b"# my key\n" + b + b"\ntrailing text"),
        (serialization.PrivateFormat.TraditionalOpenSSL, lambda b: b),
        (
            serialization.PrivateFormat.TraditionalOpenSSL,
            lambda b: b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + b,
        ),
    ],
)
def test_envoy_gets_only_parsed_keys_and_certificates(
    form: serialization.PrivateFormat, wrap: Callable[[bytes], bytes]
) -> None:
    """In whatever form a key is given, Envoy gets it as plain PKCS #8, and the certificate as plain PEM."""
    key = ecdsa()
    made = issue(HOST, key=key)

    facts = inspect(wrap(made.crt) if b"EC PARAM" not in wrap(b"") else made.crt, wrap(pem(key, form)))

    assert facts.key.reveal() == pem(key)
    assert facts.chain == made.crt


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@given(st.binary(max_size=300), st.integers(0, 2000))
def test_no_input_breaks_the_reader(noise: bytes, at: int) -> None:
    """With any bytes overwritten, the result is an error with a reason or a pair that can be served."""
    for chain, key in (
        (SIMPLE.crt[:at] + noise + SIMPLE.crt[at + len(noise) :], SIMPLE.pem),
        (SIMPLE.crt, SIMPLE.pem[:at] + noise + SIMPLE.pem[at + len(noise) :]),
    ):
        with contextlib.suppress(CertificateError):
            inspect(chain, key)


@given(st.binary(min_size=40, max_size=400))
def test_no_message_quotes_the_key(noise: bytes) -> None:
    """Neither the error nor its cause contains any part of an unreadable key."""
    with pytest.raises(CertificateError) as caught:
        inspect(SIMPLE.crt, b"-----BEGIN PRIVATE KEY-----\n" + noise.hex().encode() + b"\n-----END PRIVATE KEY-----\n")

    text = f"{caught.value.message} {caught.value.fix} {caught.value.__cause__}"
    assert noise.hex()[:20] not in text


@pytest.mark.parametrize(
    ("names", "host", "covered"),
    [
        (("a.example.com",), "A.example.com.", True),
        (("*.example.com",), "a.example.com", True),
        (("*.example.com",), "a.b.example.com", False),
        (("*.example.com",), "example.com", False),
        (("*.example.com",), "*.example.com", True),
        (("192.0.2.7",), "192.0.2.7", True),
        (("2001:db8::1",), "2001:0db8::0001", True),
    ],
)
def test_names_cover_hosts(names: tuple[str, ...], host: str, covered: bool) -> None:  # noqa: FBT001 - data
    """A wildcard stands for exactly one label; addresses are compared as addresses."""
    assert covers(names, host) is covered

"""What stands in a Secret in place of a PEM file is recognised, and said at the field where it stands."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import NoEncryption, load_pem_private_key, pkcs12
from cryptography.x509 import load_pem_x509_certificate

from kiteway.certificates.create import create_self_signed
from kiteway.certificates.encodings import encoding_of
from kiteway.diagnostics import Severity
from kiteway.model import LoadBalancer
from kiteway.resources.load import load_documents
from kiteway.translate import judge_whole

PAIR = create_self_signed(["my-release.milvus.io"], [])
CERTIFICATE, KEY = PAIR.certificate, PAIR.key.reveal()
BODY = b"".join(CERTIFICATE.split(b"-----")[2].split())
PKCS12 = pkcs12.serialize_key_and_certificates(
    b"milvus",
    load_pem_private_key(KEY, None),  # type: ignore[arg-type]
    load_pem_x509_certificate(CERTIFICATE),
    None,
    NoEncryption(),
)

CASES: list[tuple[str, bytes, str]] = [
    ("twice", base64.b64encode(CERTIFICATE), "encoded once more than needed"),
    ("twice with line ends", base64.encodebytes(CERTIFICATE), "encoded once more than needed"),
    ("thrice", base64.b64encode(base64.b64encode(CERTIFICATE)), "encoded several times more than needed"),
    ("four times", base64.b64encode(base64.b64encode(base64.b64encode(CERTIFICATE))), ""),
    ("der", base64.b64decode(BODY), "without its BEGIN and END lines"),
    ("body", BODY, "without its BEGIN and END lines"),
    ("pkcs12", PKCS12, "a PKCS #12 file"),
    ("escaped", CERTIFICATE.replace(b"\n", rb"\n"), r"line ends written as \n"),
    ("one line", CERTIFICATE.replace(b"\n", b" "), "without its line ends"),
    ("name", b"./certs/tls.crt\n", "the name of a file"),
    ("utf-16", CERTIFICATE.decode().encode("utf-16"), "UTF-16"),
    ("pem", CERTIFICATE, ""),
    ("nothing", b"", ""),
    ("noise", b"\x00\x01\x02", ""),
    ("text", b"to be done", ""),
]


@pytest.mark.parametrize(("content", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_data_in_place_of_a_pem_file_is_recognised(content: bytes, words: str) -> None:
    """Each mistake of encoding has its own sentence and fix; what is PEM, or nothing known, has none."""
    found = encoding_of(content)
    assert (found is not None) == bool(words)
    assert found is None or (words in found.what and found.fix.endswith("."))


def _said(secret: dict[str, Any]) -> list[tuple[Severity, str, str, str]]:
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "tls"},
        **secret,
    }
    loaded = load_documents(yaml.safe_dump(manifest).encode(), "f.yaml")
    found = [*loaded.diagnostics, *judge_whole(loaded.objects, LoadBalancer())]
    return [(d.severity, d.path, d.message, d.fix) for d in found if d.reason != "NothingServed"]


def _b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


# A certificate on one line is read all the same.
WRONG = [case for case in CASES if case[2] and case[0] != "one line"]


@pytest.mark.parametrize("content", [case[1] for case in WRONG], ids=[case[0] for case in WRONG])
@pytest.mark.parametrize("part", ["tls.crt", "tls.key"])
def test_a_secret_that_nothing_names_is_judged(content: bytes, part: str) -> None:
    """A TLS Secret alone gets a warning at the field that is wrong; the content is in no word of it."""
    values = {"tls.crt": _b64(CERTIFICATE), "tls.key": _b64(KEY), part: _b64(content)}
    [(severity, path, message, fix)] = _said({"data": values})
    assert (severity, path) == (Severity.WARNING, f'data["{part}"]')
    assert message.startswith(f"{part} cannot be read: it ")
    assert fix
    assert BODY[:20].decode() not in message + fix


def test_the_field_is_the_one_that_was_written() -> None:
    """With stringData the diagnostic is about stringData, and PEM text under data is sent there."""
    [(_, path, _, _)] = _said({"stringData": {"tls.crt": _b64(CERTIFICATE), "tls.key": KEY.decode()}})
    assert path == 'stringData["tls.crt"]'
    said = _said({"data": {"tls.crt": CERTIFICATE.decode(), "tls.key": KEY.decode()}})
    assert [(severity, path) for severity, path, _, _ in said] == [
        (Severity.ERROR, 'data["tls.crt"]'),
        (Severity.ERROR, 'data["tls.key"]'),
    ]
    assert all("the text of a PEM file" in message and "stringData" in fix for _, _, message, fix in said)


def test_swapped_files_are_said() -> None:
    """A key in tls.crt and a certificate in tls.key are both said to be swapped."""
    [(_, path, message, _)] = _said({"data": {"tls.crt": _b64(CERTIFICATE), "tls.key": _b64(CERTIFICATE)}})
    assert (path, "swapped" in message) == ('data["tls.key"]', True)


def test_a_good_secret_alone_is_no_mistake() -> None:
    """Nothing is said of a TLS Secret whose certificate and key belong together, or of one of another type."""
    good = {"tls.crt": _b64(CERTIFICATE), "tls.key": _b64(KEY)}
    assert _said({"data": good}) == []
    assert _said({"data": {"tls.crt": "bm8="}, "type": "Opaque"}) == []


@pytest.mark.parametrize("name", ["body", "double", "stringdata-b64"])
def test_the_reported_secrets(name: str) -> None:
    """The Secrets of public reports (kubernetes/website #41785, #34362): each is told what its bytes are."""
    text = (Path(__file__).parents[1] / "fixtures/secrets" / f"{name}.yaml").read_bytes()
    loaded = load_documents(text, "f.yaml")
    found = [d for d in judge_whole(loaded.objects, LoadBalancer()) if d.reason == "CertificateUnreadable"]
    assert [d.path for d in found] == ['stringData["tls.crt"]' if name.startswith("string") else 'data["tls.crt"]']

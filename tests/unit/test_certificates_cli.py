"""``kiteway cert``: creates and shows certificates and CAs."""

from __future__ import annotations

import base64
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from typer.testing import CliRunner, Result

from kiteway.certificates.create import KeyPair, create_authority, create_client, create_issued, create_self_signed
from kiteway.certificates.x509 import inspect
from kiteway.cli import app
from kiteway.model import PrivateKey
from tests.support.certificates import issue
from tests.support.ingresses import ingress, secret, service, text

HOST = "milvus.example.com"


def run(*arguments: str | Path) -> Result:
    """Run the command line."""
    return CliRunner().invoke(app, [str(a) for a in arguments])


def shown(*arguments: str | Path) -> dict[str, Any]:
    """Return the JSON report of a command."""
    found: dict[str, Any] = json.loads(run(*arguments, "--output", "json").stdout)
    return found


def test_a_ca_signs_certificates_that_verify(tmp_path: Path) -> None:
    """``create-ca`` makes a CA, ``create --ca`` a certificate that the CA has signed; the keys are 0600."""
    assert run("cert", "create-ca", "--out", tmp_path / "ca", "--name", "Mine").exit_code == 0
    assert run("cert", "create", "--ca", tmp_path / "ca", "--host", HOST, "--out", tmp_path).exit_code == 0

    root = x509.load_pem_x509_certificate((tmp_path / "ca" / "ca.crt").read_bytes())
    leaf = x509.load_pem_x509_certificate((tmp_path / "tls.crt").read_bytes())
    leaf.verify_directly_issued_by(root)
    facts = inspect((tmp_path / "tls.crt").read_bytes(), (tmp_path / "tls.key").read_bytes())
    assert facts.names == (HOST,)
    assert facts.weaknesses == ()
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    for key in (tmp_path / "tls.key", tmp_path / "ca" / "ca.key"):
        assert key.stat().st_mode & 0o777 == 0o600


def test_a_client_certificate_is_for_clients_only(tmp_path: Path) -> None:
    """``create --client`` gives a certificate with clientAuth and the name as its common name."""
    run("cert", "create-ca", "--out", tmp_path)
    assert run("cert", "create", "--ca", tmp_path, "--client", "search", "--out", tmp_path).exit_code == 0

    leaf = x509.load_pem_x509_certificate((tmp_path / "tls.crt").read_bytes())
    assert leaf.subject.rfc4514_string() == "CN=search"
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_a_secret_carries_the_ca(tmp_path: Path) -> None:
    """With ``--ca`` and ``--secret`` the Secret has ca.crt as well, for verification."""
    run("cert", "create-ca", "--out", tmp_path)

    document = yaml.safe_load(run("cert", "create", "--ca", tmp_path, "--host", HOST, "--secret", "s").stdout)

    assert base64.b64decode(document["data"]["ca.crt"]) == (tmp_path / "ca.crt").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--client", "x"], "--client goes with --ca"),
        (["--host", HOST, "--ca", "nowhere"], "create-ca"),
        (["--host", "192.0.2.7"], "give it with --ip"),
        ([], "at least one host name or IP address: give --host NAME or --ip"),
    ],
)
def test_wrong_options_are_usage_errors(arguments: list[str], sentence: str) -> None:
    """A wrong combination of options ends with 2 and a sentence that says what to do."""
    result = run("cert", "create", *arguments)

    assert result.exit_code == 2
    assert sentence in result.stderr.replace("\n", " ")


def test_files_are_not_overwritten(tmp_path: Path) -> None:
    """A second run does not change existing files, unless it has --force."""
    run("cert", "create", "--host", HOST, "--out", tmp_path)
    before = (tmp_path / "tls.key").read_bytes()

    assert run("cert", "create", "--host", HOST, "--out", tmp_path).exit_code == 2
    assert (tmp_path / "tls.key").read_bytes() == before
    assert run("cert", "create", "--host", HOST, "--out", tmp_path, "--force").exit_code == 0
    assert (tmp_path / "tls.key").read_bytes() != before


def test_a_name_in_another_script_is_given_in_ascii(tmp_path: Path) -> None:
    """DNS and certificates have it as punycode; of full-width dots the letters are all that is wrong."""
    for typed, name in (("\u5411\u91cf.example.com", "xn--iqru05l.example.com"), ("milvus\u3002example.com", HOST)):
        result = run("cert", "create", "--host", typed, "--out", tmp_path)
        assert result.exit_code == 2
        assert f'in ASCII, as DNS has it, it is "{name}"' in result.output
    assert "ASCII" not in run("cert", "create", "--host", "a..example.com").output


def test_only_a_ca_signs() -> None:
    """
    A leaf, a key that does not match, a CA that expires earlier and invalid data are refused, and no message
    quotes a key.
    """
    ca, other = create_authority("A"), create_authority("B")
    leaf = create_issued(ca, [HOST])
    old = create_authority("Old", days=10)
    noise = KeyPair(ca.certificate, PrivateKey(b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"))
    for pair, sentence in (
        (leaf, "not one of a CA"),
        (KeyPair(ca.certificate, other.key), "does not belong"),
        (old, "valid until"),
        (noise, "cannot be used"),
    ):
        with pytest.raises(ValueError, match=sentence) as caught:
            create_issued(pair, [HOST])
        assert "c2VjcmV0" not in str(caught.value)
        assert caught.value.__cause__ is None
    assert create_client(ca, "x").certificate


def test_the_list_has_certificates_and_their_hosts(tmp_path: Path) -> None:
    """
    For manifests, the list has names, hosts, source, days and problems of each certificate; a bad Secret is
    reported.
    """
    soon = issue(HOST, end=dt.timedelta(days=5))
    file = tmp_path / "all.yaml"
    file.write_bytes(
        text(
            service(),
            secret("soon", soon),
            secret("broken", (soon.crt, b"nothing")),
            ingress("i", [HOST], ["soon", "broken"]),
        )
    )

    result = run("cert", "list", "-f", file, "--output", "json")
    (entry,) = json.loads(result.stdout)["certificates"]

    assert result.exit_code == 0
    assert (entry["name"], entry["source"]) == ("default/soon", "Secret default/soon")
    assert entry["servedFor"] == ["default", HOST]
    assert entry["daysLeft"] in {4, 5}
    assert [p["reason"] for p in entry["problems"]] == ["CertificateExpiresSoon"]
    assert "CertificateKeyUnreadable" in result.stderr
    assert "soon" in run("cert", "list", "-f", file).stdout


def test_one_certificate_is_shown(tmp_path: Path) -> None:
    """By its name in manifests or as a file, the output is the same, without a key."""
    pair = create_self_signed([HOST])
    file, crt = tmp_path / "all.yaml", tmp_path / "tls.crt"
    crt.write_bytes(pair.certificate)
    file.write_bytes(
        text(service(), secret("one", (pair.certificate, pair.key.reveal())), ingress("i", [HOST], ["one"]))
    )

    by_name, by_file = shown("cert", "show", "one", "-f", file), shown("cert", "show", crt)

    assert by_name["fingerprint"] == by_file["fingerprint"]
    assert by_name["selfSigned"]
    assert "PRIVATE" not in json.dumps(by_name)
    assert "self-signed" in run("cert", "show", crt).stdout


def test_an_expired_certificate_ends_with_1(tmp_path: Path) -> None:
    """The exit status is 1 also for a certificate that clients refuse now."""
    crt = tmp_path / "tls.crt"
    crt.write_bytes(issue(HOST, start=dt.timedelta(days=-9), end=dt.timedelta(days=-1)).crt)

    result = run("cert", "show", crt)

    assert result.exit_code == 1
    assert "CertificateExpired" in result.stdout


def test_missing_certificates_are_errors(tmp_path: Path) -> None:
    """An unknown name, an empty file and a missing instance end with 1 and a sentence."""
    (tmp_path / "empty.pem").touch()
    (tmp_path / "all.yaml").write_bytes(text(service()))

    assert "no certificate x" in run("cert", "show", "x", "-f", tmp_path / "all.yaml").stderr
    assert "no valid PEM" in run("cert", "show", tmp_path / "empty.pem").stderr.replace("\n", " ")
    assert "no instance runs" in run("cert", "list", "--data-dir", tmp_path / "data").stderr

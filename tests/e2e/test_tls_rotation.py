"""All usual ways of replacing a certificate; an incomplete one is never served."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from kiteway.files import write_atomic
from tests.support.certificates import Issued, issue, rsa_key
from tests.support.ingresses import ingress, secret, service, text
from tests.support.kiteway import KITEWAY, Running, up, wait_until
from tests.support.served import served

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

MANIFEST, PAIR, MOUNT, LINKED, BOTH = (
    f"{name}.example.com" for name in ("manifest", "pair", "mount", "linked", "both")
)
RSA = rsa_key()


@dataclass
class System:
    """A running balancer, and where its certificates are."""

    running: Running
    folder: Path
    port: int

    def served(self, host: str | None, ciphers: str = "") -> bytes:
        """Return the certificate that answers ``host``."""
        version = ssl.TLSVersion.TLSv1_2 if ciphers else None
        return served(self.port, host, ciphers=ciphers, version=version)

    def wait_served(self, host: str, issued: Issued) -> None:
        """Wait until new handshakes get ``issued``."""
        wait_until(lambda: self.served(host) == issued.crt, f"{host} has the new certificate")

    def reasons(self) -> set[str]:
        """Return the reasons of all diagnostics in the status."""
        return {d["reason"] for d in self.running.status()["diagnostics"]}


def _write(folder: Path, issued: Issued) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "tls.crt", issued.crt)
    write_atomic(folder / "tls.key", issued.pem, 0o600)


def _mounted(mount: Path, version: str, issued: Issued) -> None:
    """Write a Secret's files as the kubelet does: a new folder, then one rename of a link to it."""
    _write(mount / version, issued)
    (mount / "..data_tmp").symlink_to(version)
    (mount / "..data_tmp").rename(mount / "..data")


@pytest.fixture(scope="module")
def system(free_port: Callable[[], int]) -> Iterator[System]:
    """Start a balancer with a Secret in a manifest and certificates in files; there is no Milvus behind it."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    manifests, mount, linked = folder / "manifests", folder / "mount", folder / "linked"
    manifests.mkdir()
    (folder / "both").mkdir()
    _write(folder / "pair", issue(PAIR))
    mount.mkdir()
    _mounted(mount, "..1", issue(MOUNT))
    for name in ("tls.crt", "tls.key"):
        (mount / name).symlink_to(f"..data/{name}")
    _write(folder / "archive" / "1", issue(LINKED))
    linked.mkdir()
    for name in ("tls.crt", "tls.key"):
        (linked / name).symlink_to(f"../archive/1/{name}")
    hosts = [MANIFEST, PAIR, MOUNT, LINKED, BOTH]
    names = ["manifest", "pair", "mount", "linked", "both-ec", "both-rsa"]
    (manifests / "all.yaml").write_bytes(text(service(), ingress("all", hosts, names)))
    for name, issued in {
        "manifest": issue(MANIFEST),
        "both-ec": issue(BOTH),
        "both-rsa": issue(BOTH, key=RSA),
    }.items():
        write_atomic(manifests / f"{name}.yaml", text(secret(name, issued)), 0o600)
    port = free_port()
    arguments = ["-f", manifests, "--https-port", str(port), "--http-port", "0", "--drain", "0"]
    arguments += ["--endpoint", f"milvus=127.0.0.1:{free_port()}"]
    for name in ("pair", "mount", "linked"):
        arguments += ["--tls", f"{name}={folder / name / 'tls.crt'},{folder / name / 'tls.key'}"]
    try:
        with up([str(a) for a in arguments], folder / "data") as running:
            yield System(running, folder, port)
    finally:
        shutil.rmtree(folder)


def test_a_replaced_secret_manifest(system: System) -> None:
    """After a Secret's manifest is renamed into place, new handshakes get its certificate."""
    new = issue(MANIFEST)
    write_atomic(system.folder / "manifests" / "manifest.yaml", text(secret("manifest", new)), 0o600)

    system.wait_served(MANIFEST, new)


def test_a_half_written_secret_manifest(system: System) -> None:
    """A manifest that is being written is never used: the old certificate is served until the file is complete."""
    file, old, new = system.folder / "manifests" / "manifest.yaml", system.served(MANIFEST), issue(MANIFEST)
    whole = text(secret("manifest", new))
    with file.open("wb") as stream:
        stream.write(whole[: whole.index(b"tls.key") + 60])
        stream.flush()
        wait_until(lambda: {r for r in system.reasons() if "Key" in r or "Yaml" in r}, "the half is reported")

        assert system.served(MANIFEST) == old

        stream.write(whole[whole.index(b"tls.key") + 60 :])
    system.wait_served(MANIFEST, new)


def test_replaced_files(system: System) -> None:
    """Of two files renamed one after the other, the pair is used when both are in place, and never before."""
    old, new = system.served(PAIR), issue(PAIR)
    write_atomic(system.folder / "pair" / "tls.crt", new.crt)
    wait_until(lambda: "CertificateKeyMismatch" in system.reasons(), "the mismatch is reported")

    assert system.served(PAIR) == old

    write_atomic(system.folder / "pair" / "tls.key", new.pem, 0o600)
    system.wait_served(PAIR, new)
    wait_until(lambda: "CertificateKeyMismatch" not in system.reasons(), "the diagnostic is gone")


def test_files_written_in_place(system: System) -> None:
    """While files are truncated and written in pieces, the old pair is served until the new one is complete."""
    old, new = system.served(PAIR), issue(PAIR)
    certificate, key = system.folder / "pair" / "tls.crt", system.folder / "pair" / "tls.key"
    with certificate.open("wb") as first, key.open("wb") as second:
        first.write(new.crt[:200])
        first.flush()
        wait_until(lambda: "CertificateUnreadable" in system.reasons(), "the half is reported")
        assert system.served(PAIR) == old
        first.write(new.crt[200:])
        first.flush()
        second.write(new.pem[:90])
        second.flush()
        wait_until(lambda: "CertificateKeyUnreadable" in system.reasons(), "the half key is reported")
        assert system.served(PAIR) == old
        second.write(new.pem[90:])
    system.wait_served(PAIR, new)


def test_a_mounted_secret(system: System) -> None:
    """Kubernetes' swap of the ..data link replaces both files at once, again and again."""
    mount = system.folder / "mount"
    for version in ("..2", "..3", "..4"):
        before = (mount / "..data").readlink()
        new = issue(MOUNT)
        _mounted(mount, version, new)
        shutil.rmtree(mount / before)

        system.wait_served(MOUNT, new)


def test_links_that_are_replaced(system: System) -> None:
    """Kiteway follows links from one folder into another, as certbot makes them, when they are replaced."""
    for version in ("2", "3"):
        new = issue(LINKED)
        _write(system.folder / "archive" / version, new)
        for name in ("tls.crt", "tls.key"):
            (system.folder / "linked" / "next").symlink_to(f"../archive/{version}/{name}")
            (system.folder / "linked" / "next").rename(system.folder / "linked" / name)

        system.wait_served(LINKED, new)


def test_rsa_and_ecdsa_clients_get_each_their_own(system: System) -> None:
    """A client that supports only RSA, or only ECDSA, gets that certificate; by SNI and on TLS 1.2."""
    by_kind = {
        name: system.served(BOTH, ciphers) for name, ciphers in {"ec": "ECDHE+ECDSA", "rsa": "ECDHE+aRSA"}.items()
    }

    for name, certificate in by_kind.items():
        secret_file = (system.folder / "manifests" / f"both-{name}.yaml").read_text()
        assert certificate.decode().splitlines()[2] in secret_file


def test_what_is_served_is_listed(system: System) -> None:
    """``cert list`` and ``cert show`` show the certificate of the running instance that a handshake shows."""
    listed = _kiteway("cert", "list", "--data-dir", system.folder / "data")["certificates"]
    shown = _kiteway("cert", "show", "pair", "--data-dir", system.folder / "data")
    seen = _kiteway("cert", "show", f"127.0.0.1:{system.port}", "--server-name", PAIR)

    assert {entry["name"] for entry in listed} == {
        f"default/{name}" for name in ("manifest", "pair", "mount", "linked", "both-ec", "both-rsa")
    }
    assert shown["servedFor"] == [PAIR]
    assert shown["source"] == "Secret default/pair"
    assert shown["fingerprint"] == seen["fingerprint"] == _fingerprint(system.served(PAIR))


def _kiteway(*arguments: str | Path) -> dict[str, Any]:
    done = subprocess.run([KITEWAY, *arguments, "--output", "json"], capture_output=True, check=True, timeout=60)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _fingerprint(certificate: bytes) -> str:
    return x509.load_pem_x509_certificate(certificate).fingerprint(hashes.SHA256()).hex()


def test_without_sni_the_first_certificate_answers(system: System) -> None:
    """A client without SNI, and one with an unknown name, get the first certificate of the list."""
    assert system.served(None) == system.served(MANIFEST)
    assert system.served("unknown.example.org") == system.served(MANIFEST)

"""Private keys are in no log, dump, status, plan or command line, and every file with one is 0600."""

from __future__ import annotations

import asyncio
import base64
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from kiteway.envoy.admin import AdminClient
from kiteway.files import write_atomic
from tests.support.certificates import Issued, authority, ecdsa, issue, pem, rsa_key
from tests.support.ingresses import ingress, secret, service, text
from tests.support.kiteway import KITEWAY, Running, up, wait_until
from tests.support.served import served

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

GOOD, FILE, BAD, CLIENT = "good.example.com", "file.example.com", "bad.example.com", "client"


def _marks(issued: Issued) -> set[bytes]:
    """Return what betrays a key: each line of its PEM in both encodings, and a private number in decimal and hex."""
    found = set()
    for form in (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL):
        text_ = pem(issued.key, form)
        lines = text_.splitlines()[1:-1]
        # The first lines of all keys of a kind are alike.
        found |= {line for line in lines[1:] if len(line) > 40} | {base64.b64encode(text_)[200:260]}
    numbers = issued.key.private_numbers()  # type: ignore[union-attr]
    number = numbers.d if isinstance(issued.key, rsa.RSAPrivateKey) else numbers.private_value  # type: ignore[union-attr]
    return found | {str(number).encode()[:40], f"{number:x}".encode()[:40]}


@dataclass
class System:
    """A balancer with keys from everywhere, and what betrays them."""

    running: Running
    folder: Path
    port: int
    marks: set[bytes] = field(default_factory=set)

    def found_in(self, text_: bytes) -> set[bytes]:
        """Return the marks that a text holds, line breaks and escapes in it left aside."""
        plain = text_.replace(b"\\n", b"\n").replace(b"\r", b"")
        return {mark for mark in self.marks if mark in plain} | {m for m in (b"PRIVATE KEY-----",) if m in plain}


@pytest.fixture(scope="module")
def system(free_port: Callable[[], int]) -> Iterator[System]:
    """Start a balancer; break a Secret and a file while it runs, so that everything is said that can be said."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    ca = authority()
    good, in_file, shown = issue(GOOD, key=rsa_key()), issue(FILE), issue(cn=CLIENT, issuer=ca, key=rsa_key())
    stranger = ecdsa()
    unusual = issue(BAD, usage=["key_agreement"])
    manifests, files = folder / "manifests", folder / "files"
    manifests.mkdir()
    files.mkdir()
    (files / "tls.crt").write_bytes(in_file.crt)
    write_atomic(files / "tls.key", in_file.pem, 0o600)
    notes = {"kiteway.io/backend-client-certificate-secret": CLIENT}
    write_atomic(
        manifests / "all.yaml",
        text(
            service(annotations=notes),
            secret("good", good),
            secret(CLIENT, shown),
            ingress("i", [GOOD, FILE], ["good", "file"]),
        ),
        0o600,
    )
    # A key of another certificate, a key Envoy does not take, and one that is damaged in the middle.
    damaged = rsa_key()
    torn = pem(damaged).replace(pem(damaged).splitlines()[9][:20], b"x" * 20)
    write_atomic(
        manifests / "bad.yaml",
        text(
            secret("mismatch", (issue(BAD).crt, pem(stranger))),
            secret("unusual", unusual),
            secret("torn", (issue(BAD).crt, torn)),
            ingress("j", [BAD], ["mismatch", "unusual", "torn"], created="2026-02-01T00:00:00Z"),
        ),
        0o600,
    )
    port = free_port()
    arguments = ["-f", str(manifests), "--https-port", str(port), "--http-port", "0", "--drain", "0"]
    arguments += ["--endpoint", f"milvus=127.0.0.1:{free_port()}", "--tls", f"file={files}/tls.crt,{files}/tls.key"]
    keys = [good, in_file, shown, unusual, Issued(good.certificate, stranger), Issued(good.certificate, damaged)]
    try:
        with up(arguments, folder / "data") as running:
            system = System(running, folder, port, set().union(*map(_marks, keys)))
            write_atomic(files / "tls.key", pem(stranger), 0o600)
            wait_until(lambda: "fitted" in str(running.status()["diagnostics"]), "the broken file is reported")
            yield system
    finally:
        shutil.rmtree(folder)


def test_the_marks_would_be_found(system: System) -> None:
    """The test recognises the keys where they are allowed: in the Secret's manifest and in the file."""
    assert system.found_in((system.folder / "manifests" / "all.yaml").read_bytes())
    assert system.found_in((system.folder / "files" / "tls.key").read_bytes())
    assert served(system.port, GOOD)


def test_no_log_holds_a_key(system: System) -> None:
    """Neither the logs nor the output of `kiteway up` have a key, also with mistakes in several Secrets."""
    logs = [system.running.log, *(p for p in system.running.instance.log_dir.rglob("*") if p.is_file())]

    assert len(logs) > 2
    assert b"CertificateKeyMismatch" in b"".join(log.read_bytes() for log in logs)
    for log in logs:
        assert system.found_in(log.read_bytes()) == set(), log


@pytest.mark.parametrize("output", ["table", "json", "yaml", "envoy"])
def test_no_plan_holds_a_key(system: System, output: str) -> None:
    """`kiteway plan` shows no key, also as configuration for Envoy."""
    done = subprocess.run(
        [KITEWAY, "plan", "-f", system.folder / "manifests", "--output", output],
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert done.stdout
    assert system.found_in(done.stdout + done.stderr) == set()


@pytest.mark.parametrize(
    "command", [["status"], ["status", "-o", "json"], ["cert", "list"], ["cert", "show", "good", "-o", "json"]]
)
def test_no_status_holds_a_key(system: System, command: list[str]) -> None:
    """The status of a running instance has no key."""
    done = subprocess.run(
        [KITEWAY, *command, "--data-dir", system.folder / "data"], capture_output=True, check=False, timeout=60
    )

    assert b"good" in done.stdout
    assert system.found_in(done.stdout + done.stderr) == set()


def test_no_dump_of_envoy_holds_a_key(system: System) -> None:
    """Envoy's own dump of its configuration has the certificates, and its keys are redacted."""

    async def dump() -> bytes:
        async with AdminClient(system.running.instance.admin_socket) as admin:
            return str(await admin.config_dump()).encode()

    found = asyncio.run(dump())

    assert b"certificate/default/good" in found
    assert system.found_in(found) == set()


def test_no_command_line_or_environment_holds_a_key(system: System) -> None:
    """The command lines and environments of the processes have no key."""
    seen = set()
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        try:
            found = system.found_in((process / "cmdline").read_bytes() + (process / "environ").read_bytes())
        except OSError:
            continue
        seen.add(int(process.name))
        assert found == set(), process
    ours = {system.running.process.pid, *(system.running.child(name)[0] for name in ("controlplane", "envoy"))}
    assert ours <= seen


def test_files_with_keys_are_for_their_owner_only(system: System) -> None:
    """Every file of the instance with a key is 0600, below a folder that is 0700."""
    data = system.folder / "data"
    with_keys = [p for p in data.rglob("*") if p.is_file() and not p.is_socket() and system.found_in(p.read_bytes())]

    for file in with_keys:
        assert file.stat().st_mode & 0o077 == 0, file
    assert data.stat().st_mode & 0o077 == 0

"""The main use: the guide's manifests, a real Milvus with TLS, a real Envoy, PyMilvus."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from pymilvus import MilvusClient, MilvusException

from kiteway.certificates.create import KeyPair, create_self_signed
from kiteway.demo.guide import HOST, manifests, secret
from kiteway.files import write_atomic
from kiteway.milvus.embedded import StandaloneMilvus, TLSFiles
from kiteway.milvus.verify import FailureReason, Target, verify
from tests.support.kiteway import KITEWAY, Running, up, wait_until
from tests.support.reads import SteadyReads, fill

pytestmark = [pytest.mark.e2e, pytest.mark.milvus, pytest.mark.timeout(300)]

COLLECTION = "steady"


@dataclass(frozen=True)
class System:
    """A Milvus behind Kiteway, and what a client needs."""

    running: Running
    manifests: Path
    ca: Path
    port: int

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"127.0.0.1:{self.port}"

    def reads(self) -> SteadyReads:
        """Return a client that searches all the time."""
        return SteadyReads(self.address, self.ca, HOST, COLLECTION)

    def fingerprint(self) -> bytes:
        """Return the certificate a new handshake is answered with."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", self.port)) as plain,
            context.wrap_socket(plain, server_hostname=HOST) as tls,
        ):
            served = tls.getpeercert(binary_form=True)
            assert served is not None
            return served


def _pair() -> KeyPair:
    return create_self_signed([HOST], ["127.0.0.1"])


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[System]:
    """Start a Milvus with TLS and Kiteway before it, with the guide's manifests and a collection."""
    # The path of a unix socket is short; pytest's folders are not.
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    backend = create_self_signed(["localhost"], ["127.0.0.1"], key_type="RSA")
    files = TLSFiles(folder / "backend.crt", folder / "backend.key")
    files.cert.write_bytes(backend.certificate)
    write_atomic(files.key, backend.key.reveal(), 0o600)
    loop = asyncio.new_event_loop()
    milvus = StandaloneMilvus(folder / "milvus", tls=files)
    try:
        loop.run_until_complete(milvus.start())
        kept = folder / "manifests"
        shutil.copytree(manifests(), kept)
        pair = _pair()
        ca = folder / "tls.crt"
        ca.write_bytes(pair.certificate)
        write_atomic(kept / "secret.yaml", secret(pair), 0o600)
        port, at = free_port(), milvus.endpoint
        arguments = ["-f", kept, "--https-port", str(port), "--http-port", "0", "--log-calls"]
        arguments += ["--endpoint", f"my-release-milvus=127.0.0.1:{at.port},health={at.health_port}", "--drain", "5"]
        with up([str(a) for a in arguments], folder / "data") as running:
            running.wait_healthy(1)
            fill(f"https://127.0.0.1:{port}", ca, HOST, COLLECTION)
            yield System(running, kept, ca, port)
    finally:
        loop.run_until_complete(milvus.stop())
        loop.close()
        shutil.rmtree(folder)


def test_both_forms_of_pymilvus_verify(system: System) -> None:
    """The guide's ORM form and MilvusClient both connect, write, search and clean up through the balancer."""
    report = asyncio.run(verify(Target(host="127.0.0.1", port=system.port, ca=system.ca, server_name=HOST)))

    assert report.failure is None
    assert report.verified
    assert {"connect-orm", "connect-client", "search", "drop"} <= {step.name for step in report.steps}


def test_the_filter_counts_searches(system: System) -> None:
    """The filter is loaded by this Envoy, and status shows the calls by method."""
    with system.reads() as reads:
        reads.wait_for(5)

    found = system.running.status()["filter"]

    assert found["loaded"], found["reason"]
    assert any(name.endswith("Search") and count >= 5 for name, count in found["counters"].items()), found


def test_the_access_log_says_what_pymilvus_asked_and_milvus_answered(system: System) -> None:
    """In a session of writes and reads each line has the names, sizes and rows that the client knows."""
    log = system.running.instance.data_dir / "logs/access.log"
    client = MilvusClient(f"https://{system.address}", server_pem_path=str(system.ca), server_name=HOST)
    rows = [{"id": number, "vector": [number / 100] * 64} for number in range(50)]
    client.create_collection("noted", 64, metric_type="L2", consistency_level="Strong")
    inserted = client.insert("noted", rows)
    found = client.search("noted", data=[[0.1] * 64] * 3, limit=7, output_fields=["id"])
    listed = client.query("noted", filter="id < 20", limit=15, output_fields=["id", "vector"])
    client.delete("noted", ids=[1, 2, 3])
    client.drop_collection("noted")
    with pytest.raises(MilvusException):
        client.query("noted", filter="id < 20", limit=1)
    client.close()

    def notes() -> dict[str, list[dict[str, object]]]:
        by_rpc: dict[str, list[dict[str, object]]] = {}
        for line in log.read_text().splitlines():
            entry = json.loads(line)
            if (entry["call"] or {}).get("collection") == "noted":
                by_rpc.setdefault(entry["path"].rpartition("/")[2], []).append(entry["call"])
        return by_rpc

    wait_until(lambda: len(notes().get("DropCollection", [])) > 0, "the log has the session")
    calls = notes()
    named = {"database": "default", "collection": "noted"}
    [insert] = calls["Insert"]
    assert insert == named | {"rows": inserted["insert_count"], "code": 0}
    [search] = calls["Search"]
    assert search == search | named | {"nq": 3, "limit": 7, "output_fields": 1, "code": 0}
    assert search["rows"] == sum(len(hits) for hits in found) == 21
    query = calls["Query"][0]
    assert query == query | named | {"limit": 15, "output_fields": 2, "code": 0, "rows": len(listed)}
    assert calls["Delete"][0] == named | {"rows": 3, "code": 0}
    assert calls["CreateCollection"][0] == named | {"code": 0}
    assert "id < 20" not in log.read_text()


def test_milvus_is_recognized(system: System) -> None:
    """Kiteway recognises a real Milvus by its health port, and pings it as often as Milvus allows."""
    wait_until(lambda: system.running.status()["pools"][0]["keepaliveSeconds"] == 6, "Milvus is recognized")


def test_calls_go_on_while_the_control_plane_is_killed(system: System) -> None:
    """After a kill of the control plane no call fails, and the supervisor restarts it."""
    with system.reads() as reads:
        system.running.kill("controlplane")
        wait_until(lambda: system.running.status().get("ready"), "the control plane is ready again")
        reads.wait_for(20)

    assert not reads.failures
    assert reads.ok > 20


def test_envoy_comes_back_by_itself(system: System) -> None:
    """After a kill of Envoy the supervisor restarts it, and the new Envoy gets its configuration and serves."""
    system.running.kill("envoy")
    wait_until(lambda: system.running.status().get("ready"), "Envoy serves again")
    system.running.wait_healthy(1)

    with system.reads() as reads:
        reads.wait_for(20)

    assert not reads.failures


def test_a_new_certificate_is_live_without_a_failed_call(system: System) -> None:
    """New handshakes get the new certificate of a replaced Secret, and calls on old connections go on."""
    before = system.fingerprint()
    pair = _pair()
    with system.reads() as reads:
        write_atomic(system.manifests / "secret.yaml", secret(pair), 0o600)
        system.ca.write_bytes(system.ca.read_bytes() + pair.certificate)
        wait_until(lambda: system.fingerprint() != before, "the new certificate is served")
        reads.wait_for(20)

    served = x509.load_der_x509_certificate(system.fingerprint())
    assert served == x509.load_pem_x509_certificate(pair.certificate)
    assert not reads.failures


def test_an_edit_of_the_manifests_is_live_without_a_failed_call(system: System) -> None:
    """A host that is added to the Ingress is routed, and no call to the other host fails."""
    file = system.manifests / "ingress.yaml"
    text = file.read_text()
    second = text[text.index("  - host:") :].replace(HOST, "second.milvus.io")
    with system.reads() as reads:
        write_atomic(file, (text + second).encode())
        wait_until(
            lambda: "second.milvus.io" in {h["host"] for h in system.running.status()["hosts"]}, "the host is routed"
        )
        wait_until(lambda: system.running.status()["ready"], "Envoy has it")
        reads.wait_for(20)
        write_atomic(file, text.encode())
        wait_until(lambda: len(system.running.status()["hosts"]) == 1, "the host is gone")
        reads.wait_for(20)

    assert not reads.failures


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("spec:\n  rules: [", "YamlSyntax"),
        (None, "ServiceNotFound"),
    ],
)
def test_a_broken_edit_changes_nothing_but_the_diagnostics(system: System, broken: str | None, reason: str) -> None:
    """With an unreadable or meaningless manifest the last good configuration stays in force."""
    file = system.manifests / "ingress.yaml"
    text = file.read_text()
    version = system.running.status()["configuration"]["version"]
    with system.reads() as reads:
        write_atomic(
            file,
            (
                broken or text.replace("name: my-release-milvus\n            port", "name: nobody\n            port")
            ).encode(),
        )
        wait_until(
            lambda: reason in {d["reason"] for d in system.running.status()["diagnostics"]}, f"{reason} is reported"
        )
        reads.wait_for(20)

        assert system.running.status()["configuration"]["version"] == version

        write_atomic(file, text.encode())
        wait_until(
            lambda: reason not in {d["reason"] for d in system.running.status()["diagnostics"]}, f"{reason} is gone"
        )

    assert not reads.failures


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_behind(tmp_path: Path, free_port: Callable[[], int], number: signal.Signals) -> None:
    """SIGINT and SIGTERM end every process and remove every socket and temporary file."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    try:
        pair = _pair()
        write_atomic(tmp_path / "secret.yaml", secret(pair), 0o600)
        arguments = ["-f", str(manifests()), "-f", str(tmp_path), "--https-port", str(free_port()), "--http-port", "0"]
        with up(arguments, folder / "data") as running:
            pids = [running.child(name)[0] for name in ("controlplane", "envoy")]
            wait_until(lambda: "Ctrl-C ends it" in running.log.read_text(), "it says so")
            running.process.send_signal(number)

            assert running.process.wait(30) == 0
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
        left = [p for p in (folder / "data").rglob("*") if p.is_socket() or p.name.startswith(".") or "run" in p.parts]
        assert not left
    finally:
        shutil.rmtree(folder)


def test_the_demo_verifies_and_cleans_up() -> None:
    """``kiteway demo --once --output json`` runs the whole guide and leaves no file in the temporary folder."""
    with tempfile.TemporaryDirectory(prefix="kw-") as temporary:
        done = subprocess.run(
            [KITEWAY, "demo", "--once", "--output", "json"],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            env={**os.environ, "TMPDIR": temporary},
        )

        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report["verified"] is True
        assert sum(report["requestsPerEndpoint"].values()) > 10
        assert [search["outcome"].partition(";")[0] for search in report["searches"]][1:] == ["hit"]
        assert {"kiteway", "milvus", "envoy", "pymilvus"} <= report["versions"].keys()
        assert list(Path(temporary).iterdir()) == []


def test_the_demo_with_a_login(tmp_path: Path) -> None:
    """``kiteway demo --auth``: the snippet has the token, a client without one is refused, and what is kept is said."""
    with tempfile.TemporaryDirectory(prefix="kw-") as folder:
        data, log = Path(folder) / "demo", tmp_path / "log"
        with log.open("wb") as output:
            demo = subprocess.Popen([KITEWAY, "demo", "--auth", "--data-dir", data], stdout=output, stderr=output)
        try:
            wait_until(lambda: "Ctrl-C ends the demo" in log.read_text() or demo.poll() is not None, "verified", 240)
            said = log.read_text()
            [port] = re.findall(r"https://127\.0\.0\.1:(\d+)", said)
            assert 'token="root:Milvus")' in said
            target = Target(host="127.0.0.1", port=int(port), ca=data / "tls.crt", server_name=HOST)
            failure = asyncio.run(verify(target)).failure
        finally:
            demo.send_signal(signal.SIGINT)
            demo.wait(60)
        assert failure is not None
        assert failure.reason is FailureReason.AUTH
        assert "the same again" in said, "the cache is shown with a login, too"
        assert f"kept: {data}" in log.read_text()

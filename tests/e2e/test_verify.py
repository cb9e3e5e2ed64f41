"""``kiteway verify`` against a real Milvus with TLS on, in the guide's three forms."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme

from kiteway.milvus.embedded import StandaloneMilvus, TLSFiles
from kiteway.milvus.verify import FailureReason, Target, verify

pymilvus: Any = pytest.importorskip("pymilvus")
pytestmark = [pytest.mark.anyio, pytest.mark.e2e, pytest.mark.milvus]

HOST = "my-release.milvus.io"
KITEWAY = Path(sys.executable).with_name("kiteway")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a CA, and a server certificate for the guide's host and ``localhost``."""
    directory = tmp_path_factory.mktemp("certificates")
    ca = trustme.CA()
    leaf = ca.issue_cert(HOST, "localhost")
    ca.cert_pem.write_to_path(str(directory / "ca.pem"))
    (directory / "server.pem").write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(str(directory / "server.key"))
    return directory


@pytest.fixture(scope="module")
async def port(anyio_backend: str, certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[int]:
    """Return the serving port of a Milvus with ``tlsMode: 1``."""
    tls = TLSFiles(certificates / "server.pem", certificates / "server.key")
    async with StandaloneMilvus(tmp_path_factory.mktemp("milvus"), tls=tls) as milvus:
        yield milvus.endpoint.port


def collections(port: int, certificates: Path) -> list[str]:
    """The names of all collections."""
    client = pymilvus.MilvusClient(
        f"https://localhost:{port}", server_pem_path=str(certificates / "ca.pem"), dedicated=True
    )
    try:
        return list(client.list_collections())
    finally:
        client.close()


def run(*arguments: str, env: Mapping[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """Run the command; its exit status and its report."""
    done = subprocess.run(
        [KITEWAY, "verify", *arguments, "--output", "json"],
        capture_output=True,
        text=True,
        timeout=90,
        env={**os.environ, **(env or {})},
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


async def test_own_ca_with_a_server_name(port: int, certificates: Path) -> None:
    """The guide's first form: an address, the CA's file, and the name in the certificate."""
    report = await verify(Target(host="127.0.0.1", port=port, ca=certificates / "ca.pem", server_name=HOST))
    assert report.failure is None
    assert report.verified
    assert [step.name for step in report.steps if step.ok][:2] == ["connect-orm", "connect-client"]
    assert len(report.steps) == 11
    assert report.versions.milvus is not None
    assert report.versions.milvus.startswith("v2.3.5")
    assert collections(port, certificates) == []
    worked = {call.rpc for call in report.calls if call.worked == call.made}
    assert worked >= {"Connect", "GetVersion", "CreateCollection", "Insert", "Flush", "CreateIndex", "LoadCollection"}
    assert worked >= {"Search", "Query", "Delete", "DropCollection"}
    assert report.differences == ()


def test_a_domain_name_instead_of_an_address(port: int, certificates: Path) -> None:
    """The guide's last form: a name that resolves to the server, and no server name."""
    status, report = run(f"localhost:{port}", "--ca", str(certificates / "ca.pem"))
    assert (status, report["verified"], report["failure"]) == (0, True, None)


def test_a_public_ca(port: int, certificates: Path) -> None:
    """
    The guide's second form: no CA file, because gRPC's own roots contain the CA; without them the certificate
    is refused.
    """
    arguments = (f"127.0.0.1:{port}", "--server-name", HOST)
    status, report = run(*arguments, env={"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(certificates / "ca.pem")})
    assert (status, report["verified"], report["failure"]) == (0, True, None)
    status, report = run(*arguments)
    assert (status, report["failure"]["reason"]) == (1, "Certificate")


async def test_a_wrong_name_is_reported_with_the_right_one(port: int, certificates: Path) -> None:
    """PyMilvus says "illegal connection params"; the report says which names the certificate has."""
    report = await verify(Target(host="127.0.0.1", port=port, ca=certificates / "ca.pem"))
    assert "illegal connection params" in report.steps[0].detail
    assert report.failure is not None
    assert report.failure.reason is FailureReason.CERTIFICATE_NAME
    assert f"it is for {HOST}, localhost" in report.failure.sentence


async def test_plaintext_to_tls_is_reported(port: int) -> None:
    """In plaintext to a Milvus with ``tlsMode: 1`` the report says to use TLS."""
    report = await verify(Target(host="127.0.0.1", port=port, secure=False))
    assert report.failure is not None
    assert report.failure.reason is FailureReason.TLS_EXPECTED


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(port: int, certificates: Path, number: signal.Signals) -> None:
    """After Ctrl-C or SIGTERM in the middle of the steps the collection is dropped before the process ends."""
    with subprocess.Popen(
        [KITEWAY, "verify", f"localhost:{port}", "--ca", certificates / "ca.pem", "--output", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        created = next((line for line in running.stderr if " create " in line), None)
        assert created is not None
        name = created.split()[-1]
        running.send_signal(number)
        try:
            status = running.wait(timeout=30)
        finally:
            running.kill()
    assert status == 128 + number
    assert name.startswith("kiteway_verify_")
    assert collections(port, certificates) == []

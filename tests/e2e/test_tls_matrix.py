"""Real TLS clients: the table in the documentation, and the guide's certificate, word for word."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kiteway.demo.guide import HOST, manifests, secret
from kiteway.files import write_atomic
from kiteway.milvus.embedded import StandaloneMilvus
from kiteway.milvus.verify import Target, verify
from tests.support.kiteway import tls_files, up
from tools.generate_tls_clients import PAGE, main, reason, rows
from tools.tls_clients.clients import build_go_client
from tools.tls_clients.servers import guide_recipe

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def go_client() -> None:
    """Build the client in Go, if Go is here."""
    if shutil.which("go") is not None:
        build_go_client()


# Ten minutes more than the others have, for a build in Go with an empty cache.
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("go_client")
def test_the_table_of_clients_is_what_they_do() -> None:
    """Every client installed here behaves as docs/reference/tls-clients.md says."""
    assert main(["--check"]) == 0


def test_the_table_says_what_matters() -> None:
    """
    No client connects with TLS 1.1 or an expired certificate; all connect with both kinds of keys; Go refuses
    a CN alone.
    """
    by_client = {name: [cell.strip() for cell in row.split("|")[2:-1]] for name, row in rows(PAGE.read_text()).items()}
    titles = by_client.pop("Client")
    assert {"openssl, RSA only", "openssl, ECDSA only", "grpcio (PyMilvus)", "Go, crypto/tls", "curl"} <= set(by_client)
    old = by_client.pop("openssl, TLS 1.1")

    assert set(old) == {"refused: protocol version"}
    both, guide, expired = (next(i for i, t in enumerate(titles) if word in t) for word in ("and RSA", "guide", "Exp"))
    assert {row[both] for row in by_client.values()} == {"connects"}
    assert "connects" not in {row[expired] for row in by_client.values()}
    assert by_client["Go, crypto/tls"][guide] == "refused: no SAN"
    assert by_client["grpcio (PyMilvus)"][guide] == "connects"


def test_an_unknown_refusal_is_no_entry() -> None:
    """A client's message that the generator does not know stops it, and does not become an entry of the table."""
    with pytest.raises(ValueError, match="nothing is known"):
        reason("the moon is in the wrong phase")


@pytest.mark.milvus
def test_pymilvus_takes_the_guides_certificate(free_port: Callable[[], int]) -> None:
    """
    PyMilvus accepts the certificate that the guide's openssl commands make, and a diagnostic names its
    weaknesses.
    """
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    try:
        asyncio.run(_verified(folder, free_port()))
    finally:
        shutil.rmtree(folder)


async def _verified(folder: Path, port: int) -> None:
    kept = folder / "manifests"
    shutil.copytree(manifests(), kept)
    pair = guide_recipe(folder / "guide", HOST)
    write_atomic(kept / "secret.yaml", secret(pair), 0o600)
    async with StandaloneMilvus(folder / "milvus", tls=tls_files(folder, "backend", "localhost")) as milvus:
        at = milvus.endpoint
        arguments = ["-f", str(kept), "--https-port", str(port), "--http-port", "0", "--drain", "0"]
        arguments += ["--endpoint", f"my-release-milvus=127.0.0.1:{at.port},health={at.health_port}"]
        with up(arguments, folder / "data") as running:
            await asyncio.to_thread(running.wait_healthy, 1)
            target = Target(host="127.0.0.1", port=port, ca=folder / "guide" / "tls.crt", server_name=HOST)
            report = await verify(target)
            found = {d["reason"]: d for d in running.status()["diagnostics"]}

    assert report.failure is None
    assert report.verified
    assert "Go" in found["CertificateWithoutSAN"]["message"]
    assert "kiteway cert create --host" in found["CertificateWithoutSAN"]["fix"]
    assert "99999 days" in found["CertificateValidTooLong"]["message"]

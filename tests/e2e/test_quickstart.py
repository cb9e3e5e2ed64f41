"""`kiteway up --to`: a Milvus that runs already, and no manifests."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kiteway.certificates.create import create_self_signed
from kiteway.files import write_atomic
from kiteway.milvus.embedded import StandaloneMilvus, TLSFiles
from kiteway.milvus.verify import Target, verify
from tests.support.kiteway import KITEWAY, up

pytestmark = [pytest.mark.e2e, pytest.mark.milvus, pytest.mark.usefixtures("port_9091"), pytest.mark.timeout(240)]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder whose path leaves room for unix sockets."""
    made = Path(tempfile.mkdtemp(prefix="kw-"))
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plaintext"])
def test_it_finds_out_how_a_milvus_speaks(folder: Path, free_port: Callable[[], int], *, tls: bool) -> None:
    """With TLS or without, it is found out, a certificate is made, and PyMilvus verifies through it."""
    asyncio.run(_verified_through(folder, free_port(), tls=tls))


async def _verified_through(folder: Path, port: int, *, tls: bool) -> None:
    files = None
    if tls:
        pair = create_self_signed(["localhost"], ["127.0.0.1"], key_type="RSA")
        files = TLSFiles(folder / "backend.crt", folder / "backend.key")
        files.cert.write_bytes(pair.certificate)
        write_atomic(files.key, pair.key.reveal(), 0o600)
    async with StandaloneMilvus(folder / "milvus", tls=files, health_port=9091) as milvus:
        arguments = ["--to", f"127.0.0.1:{milvus.endpoint.port}", "--https-port", str(port), "--http-port", "0"]
        with up([*arguments, "--drain", "1"], folder / "data") as running:
            await asyncio.to_thread(running.wait_healthy, 1)
            assert running.status()["pools"][0]["protocol"] == ("HTTP2" if tls else "HTTP")
            certificate = folder / "data/state/quickstart/tls.crt"
            assert str(certificate) in running.log.read_text()
            report = await verify(Target(host="localhost", port=port, ca=certificate))

    assert report.failure is None
    assert report.verified


def test_nothing_there_is_said_at_once(folder: Path, free_port: Callable[[], int]) -> None:
    """Where nothing listens, the command ends with 1 and says where it looked."""
    port = free_port()

    done = subprocess.run(
        [KITEWAY, "up", "--to", f"127.0.0.1:{port}", "--data-dir", folder / "data"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 1
    assert f"there is no Milvus at 127.0.0.1:{port}" in done.stderr
    assert "refused" in done.stderr

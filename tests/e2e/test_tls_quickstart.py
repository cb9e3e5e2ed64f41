"""``kiteway up --to`` with a certificate of the user instead of Kiteway's own."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kiteway.certificates.create import create_authority, create_issued
from kiteway.files import write_atomic
from kiteway.milvus.embedded import StandaloneMilvus
from kiteway.milvus.verify import Target, verify
from tests.support.kiteway import KITEWAY, up, wait_until
from tests.support.served import served

pytestmark = [pytest.mark.e2e, pytest.mark.milvus, pytest.mark.usefixtures("port_9091"), pytest.mark.timeout(180)]

HOST = "milvus.example.com"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder whose path is short enough for unix sockets."""
    path = Path(tempfile.mkdtemp(prefix="kw-"))
    yield path
    shutil.rmtree(path)


def test_a_certificate_of_a_ca(folder: Path, free_port: Callable[[], int]) -> None:
    """
    The certificate in the files is served, its names are the hosts, PyMilvus verifies with the CA, and it is
    rotated.
    """
    asyncio.run(_verified(folder, free_port()))


async def _verified(folder: Path, port: int) -> None:
    ca = create_authority("CA")
    (folder / "ca.crt").write_bytes(ca.certificate)

    def write() -> bytes:
        pair = create_issued(ca, [HOST])
        write_atomic(folder / "tls.crt", pair.certificate)
        write_atomic(folder / "tls.key", pair.key.reveal(), 0o600)
        return pair.certificate

    first = write()
    async with StandaloneMilvus(folder / "milvus", health_port=9091) as milvus:
        arguments = ["--to", f"127.0.0.1:{milvus.endpoint.port}", "--tls", f"{folder}/tls.crt,{folder}/tls.key"]
        arguments += ["--https-port", str(port), "--http-port", "0", "--drain", "0"]
        with up(arguments, folder / "data") as running:
            await asyncio.to_thread(running.wait_healthy, 1)
            target = Target(host="127.0.0.1", port=port, ca=folder / "ca.crt", server_name=HOST)
            report = await verify(target)
            assert await asyncio.to_thread(served, port, HOST) == first
            assert await asyncio.to_thread(served, port, None) == first
            second = write()
            await asyncio.to_thread(wait_until, lambda: served(port, HOST) == second, "the new certificate is served")
            certificates = running.status()["certificates"]

    assert report.failure is None
    assert report.verified
    assert [entry["names"] for entry in certificates] == [[HOST]]
    assert not list((folder / "data").rglob("tls.key"))


def test_a_missing_file_is_a_usage_error(folder: Path) -> None:
    """A missing file is a usage error, reported before any process starts."""
    done = subprocess.run(
        [KITEWAY, "up", "--to", "127.0.0.1:1", "--tls", "no.crt,no.key", "--data-dir", folder / "data"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 2
    assert "there is no file no.crt" in done.stderr

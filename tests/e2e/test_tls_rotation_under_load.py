"""Certificates are replaced again and again while a client searches a real Milvus."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kiteway.certificates.create import KeyPair, create_authority, create_client, create_issued
from kiteway.files import write_atomic
from kiteway.milvus.embedded import ClientFiles, StandaloneMilvus, TLSFiles
from tests.support.ingresses import ingress, secret, service, text
from tests.support.kiteway import up, wait_until
from tests.support.reads import SteadyReads, fill
from tests.support.served import served

pytestmark = [pytest.mark.e2e, pytest.mark.milvus, pytest.mark.timeout(240)]

HOST, COLLECTION, ROTATIONS = "milvus.example.com", "rotated", 12


def _write(folder: Path, pair: KeyPair) -> None:
    write_atomic(folder / "tls.crt", pair.certificate)
    write_atomic(folder / "tls.key", pair.key.reveal(), 0o600)


def _pair(pair: KeyPair) -> tuple[bytes, bytes]:
    return pair.certificate, pair.key.reveal()


def test_no_call_fails_over_many_rotations(free_port: Callable[[], int]) -> None:
    """Twelve new certificates, RSA and ECDSA in turn, and a new client certificate for Milvus (``tlsMode: 2``) with
    each: handshakes get the new one, and not one call fails.
    """
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    try:
        asyncio.run(_rotated(folder, free_port()))
    finally:
        shutil.rmtree(folder)


async def _rotated(folder: Path, port: int) -> None:
    ca, clients = create_authority("CA"), create_authority("Clients")
    front, files = folder / "ca.crt", folder / "files"
    front.write_bytes(ca.certificate)
    for name in ("files", "backend", "probe", "manifests"):
        (folder / name).mkdir()
    (folder / "clients.crt").write_bytes(clients.certificate)
    _write(folder / "backend", create_issued(ca, ["milvus.internal"], key_type="RSA"))
    _write(folder / "probe", create_client(clients, "probe"))
    _write(files, create_issued(ca, [HOST]))
    asked = ClientFiles(folder / "clients.crt", folder / "probe" / "tls.crt", folder / "probe" / "tls.key")
    tls = TLSFiles(folder / "backend" / "tls.crt", folder / "backend" / "tls.key", asked)

    def write_client(number: int) -> None:
        shown = create_client(clients, f"kiteway-{number}")
        write_atomic(folder / "manifests" / "client.yaml", text(secret("client", _pair(shown))), 0o600)

    write_client(0)
    notes = {"kiteway.io/backend-client-certificate-secret": "client"}
    documents = [service(annotations=notes), ingress("i", [HOST], ["tls"])]
    (folder / "manifests" / "all.yaml").write_bytes(text(*documents))
    async with StandaloneMilvus(folder / "milvus", tls=tls) as milvus:
        arguments = ["-f", folder / "manifests", "--https-port", str(port), "--http-port", "0", "--drain", "0"]
        arguments += ["--tls", f"tls={files}/tls.crt,{files}/tls.key"]
        arguments += ["--endpoint", f"milvus=127.0.0.1:{milvus.endpoint.port}"]
        with up([str(a) for a in arguments], folder / "data") as running:
            await asyncio.to_thread(running.wait_healthy, 1)
            await asyncio.to_thread(fill, f"https://127.0.0.1:{port}", front, HOST, COLLECTION)
            await asyncio.to_thread(_rotate_under_load, folder, port, ca, write_client)


def _wait_served(port: int, new: KeyPair) -> None:
    wait_until(lambda: served(port, HOST) == new.certificate, "the new certificate is served")


def _rotate_under_load(folder: Path, port: int, ca: KeyPair, write_client: Callable[[int], None]) -> None:
    with SteadyReads(f"127.0.0.1:{port}", folder / "ca.crt", HOST, COLLECTION) as reads:
        for number in range(ROTATIONS):
            kind = ("ECDSA", "RSA")[number % 2]
            new = create_issued(ca, [HOST], key_type=kind)
            write_client(number + 1)
            _write(folder / "files", new)
            _wait_served(port, new)
            reads.wait_for(5)

    assert not reads.failures
    assert reads.ok > 5 * ROTATIONS

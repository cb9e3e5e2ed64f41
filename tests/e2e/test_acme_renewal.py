"""Renewal under load: certificates with a lifetime of seconds, and no failed call."""

from __future__ import annotations

import asyncio
import datetime as dt
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from pymilvus.grpc_gen import milvus_pb2, milvus_pb2_grpc

from kiteway.certificates.create import create_self_signed
from kiteway.milvus.embedded import StandaloneMilvus, TLSFiles
from tests.support.acme_front import front
from tests.support.kiteway import KITEWAY, wait_until
from tests.support.pebble import HOST, Managed, Pebble, fingerprint, managed_up, served

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

HOUR = dt.timedelta(hours=1)

ROTATIONS = 10
LIFETIME = 36
"""Seconds; two thirds of it is the time between two renewals."""


class Load:
    """Calls on one lasting connection and on fresh ones, each verified against the CA, until the end."""

    def __init__(self, port: int, roots: bytes) -> None:
        self._address = f"127.0.0.1:{port}"
        self._credentials = grpc.ssl_channel_credentials(roots)
        self._stop = threading.Event()
        self.answered = {"lasting": 0, "fresh": 0}
        self.failures: list[str] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Call while the context lasts."""
        threads = [threading.Thread(target=work, daemon=True) for work in (self._lasting, self._lasting, self._fresh)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(30)

    def _channel(self) -> grpc.Channel:
        options = [("grpc.ssl_target_name_override", HOST), ("grpc.enable_retries", 0)]
        # A subchannel pool of its own, or "fresh" would be the connection of the last call.
        return grpc.secure_channel(self._address, self._credentials, [*options, ("grpc.use_local_subchannel_pool", 1)])

    def _lasting(self) -> None:
        with self._channel() as channel:
            while not self._stop.wait(0.02):
                self._call(channel, "lasting")

    def _fresh(self) -> None:
        while not self._stop.wait(0.1):
            with self._channel() as channel:
                self._call(channel, "fresh")

    def _call(self, channel: grpc.Channel, kind: str) -> None:
        stub: Any = milvus_pb2_grpc.MilvusServiceStub(channel)
        try:
            stub.GetVersion(milvus_pb2.GetVersionRequest(), timeout=10)
        except grpc.RpcError as error:
            self.failures.append(f"{kind}: {error.code()} {error.details()}")
        else:
            self.answered[kind] += 1


@pytest.fixture
def pebble(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Pebble]:
    """Return a CA whose certificates live for seconds, that refuses a fifth of the nonces and takes its time."""
    settings = {"certificateValidityPeriod": LIFETIME}
    with Pebble(tmp_path / "ca", free_port, settings=settings) as ca:
        yield ca


def rotate(running: Managed, port: int) -> int:
    """See the certificate change again and again; a new handshake gets the new one as soon as it is reported."""
    seen = [running.until_certificate("Active")["fingerprint"]]
    while len(seen) <= ROTATIONS:
        found = running.until(lambda now: now["fingerprint"] not in {"", seen[-1]}, "another certificate")
        seen.append(found["fingerprint"])
        # A renewal may come between the two looks: then the handshake is newer than the report.
        assert fingerprint(served(port)) in {seen[-1], running.status()["fingerprint"]}
    return len(set(seen)) - 1


@pytest.mark.milvus
@pytest.mark.chaos  # minutes, and by the clock: a machine that is busy with other tests would let a certificate expire
def test_ten_rotations_under_load(tmp_path: Path, pebble: Pebble) -> None:
    """In 10 renewals no call fails, on long connections or new ones, and new handshakes get the new certificate."""
    asyncio.run(_ten_rotations(tmp_path, pebble))


async def _ten_rotations(tmp_path: Path, pebble: Pebble) -> None:
    pair = create_self_signed(["milvus"])
    files = TLSFiles(tmp_path / "milvus.crt", tmp_path / "milvus.key")
    files.cert.write_bytes(pair.certificate)
    files.key.write_bytes(pair.key.reveal())
    async with StandaloneMilvus(tmp_path / "milvus", tls=files) as milvus:
        backend = f"127.0.0.1:{milvus.endpoint.port},health={milvus.endpoint.health_port}"
        # TLS-ALPN-01 is the harder case: each renewal changes the listener twice, and the secret.
        with managed_up(tmp_path, pebble, backend=backend, http_port=0) as running:
            await asyncio.to_thread(running.until_certificate, "Active")
            await asyncio.to_thread(running.running.wait_healthy, 1)
            load = Load(pebble.tls_port, pebble.roots().read_bytes())
            with load.running():
                rotations = await asyncio.to_thread(rotate, running, pebble.tls_port)

    assert load.failures == []
    assert rotations >= ROTATIONS
    assert min(load.answered.values()) > ROTATIONS
    print(f"{rotations} rotations, calls: {load.answered}")  # noqa: T201 - the figures, with -s


def test_the_cas_wish(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """
    If the CA suggests an early renewal (ARI), the certificate is renewed early, once, and the CA is asked
    again when it says.
    """
    now = dt.datetime.now(dt.UTC)
    past, future = (now - HOUR, now - HOUR / 2), (now + HOUR, now + 2 * HOUR)
    settings = {"certificateValidityPeriod": 600}
    with (
        Pebble(tmp_path / "ca", free_port, settings=settings) as pebble,
        front(pebble.folder, free_port(), pebble.port) as wishes,
    ):
        wishes.windows = [past, future]
        with managed_up(tmp_path, pebble, "--acme-directory", f"https://localhost:{wishes.port}/dir") as running:
            first = running.until_certificate("Active")
            second = running.until(lambda now: now["fingerprint"] not in {"", first["fingerprint"]}, "a renewal")
            wait_until(lambda: len(wishes.known) == 2, "the CA is asked about the new certificate")

            assert fingerprint(served(pebble.tls_port, pebble.roots())) == second["fingerprint"]
        assert pebble.orders() == 2


def test_a_person_s_wish(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """``kiteway cert renew`` renews a certificate at once; without such a certificate, or without a CA, it says so."""
    with Pebble(tmp_path / "ca", free_port) as pebble, managed_up(tmp_path, pebble) as running:
        first = running.until_certificate("Active")

        done = renew(tmp_path, "my-release-milvus-tls")
        second = running.status()
        assert (done.returncode, second["certificateStatus"]) == (0, "Active"), done.stderr
        assert second["fingerprint"] != first["fingerprint"]
        assert fingerprint(served(pebble.tls_port, pebble.roots())) == second["fingerprint"]

        unknown = renew(tmp_path, "other/guide")
        pebble.stop()
        failed = renew(tmp_path, "default/my-release-milvus-tls")
        assert running.status()["fingerprint"] == second["fingerprint"]

    assert unknown.returncode == failed.returncode == 1
    assert "there are: default/my-release-milvus-tls" in unknown.stderr
    assert "RenewalFailed: the CA" in failed.stderr
    assert "cannot be reached" in failed.stderr


def renew(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    """Run the command on the instance of ``folder``."""
    return subprocess.run(
        [str(KITEWAY), "cert", "renew", name, "--data-dir", str(folder / "data")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

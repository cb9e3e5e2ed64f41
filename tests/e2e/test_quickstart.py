"""`kiteway up --to`: a Milvus that runs already, and no manifests."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kiteway.certificates.create import create_self_signed
from kiteway.files import write_atomic
from kiteway.milvus.embedded import MilvusCluster, StandaloneMilvus, TLSFiles
from kiteway.milvus.verify import Target, verify
from tests.support.kiteway import KITEWAY, Running, up, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.milvus, pytest.mark.usefixtures("port_9091"), pytest.mark.timeout(240)]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder whose path leaves room for unix sockets."""
    made = Path(tempfile.mkdtemp(prefix="kw-"))
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plaintext"])
def test_it_finds_out_how_a_milvus_speaks(folder: Path, free_port: Callable[[], int], *, tls: bool) -> None:
    """Kiteway detects whether a Milvus uses TLS and makes a certificate, and PyMilvus verifies through it."""
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
            log = running.log
            await asyncio.to_thread(
                wait_until, lambda: str(certificate) in log.read_text(), "the snippet has the certificate"
            )
            report = await verify(Target(host="localhost", port=port, ca=certificate))

    assert report.failure is None
    assert report.verified


def test_a_health_port_of_another_milvus_is_left_alone(folder: Path, free_port: Callable[[], int]) -> None:
    """
    If 9091 belongs to another Milvus on the machine, its end does not affect the target, and the reason is
    reported.
    """
    asyncio.run(_beside_a_stranger(folder, free_port()))


async def _beside_a_stranger(folder: Path, port: int) -> None:
    async with StandaloneMilvus(folder / "target") as target:
        async with StandaloneMilvus(folder / "stranger", health_port=9091):
            at = f"127.0.0.1:{target.endpoint.port}"
            running = await asyncio.to_thread(_enter, stack := contextlib.ExitStack(), ["--to", at], folder, port)
        with stack:
            said = " ".join(running.log.read_text().split())
            assert f"the test could not show that /healthz at 127.0.0.1:9091 belongs to the Milvus at {at}" in said
            assert "give health=9091" in said
            await asyncio.to_thread(running.wait_healthy, 1)
            (endpoint,) = running.status()["pools"][0]["endpoints"]
            assert endpoint["check"] == f"a connection to port {target.endpoint.port}"
            assert (await verify(_through(folder, port))).verified


def _enter(stack: contextlib.ExitStack, arguments: list[str], folder: Path, port: int) -> Running:
    arguments = [*arguments, "--https-port", str(port), "--drain", "1"]
    return stack.enter_context(up(arguments, folder / "data"))


def _through(folder: Path, port: int) -> Target:
    return Target(host="localhost", port=port, ca=folder / "data/state/quickstart/tls.crt")


def test_several_proxies_share_the_calls(folder: Path, free_port: Callable[[], int]) -> None:
    """With --to for each proxy of a cluster, each has its own health port and gets calls."""
    asyncio.run(_several(folder, free_port()))


async def _several(folder: Path, port: int) -> None:
    async with MilvusCluster(folder / "milvus", proxies=2) as cluster:
        arguments = []
        for proxy in cluster.endpoints:
            arguments += ["--to", f"127.0.0.1:{proxy.port},health={proxy.health_port}"]
        with contextlib.ExitStack() as stack:
            running = await asyncio.to_thread(_enter, stack, arguments, folder, port)
            await asyncio.to_thread(running.wait_healthy, 2)
            assert (await verify(_through(folder, port))).verified
            endpoints = running.status()["pools"][0]["endpoints"]
            assert {e["check"] for e in endpoints} == {
                f"HTTP /healthz on port {proxy.health_port}" for proxy in cluster.endpoints
            }
            assert all(e["calls"] for e in endpoints)


def test_a_health_port_that_dies_takes_no_call_and_is_named(folder: Path, free_port: Callable[[], int]) -> None:
    """
    The last endpoint gets calls while it fails its check; `up` and `status` name the check, and say when it
    passes again.
    """
    asyncio.run(_dying_health(folder, free_port(), free_port()))


async def _dying_health(folder: Path, port: int, health_port: int) -> None:
    async with StandaloneMilvus(folder / "milvus") as milvus:
        at = f"127.0.0.1:{milvus.endpoint.port}"
        check = f"HTTP /healthz on port {health_port}"
        with contextlib.ExitStack() as stack:
            with _health(health_port):
                arguments = ["--to", f"{at},health={health_port}"]
                running = await asyncio.to_thread(_enter, stack, arguments, folder, port)
                await asyncio.to_thread(running.wait_healthy, 1)
                assert running.status()["state"] == "ready"

            refused = f"{health_port} refused the connection"
            fails = f"{at} fails its health check ({check}): {refused}; no endpoint passes, so all get calls"
            await asyncio.to_thread(wait_until, lambda: fails in _said(running), "up says so")
            assert (await verify(_through(folder, port))).verified
            value = running.status()
            assert value["state"] == "degraded"
            none = f"no endpoint of default/milvus/{milvus.endpoint.port} passes its health check ({check})"
            assert value["reasons"] == [f"{none}, so calls go to all of them"]
            shown = await asyncio.to_thread(_status, folder)
            assert shown.returncode == 3
            assert re.search(rf"{at}  {refused}, since \d+ s \({check}\)", shown.stdout), shown.stdout

            with _health(health_port):
                well = f"{at} passes its health check again"
                await asyncio.to_thread(wait_until, lambda: well in _said(running), "up says that it is well")
                assert running.status()["state"] == "ready"


def _status(folder: Path) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [KITEWAY, "status", "--data-dir", folder / "data"]
    wide = {**os.environ, "COLUMNS": "250"}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=wide)


def _said(running: Running) -> str:
    return " ".join(running.log.read_text().split())


@contextlib.contextmanager
def _health(port: int) -> Iterator[None]:
    """Answer health checks on a port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


def test_a_missing_target_is_reported_at_once(folder: Path, free_port: Callable[[], int]) -> None:
    """If no process listens on the target, the command ends with 1 and names the address."""
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

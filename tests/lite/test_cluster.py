"""Milvus Lite behind several proxies: the part of `kiteway.milvus.embedded` that needs the package ``milvus-lite``."""

from __future__ import annotations

import asyncio
import json
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import grpc
import pytest
from pymilvus import MilvusClient
from pymilvus.grpc_gen import milvus_pb2

from kiteway.milvus.embedded import LiteCluster, LiteMilvus, MilvusEndpoint, MilvusStartError, TLSFiles
from kiteway.milvus.embedded.ready import probe
from tests.support.kiteway import KITEWAY, tls_files
from tests.support.reads import channel, service

pytestmark = [pytest.mark.e2e, pytest.mark.lite]

ROWS = [{"id": number, "vector": [float(number), 1.0]} for number in range(9)]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder with a short name."""
    with tempfile.TemporaryDirectory(prefix="kw-") as name:
        yield Path(name)


@pytest.fixture
def tls(folder: Path) -> TLSFiles:
    """Return the certificate of the proxies."""
    return tls_files(folder, "backend", "localhost")


def client(endpoint: MilvusEndpoint, tls: TLSFiles) -> MilvusClient:
    """Connect to a proxy."""
    return MilvusClient(
        f"https://127.0.0.1:{endpoint.port}", server_pem_path=str(tls.cert), server_name="localhost", dedicated=True
    )


def nearest(endpoint: MilvusEndpoint, tls: TLSFiles) -> list[int]:
    """Search for row 7 through a proxy."""
    with closing(client(endpoint, tls)) as connected:
        return [int(hit["id"]) for hit in connected.search("kites", [ROWS[7]["vector"]], limit=1)[0]]


def alive(pid: int) -> bool:
    """Tell whether a process is there."""
    return Path(f"/proc/{pid}").exists()


def test_each_proxy_shows_the_same_rows_and_lives_alone(folder: Path, tls: TLSFiles) -> None:
    """
    A row written through one proxy is found through all. One that is killed or stopped does not disturb the others, and
    is started again on its ports. After `stop` no process is left.
    """

    def fill(cluster: LiteCluster) -> None:
        with closing(client(cluster.endpoints[0], tls)) as connected:
            connected.create_collection("kites", dimension=2, metric_type="L2")
            connected.insert("kites", ROWS)

    async def scenario() -> tuple[int, ...]:
        async with LiteCluster(folder, LiteMilvus(folder / "store"), proxies=3, tls=tls) as cluster:
            first, second, third = cluster.endpoints
            await asyncio.to_thread(fill, cluster)
            for each in cluster.endpoints:
                assert await asyncio.to_thread(nearest, each, tls) == [7]
            await cluster.kill(0)
            await cluster.stop_proxy(1)
            for gone in (first, second):
                with pytest.raises(OSError, match="refused"):
                    probe(gone, tls=tls, netns=None)
            assert await asyncio.to_thread(nearest, third, tls) == [7]
            await cluster.restart(0)
            await cluster.restart(1)
            assert cluster.endpoints == (first, second, third)
            assert await asyncio.to_thread(nearest, first, tls) == [7]
            return cluster.pids

    assert not any(alive(pid) for pid in asyncio.run(scenario()))


def test_the_health_of_a_proxy_is_that_of_its_store(folder: Path, tls: TLSFiles) -> None:
    """``/healthz`` and gRPC's health check answer as Milvus's do, and badly once Milvus Lite is gone."""

    def healthz(endpoint: MilvusEndpoint, kind: str) -> bytes:
        request = urllib.request.Request(
            f"http://127.0.0.1:{endpoint.health_port}/healthz", headers={"Content-Type": kind}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
            body: bytes = answer.read()
        return body

    async def scenario() -> None:
        store = LiteMilvus(folder / "store")
        async with LiteCluster(folder, store, tls=tls) as cluster:
            (endpoint,) = cluster.endpoints
            assert await asyncio.to_thread(healthz, endpoint, "text/plain") == b"OK"
            detail = json.loads(await asyncio.to_thread(healthz, endpoint, "application/json"))
            assert detail == {"state": "OK", "detail": [{"name": "proxy", "code": 1}]}
            await store.stop()
            with pytest.raises(Exception, match="500"):
                await asyncio.to_thread(healthz, endpoint, "text/plain")

    asyncio.run(scenario())


def test_a_proxy_passes_on_what_milvus_lite_refuses(folder: Path, tls: TLSFiles) -> None:
    """The gRPC status, its text and the metadata of a call cross a proxy."""

    def ask(endpoint: MilvusEndpoint) -> tuple[grpc.StatusCode, str, list[str]]:
        with closing(client(endpoint, tls)) as connected:
            connected.create_collection("kites", dimension=2)
        with channel(f"127.0.0.1:{endpoint.port}", tls.cert, "localhost") as connection:
            stub = service(connection)
            with pytest.raises(grpc.RpcError) as caught:
                stub.LoadPartitions(milvus_pb2.LoadPartitionsRequest(), timeout=10)
            stub.CreateDatabase(milvus_pb2.CreateDatabaseRequest(db_name="zoo"), timeout=10)
            here = stub.ShowCollections(milvus_pb2.ShowCollectionsRequest(), metadata=[("dbname", "zoo")], timeout=10)
            return caught.value.code(), str(caught.value.details()), list(here.collection_names)

    async def scenario() -> tuple[grpc.StatusCode, str, list[str]]:
        async with LiteCluster(folder, LiteMilvus(folder / "store"), tls=tls) as cluster:
            return await asyncio.to_thread(ask, cluster.endpoints[0])

    code, text, names = asyncio.run(scenario())
    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert "LoadPartitions: partition-level load is not supported" in text
    assert names == []


def test_a_proxy_that_cannot_start_is_named(folder: Path) -> None:
    """A key that does not belong to the certificate is an error with its name, and no process is left."""
    mine, other = tls_files(folder, "mine", "localhost"), tls_files(folder, "other", "localhost")
    cluster = LiteCluster(folder, LiteMilvus(folder / "store"), tls=TLSFiles(mine.cert, other.key))
    with pytest.raises(MilvusStartError, match=r"mine\.crt.*other\.key"):
        asyncio.run(cluster.start())


def test_the_demo_balances_milvus_lite(folder: Path) -> None:
    """``kiteway demo --milvus lite --proxies 3`` verifies the guide's manifests, and each proxy gets calls."""
    done = subprocess.run(
        [KITEWAY, "demo", "--milvus", "lite", "--proxies", "3", "--once", "--output", "json"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    report = json.loads(done.stdout)
    assert (done.returncode, report["verified"]) == (0, True), done.stderr
    assert len([calls for calls in report["requestsPerEndpoint"].values() if calls]) == 3

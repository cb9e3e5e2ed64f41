"""The system under test: Milvus with three proxies, a cluster or Milvus Lite, and the balancers in front of it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc

from kiteway.demo.guide import HOST
from kiteway.milvus.embedded import LiteCluster, LiteMilvus, MilvusCluster, TLSFiles, Tuning
from tests.support.kiteway import tls_files
from tests.support.load import Rows, Target, count_rows, insert_request, prepare
from tests.support.reads import channel, service
from tests.support.relay import Relay

PROXIES = 3
RELAYED = 0
"""The proxy whose serving port is reached through the relay; its health port is not."""


@dataclass(frozen=True)
class Place:
    """Where a balancer finds a proxy: the serving port and the health port of 127.0.0.1."""

    port: int
    health_port: int


@dataclass(frozen=True)
class World:
    """
    A running cluster.

    Attributes:
        folder: temporary files, with a short name (the path of a unix socket is short).
        cluster: Milvus, with TLS. Milvus Lite has one row for each key, so no row of it is seen to be written twice.
        relay: see `RELAYED`.
        places: the proxies as a balancer sees them.
        front: what balancers show to clients, who verify with it.
        backend: Milvus's certificate.
    """

    folder: Path
    cluster: MilvusCluster | LiteCluster
    relay: Relay
    places: tuple[Place, ...]
    front: TLSFiles
    backend: Path

    def target(self, name: str, port: int) -> Target:
        """Return a balancer as a target of load, with its own collection."""
        return Target(name, f"127.0.0.1:{port}", self.front.cert, HOST, f"chaos_{name.lower().replace(' ', '_')}")

    def direct(self, index: int) -> grpc.Channel:
        """Connect to a proxy past every balancer and relay."""
        return channel(f"127.0.0.1:{self.cluster.endpoints[index].port}", self.backend, "localhost")

    def prepare(self, collection: str) -> None:
        """Make a loaded collection with some rows."""
        prepare(self.cluster.endpoints[0].port, self.backend, collection)

    def count(self, collection: str, first: int, end: int, acknowledged: set[int], limit: float = 90.0) -> Rows:
        """Count rows; see `count_rows`."""
        with self.direct(PROXIES - 1) as connection:
            return count_rows(service(connection), collection, first, end, acknowledged, limit)

    def double(self, collection: str, key: int) -> None:
        """Write one key twice, to see that counting notices."""
        with self.direct(0) as connection:
            for _ in range(2):
                service(connection).Insert(insert_request(collection, [key]), timeout=30)


@contextlib.asynccontextmanager
async def world(proxies: int = PROXIES, tuning: Tuning | None = None, *, lite: bool = False) -> AsyncIterator[World]:
    """Start the cluster and the relay; with ``lite`` Milvus Lite behind proxies, which has no ``tuning``."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    try:
        tls = tls_files(folder, "backend", "localhost")
        front = tls_files(folder, "front", HOST)
        milvus = (
            LiteCluster(folder, LiteMilvus(folder / "store"), proxies=proxies, tls=tls)
            if lite
            else MilvusCluster(folder / "milvus", proxies=proxies, tls=tls, tuning=tuning)
        )
        async with milvus as cluster:
            with Relay(cluster.endpoints[RELAYED].port) as relay:
                places = [Place(at.port, at.health_port) for at in cluster.endpoints]
                places[RELAYED] = Place(relay.port, places[RELAYED].health_port)
                yield World(folder, cluster, relay, tuple(places), front, tls.cert)
    finally:
        shutil.rmtree(folder, ignore_errors=True)

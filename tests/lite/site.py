"""Milvus Lite behind several proxies, and Kiteway before them with the guide's manifests."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kiteway.demo.guide import HOST
from kiteway.milvus.embedded import LiteCluster, LiteMilvus, TLSFiles
from kiteway.milvus.embedded.lite_cluster import Store
from kiteway.milvus.embedded.ports import free_ports
from tests.lite.old import OldLite
from tests.lite.session import Place
from tests.support.kiteway import Running, tls_files, up_with_guide

PROXIES = 3

EVERYTHING: Mapping[str, Any] = {
    "cache": {"enabled": True, "eventualBound": "30s"},
    "limits": [{"by": ["user"], "requestsPerSecond": 5000, "inFlight": 500}],
    "admission": {"maxConcurrentReads": "adaptive", "maxWait": "5s"},
    "hedging": {"delay": "500ms"},
}
"""The spec of a MilvusPolicy with each of its parts; the limits are too high to be met."""


@dataclass(frozen=True)
class Site:
    """
    A running cluster.

    Attributes:
        folder: for files, with a short name.
        cluster: the proxies.
        backend: their certificate.
        front: Kiteway's.
    """

    folder: Path
    cluster: LiteCluster
    backend: TLSFiles
    front: TLSFiles

    @property
    def direct(self) -> Place:
        """The first proxy."""
        return Place(f"https://127.0.0.1:{self.cluster.endpoints[0].port}", str(self.backend.cert), "localhost")

    @contextlib.contextmanager
    def kiteway(self, name: str, policy: Mapping[str, Any] | None = None) -> Iterator[tuple[Place, Running]]:
        """Run ``kiteway up`` with the guide's manifests before all proxies."""
        at = [(endpoint.port, endpoint.health_port) for endpoint in self.cluster.endpoints]
        (port,) = free_ports(1)
        with up_with_guide(self.folder / name, self.front, port, at, drain=1, policy=policy) as running:
            yield Place(f"https://127.0.0.1:{port}", str(self.front.cert), HOST), running


@contextlib.contextmanager
def site(*, old: bool = False) -> Iterator[Site]:
    """Run Milvus Lite 3.2.2, or the old 2.5.1, behind `PROXIES` proxies."""
    with tempfile.TemporaryDirectory(prefix="kw-") as name, asyncio.Runner() as runner:
        folder = Path(name)
        backend, front = tls_files(folder, "backend", "localhost"), tls_files(folder, "front", HOST)
        store: Store = OldLite(folder) if old else LiteMilvus(folder / "store")
        cluster = LiteCluster(folder, store, proxies=PROXIES, tls=backend)
        runner.run(cluster.start())
        try:
            yield Site(folder, cluster, backend, front)
        finally:
            runner.run(cluster.stop())

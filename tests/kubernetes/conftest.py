"""A cluster for each file of tests, and one Milvus for all."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kiteway.certificates.create import create_self_signed
from kiteway.files import write_atomic
from kiteway.milvus.embedded import MilvusEndpoint, StandaloneMilvus, TLSFiles
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.controller import account
from tests.kubernetes.pods import add_node


@dataclass(frozen=True)
class Bed:
    """
    A cluster that Kiteway may be put into.

    Attributes:
        cluster: the cluster, with GKE's CRDs and two nodes.
        kubeconfig: of Kiteway's service account.
        folder: a folder with a short name, for sockets.
    """

    cluster: Cluster
    kubeconfig: Path
    folder: Path


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    """Start a cluster."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    try:
        with Cluster(folder) as cluster:
            cluster.install_crds()
            add_node(cluster, "node-a", "zone-a")
            add_node(cluster, "node-b", "zone-b")
            yield Bed(cluster, account(cluster), folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def milvus() -> Iterator[MilvusEndpoint]:
    """Start a real Milvus with TLS, as the guide wants it."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    pair = create_self_signed(["localhost"], ["127.0.0.1"], key_type="RSA")
    files = TLSFiles(folder / "backend.crt", folder / "backend.key")
    files.cert.write_bytes(pair.certificate)
    write_atomic(files.key, pair.key.reveal(), 0o600)
    loop = asyncio.new_event_loop()
    # Port 9091 stays free for the pods, which share this machine with it.
    server = StandaloneMilvus(folder / "milvus", tls=files)
    try:
        loop.run_until_complete(server.start())
        yield server.endpoint
    finally:
        loop.run_until_complete(server.stop())
        loop.close()
        shutil.rmtree(folder, ignore_errors=True)

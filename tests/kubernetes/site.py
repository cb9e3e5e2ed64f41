"""The guide's balancer in a cluster, with a collection and searches, for tests of outages."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pymilvus import DataType, MilvusClient

from kiteway.certificates.create import create_self_signed
from kiteway.demo.guide import HOST, manifests
from kiteway.milvus.embedded import MilvusEndpoint
from kiteway.sources.kubernetes.gate import CONDITION
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.forward import Forwarder
from tests.kubernetes.pods import Pod, start
from tests.support.kiteway import wait_listening
from tests.support.reads import DIMENSION, SteadyReads

COLLECTION = "steady"
ADDRESS = "203.0.113.7"
INGRESS = SERVICE = "my-release-milvus"
LABELS = {
    "app.kubernetes.io/instance": "my-release",
    "app.kubernetes.io/name": "milvus",
    "component": "proxy",
}


def proxy(number: int) -> Pod:
    """Return the guide's proxy pod ``number``."""
    return Pod(f"milvus-{number}", f"10.244.0.{10 + number}", {"milvus": 19530, "metrics": 9091}, LABELS)


def gated(number: int) -> Pod:
    """Return a proxy with the readiness gate."""
    return dataclasses.replace(proxy(number), gates=(CONDITION,))


@contextlib.contextmanager
def reachable(milvus: MilvusEndpoint, *pods: Pod) -> Iterator[None]:
    """Let the addresses of ``pods`` lead to ``milvus``."""
    with Forwarder() as forwarder:
        for pod in pods:
            forwarder.open(pod.address, {19530: milvus.port, 9091: milvus.health_port})
        yield


def apply_guide(cluster: Cluster, *pods: Pod, ready: bool = True) -> Path:
    """Apply the guide's manifests, with these pods; return the certificate that clients trust."""
    pair = create_self_signed([HOST], ["127.0.0.1"])
    certificate = cluster.folder / "tls.crt"
    certificate.write_bytes(pair.certificate)
    (cluster.folder / "tls.key").write_bytes(pair.key.reveal())
    # The chart's Service and pods are there before the guide begins.
    cluster.kubectl("apply", "-f", manifests() / "service.yaml")
    for pod in pods:
        start(cluster, pod, ready=ready)
    cluster.kubectl("apply", "-f", manifests() / "backendconfig.yaml")
    cluster.kubectl("create", "secret", "tls", "my-release-milvus-tls", "--cert=./tls.crt", "--key=./tls.key")
    cluster.kubectl("apply", "-f", manifests() / "ingress.yaml")
    return certificate


def remove_guide(cluster: Cluster) -> None:
    """Delete what `apply_guide` made, and every pod."""
    cluster.kubectl("delete", "-f", manifests(), "--ignore-not-found")
    cluster.kubectl("delete", "secret", "my-release-milvus-tls", "--ignore-not-found")
    cluster.kubectl("delete", "pods", "--all", "--grace-period=0", "--force")


@dataclass(frozen=True)
class Client:
    """Who searches through the balancer."""

    port: int
    ca: Path

    def reads(self, *, retries: bool = False) -> SteadyReads:
        """Return a client that searches all the time, once there is a server; `reads.channel` has ``retries``."""
        wait_listening(self.port)
        return SteadyReads(f"127.0.0.1:{self.port}", self.ca, HOST, COLLECTION, retries=retries)

    def fill(self) -> None:
        """Make the collection, unless it is there."""
        wait_listening(self.port)
        client = MilvusClient(f"https://127.0.0.1:{self.port}", server_pem_path=str(self.ca), server_name=HOST)
        if not client.has_collection(COLLECTION):
            schema = client.create_schema(auto_id=False)
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
            index = client.prepare_index_params()
            index.add_index("vector", index_type="FLAT", metric_type="L2")
            client.create_collection(COLLECTION, schema=schema, index_params=index)
            rows = [{"id": i, "vector": [float((i + j) % 13) for j in range(DIMENSION)]} for i in range(50)]
            client.insert(COLLECTION, rows)
            client.load_collection(COLLECTION)
        client.close()

"""A real Milvus with three proxies behind Kiteway with its web page, and clients that use it."""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from anyio.from_thread import BlockingPortal, start_blocking_portal
from pymilvus import DataType, MilvusClient, MilvusException

from kiteway.certificates.create import create_self_signed
from kiteway.demo.guide import HOST
from kiteway.files import write_atomic
from kiteway.milvus.embedded import MilvusCluster, TLSFiles, Tuning
from tests.support.kiteway import Running, tls_files, up_with_guide

ROOT = ("root", "Milvus")
READER = ("reader", "reader-s3cret")
COLLECTIONS = ("books", "birds")
MARKUP = "<img src=x onerror=alert(1)>"
"""A user's name that is markup. Milvus permits no such name of a collection."""
DAYS = 9
"""Days that the certificate has left."""
POLICY = {"admission": {"maxConcurrentReads": 64, "maxWait": "5s"}}
_DIMENSION = 8

BROKEN = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: broken, namespace: default}
spec:
  rules:
  - host: broken.example.com
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: absent, port: {number: 19530}}}}]}
"""


@dataclass(frozen=True)
class Site:
    """
    What a test needs.

    Attributes:
        running: Kiteway.
        cluster: Milvus.
        portal: runs coroutines of the cluster.
        url: the address of the web page.
        manifests: the folder that Kiteway follows.
    """

    running: Running
    cluster: MilvusCluster
    portal: BlockingPortal
    url: str
    manifests: Path

    @property
    def addresses(self) -> list[str]:
        """The endpoints."""
        return [f"127.0.0.1:{endpoint.port}" for endpoint in self.cluster.endpoints]


@contextlib.contextmanager
def site(free_port: Callable[[], int], *options: str) -> Iterator[Site]:
    """Start everything; clients search all the time, one of them the same thing again and again."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    front, port, page = _front(folder), free_port(), free_port()
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        # A thread of its own: Playwright has the main thread's event loop.
        portal = stack.enter_context(start_blocking_portal())
        backend = tls_files(folder, "backend", "localhost")
        tuning = Tuning(authorization=True)
        cluster = MilvusCluster(folder / "milvus", proxies=3, tls=backend, tuning=tuning)
        portal.call(cluster.start)
        stack.callback(lambda: portal.call(cluster.stop))
        running = stack.enter_context(
            up_with_guide(
                folder / "data",
                front,
                port,
                [(endpoint.port, endpoint.health_port) for endpoint in cluster.endpoints],
                drain=1.0,
                policy=POLICY,
                options=("--cache", "--dashboard", f"127.0.0.1:{page}", *options),
            )
        )

        def connect(user: tuple[str, str]) -> MilvusClient:
            return _client(port, front, user)

        _fill(connect(ROOT))
        stack.enter_context(_traffic(connect))
        yield Site(running, cluster, portal, f"http://127.0.0.1:{page}", folder / "data-manifests")


def _front(folder: Path) -> TLSFiles:
    pair = create_self_signed([HOST], ["127.0.0.1"], days=DAYS + 1)
    files = TLSFiles(folder / "front.crt", folder / "front.key")
    files.cert.write_bytes(pair.certificate)
    write_atomic(files.key, pair.key.reveal(), 0o600)
    return files


def _client(port: int, front: TLSFiles, user: tuple[str, str]) -> MilvusClient:
    return MilvusClient(
        f"https://127.0.0.1:{port}", server_pem_path=str(front.cert), server_name=HOST, token=":".join(user)
    )


def _fill(client: MilvusClient) -> None:
    client.create_user(*READER)
    client.grant_role(READER[0], "admin")
    for collection in COLLECTIONS:
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=_DIMENSION)
        index = client.prepare_index_params()
        index.add_index("vector", index_type="FLAT", metric_type="L2")
        client.create_collection(collection, schema=schema, index_params=index)
        client.insert(collection, [{"id": number, "vector": _vector()} for number in range(100)])
        client.load_collection(collection)
    client.close()


def _vector() -> list[float]:
    return [random.random() for _ in range(_DIMENSION)]


@contextlib.contextmanager
def _traffic(connect: Callable[[tuple[str, str]], MilvusClient]) -> Iterator[None]:
    ended = threading.Event()
    same = _vector()

    def work(user: tuple[str, str], collection: str, vector: Callable[[], list[float]]) -> None:
        client = connect(user)
        while not ended.wait(random.uniform(0.02, 0.06)):
            # A proxy that was killed fails the call in flight.
            with contextlib.suppress(MilvusException):
                client.search(collection, [vector()], limit=3)
        client.close()

    wanted = [(ROOT, "books", _vector), (READER, "books", lambda: same), (READER, "birds", _vector)]
    threads = [threading.Thread(target=work, args=each) for each in wanted]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()

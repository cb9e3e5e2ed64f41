"""Endpoints that change fifty times a second, under load: no call fails, no listener drains, memory stays flat."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from kiteway.envoy.admin import AdminClient
from kiteway.files import write_atomic
from kiteway.milvus.embedded import StandaloneMilvus
from kiteway.pipeline.pipeline import Pipeline
from kiteway.resources import EndpointSlice, Object, load_documents
from kiteway.sources.files import SourceContent
from kiteway.translate import Options
from tests.e2e.traffic import Proxy, eventually
from tests.e2e.traffic import running as running_envoy
from tests.support.kiteway import Running, tls_files, up
from tests.support.load import MixedLoad, Shape, Target, prepare

pytestmark = [pytest.mark.e2e, pytest.mark.milvus, pytest.mark.timeout(300)]

CHANGES_PER_SECOND = 50
_SHAPE = Shape(readers=3, writers=1, alone=1)
_KEYS = itertools.count(1_000_000)

MANIFESTS = b"""
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: milvus, namespace: default}
spec:
  defaultBackend: {service: {name: milvus, port: {number: 19530}}}
---
apiVersion: v1
kind: Service
metadata:
  name: milvus
  namespace: default
  annotations: {cloud.google.com/app-protocols: '{"milvus": "HTTP2"}', cloud.google.com/neg: '{"ingress": true}'}
spec:
  ports: [{name: milvus, port: 19530}]
"""

SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: milvus-{name}, namespace: default, labels: {{kubernetes.io/service-name: milvus}}}}
addressType: IPv4
ports: [{{name: milvus, port: {port}}}]
endpoints: [{{addresses: [{address}]}}]
"""


@dataclass(frozen=True)
class Site:
    """A Milvus that listens on every loopback address, so that each of them can be an endpoint."""

    folder: Path
    port: int

    def slice(self, change: int, name: str = "moving") -> bytes:
        """Return an EndpointSlice whose one address is another with each change; 0 is the one that stays."""
        address = f"127.0.{1 + change % 2}.{1 + change % 250}" if change else "127.0.0.1"
        return SLICE.format(name=name, port=self.port, address=address).encode()

    def target(self, port: int) -> Target:
        """Return a plaintext port as a target of load."""
        return Target("kiteway", f"127.0.0.1:{port}", None, None, "steady")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Start a Milvus with TLS and a collection."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    loop = asyncio.new_event_loop()
    backend = tls_files(folder, "backend", "localhost")
    milvus = StandaloneMilvus(folder / "milvus", tls=backend)
    try:
        loop.run_until_complete(milvus.start())
        prepare(milvus.endpoint.port, backend.cert, "steady")
        yield Site(folder, milvus.endpoint.port)
    finally:
        loop.run_until_complete(milvus.stop())
        loop.close()
        shutil.rmtree(folder)


def _objects(*texts: bytes) -> tuple[Object, ...]:
    return tuple(found for text in texts for found in load_documents(text, "manifests.yaml").objects)


def _churn(change: Callable[[int], None], seconds: float, halfway: Callable[[], None]) -> int:
    """Make changes at a steady rate; return how many. ``halfway`` is called when it has warmed up."""
    count = int(seconds * CHANGES_PER_SECOND)
    begin = time.monotonic()
    for number in range(1, count + 1):
        change(number)
        if number == count // 2:
            halfway()
        time.sleep(max(0.0, begin + number / CHANGES_PER_SECOND - time.monotonic()))
    return count


def resident(pid: int) -> float:
    """Return the MiB of memory a process holds."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


class Draining:
    """Watches, as long as the ``with`` lasts, whether a listener ever drains."""

    def __init__(self, stat: Callable[[], int]) -> None:
        self._stat = stat
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.most = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            self.most = max(self.most, self._stat())


@pytest.mark.parametrize("seconds", [10, pytest.param(120, marks=pytest.mark.chaos)])
def test_fifty_changes_a_second_reach_envoy(
    site: Site, tmp_path: Path, free_port: Callable[[], int], seconds: int
) -> None:
    """Each change, as it comes from a cluster's watch, is a separate push, and no client notices."""
    folder = Path(tempfile.mkdtemp(prefix="envoy-", dir=site.folder))
    with running_envoy(folder, free_port) as proxy:
        pipeline = Pipeline(proxy.settings)
        objects = _objects(MANIFESTS, site.slice(0, "staying"), site.slice(1))
        first = pipeline.run(SourceContent(objects, (), ()), {}, _now(), Options())
        proxy.publish(first.snapshot)
        eventually(proxy.ready, "Envoy runs the configuration")
        _wait_healthy(proxy, 2)

        def change(number: int) -> None:
            (slice_,) = _objects(site.slice(number))
            assert isinstance(slice_, EndpointSlice)
            outcome = pipeline.run_slices([], [slice_], _now())
            assert outcome is not None
            proxy.publish(outcome.snapshot)

        middle: list[float] = []
        listeners = proxy.stats("listener_manager.(listener_|lds.update_success)")
        assert listeners
        before = _eds_updates(proxy)
        with (
            MixedLoad(site.target(proxy.port), _KEYS, _SHAPE) as load,
            Draining(lambda: proxy.stat("total_listeners_draining")) as draining,
        ):
            count = _churn(change, seconds, lambda: middle.append(resident(proxy.process.pid)))
            load.wait_for(20)
            load.join()

        assert not load.reads.failures
        assert not load.writes.failures
        assert load.reads.ok > 10 * seconds
        # One that is still on its way when the next comes is skipped.
        assert _eds_updates(proxy) - before > 0.8 * count
        assert draining.most == 0
        assert proxy.stats("listener_manager.(listener_|lds.update_success)") == listeners
        assert resident(proxy.process.pid) < 1.1 * middle[0] + 4


def test_fifty_edits_a_second_are_followed(site: Site, free_port: Callable[[], int]) -> None:
    """
    Under fifty edits a second no call through ``kiteway up`` fails, memory does not grow, and the last edit
    takes effect.
    """
    folder = Path(tempfile.mkdtemp(prefix="up-", dir=site.folder))
    kept = folder / "manifests"
    kept.mkdir()
    (kept / "balancer.yaml").write_bytes(MANIFESTS)
    (kept / "staying.yaml").write_bytes(site.slice(0, "staying"))
    (kept / "moving.yaml").write_bytes(site.slice(1))
    port = free_port()
    arguments = ["-f", str(kept), "--https-port", str(free_port()), "--http-port", str(port), "--drain", "2"]
    with up(arguments, folder / "data") as running:
        running.wait_healthy(2)
        pids = [pid for name in ("envoy", "controlplane") if (pid := running.child(name)[0]) is not None]
        middle: list[list[float]] = []
        with (
            MixedLoad(site.target(port), _KEYS, _SHAPE) as load,
            Draining(lambda: _stat(running, "total_listeners_draining")) as draining,
        ):
            count = _churn(
                lambda number: write_atomic(kept / "moving.yaml", site.slice(number)),
                10,
                lambda: middle.append([resident(pid) for pid in pids]),
            )
            load.wait_for(20)
            load.join()

        assert not load.reads.failures
        assert not load.writes.failures
        assert draining.most == 0
        assert _stat(running, "listener_modified") == 0
        running.wait_healthy(2)
        address = re.search(rb"127[.0-9]+", site.slice(count))
        assert address is not None
        assert f"{address[0].decode()}:{site.port}" in _addresses(running)
        for pid, then in zip(pids, middle[0], strict=True):
            assert resident(pid) < 1.1 * then + 4


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _wait_healthy(proxy: Proxy, endpoints: int) -> None:
    deadline = time.monotonic() + 30
    while proxy.stat("pool/default/milvus/19530/grpc.membership_healthy") < endpoints:
        assert time.monotonic() < deadline, "the endpoints are not healthy"
        time.sleep(0.05)


def _eds_updates(proxy: Proxy) -> int:
    return proxy.stat("grpc.update_success")


def _stat(running: Running, name: str) -> int:
    async def ask() -> int:
        async with AdminClient(running.instance.admin_socket) as admin:
            return sum((await admin.stats(f"listener_manager.{name}$")).values())

    return asyncio.run(ask())


def _addresses(running: Running) -> set[str]:
    async def ask() -> set[str]:
        async with AdminClient(running.instance.admin_socket) as admin:
            clusters = await admin.clusters()
        return {e.address for name, c in clusters.items() if name.startswith("pool/") for e in c.endpoints}

    return asyncio.run(ask())

"""The readiness gate: a Pod is ready when the balancer sees it healthy."""

from __future__ import annotations

import asyncio
import functools
import itertools
import shutil
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self

import pytest

from kiteway.demo.guide import HOST
from kiteway.milvus.embedded import MilvusCluster, MilvusEndpoint
from kiteway.sources.kubernetes.gate import CONDITION
from tests.kubernetes.conftest import Bed
from tests.kubernetes.controller import account, controller
from tests.kubernetes.forward import Forwarder
from tests.kubernetes.pods import Pod, conditions, kubelet, remove, start
from tests.kubernetes.site import Client, apply_guide, gated, reachable, remove_guide
from tests.support.kiteway import Running, tls_files, wait_listening, wait_until
from tests.support.load import MixedLoad, Shape, Target, prepare

pytestmark = [pytest.mark.kubernetes, pytest.mark.milvus, pytest.mark.timeout(600)]

_LONG = 120.0
GATE = {"controller": {"readinessGate": True}}


@pytest.fixture(autouse=True)
def _no_guide_left(bed: Bed) -> Iterator[None]:
    yield
    remove_guide(bed.cluster)


def _healthy(kiteway: Running) -> dict[str, bool]:
    pools = kiteway.report()["pools"]
    return {e["address"].rpartition(":")[0]: e["healthy"] for pool in pools for e in pool["endpoints"]}


def _drains(kiteway: Running, pod: Pod) -> bool:
    return not _healthy(kiteway).get(pod.address)


class Proxies:
    """
    Pods that are proxies of one Milvus cluster, each a separate process that lives as long as the Pod's containers.

    Attributes:
        certificate: what their own certificate is verified with.
    """

    def __init__(self, folder: Path, forwarder: Forwarder, count: int) -> None:
        files = tls_files(folder, "backend", "localhost")
        self.certificate = files.cert
        self._forwarder = forwarder
        self._cluster = MilvusCluster(folder / "milvus", proxies=count, tls=files)
        self._free = list(range(count))
        self._running: dict[str, int] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        try:
            self._wait(self._cluster.start())
            for slot in self._free:
                self._wait(self._cluster.stop_proxy(slot))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._wait(self._cluster.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def run(self, pod: Pod) -> int:
        """Start a pod's process; return its pid when it serves."""
        slot = self._running[pod.name] = self._free.pop()
        self._wait(self._cluster.restart(slot))
        endpoint = self._cluster.endpoints[slot]
        self._forwarder.open(pod.address, {19530: endpoint.port, 9091: endpoint.health_port})
        return self._cluster.pid(slot)

    def end(self, pod: Pod) -> None:
        """End a pod's process by SIGTERM; its address is gone with it."""
        slot = self._running.pop(pod.name)
        self._wait(self._cluster.stop_proxy(slot))
        self._forwarder.close(pod.address)
        self._free.append(slot)

    def port(self, pod: Pod) -> int:
        """Return where a pod's process serves on this machine."""
        return self._cluster.endpoints[self._running[pod.name]].port

    def _wait(self, work: Coroutine[Any, Any, object]) -> None:
        done: Future[object] = asyncio.run_coroutine_threadsafe(work, self._loop)
        done.result(240)


@pytest.fixture
def proxies() -> Iterator[Proxies]:
    """Start a Milvus cluster for three proxies, and one more while one is replaced."""
    folder = Path(tempfile.mkdtemp(prefix="kw-"))
    try:
        with Forwarder() as forwarder, Proxies(folder, forwarder, 4) as started:
            yield started
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_rolling_restart(bed: Bed, proxies: Proxies, free_port: Callable[[], int]) -> None:
    """
    Three real proxies are replaced one by one, as a Deployment does it: each new one is ready when Envoy sees
    it healthy, each old one is drained before its SIGTERM; no read or write fails.
    """
    cluster, port = bed.cluster, free_port()
    old, new = [gated(n) for n in range(3)], [gated(n) for n in range(3, 6)]
    kubeconfig = account(cluster, GATE)
    pids = [proxies.run(pod) for pod in old]
    prepare(proxies.port(old[0]), proxies.certificate, "rolling")
    with (
        controller(kubeconfig, bed.folder / "kw", port, "--readiness-gate") as kiteway,
        kubelet(cluster, *old, *new),
    ):
        ca = apply_guide(cluster, *old, ready=False)
        kiteway.wait_healthy(3)
        wait_until(lambda: all(_ready(bed, pod) for pod in old), "all are ready", _LONG)
        wait_listening(port)
        target = Target("kiteway", f"127.0.0.1:{port}", ca, HOST, "rolling")
        with MixedLoad(target, itertools.count(1000), Shape(readers=2, writers=1, alone=1)) as load:
            for leaving, coming in zip(old, new, strict=True):
                pids.append(proxies.run(coming))
                start(cluster, coming, ready=False)
                wait_until(functools.partial(_ready, bed, coming), "the new one is ready", _LONG)
                assert _healthy(kiteway)[coming.address]
                # What the kubelet does when a Pod shall stop: it goes on serving, terminating, while its preStop hook
                # waits; then comes SIGTERM.
                cluster.kubectl("delete", "pod", leaving.name, "--grace-period=60", "--wait=false")
                wait_until(functools.partial(_drains, kiteway, leaving), "the old one drains", _LONG)
                proxies.end(leaving)
                remove(cluster, leaving)
                load.wait_for(50, _LONG)

        assert not load.reads.failures
        assert not load.writes.failures
        assert load.writes.ok
        assert len(set(pids)) == 6
        assert set(_healthy(kiteway)) == {pod.address for pod in new}


def test_a_sick_pod_stays_unready(bed: Bed, milvus: MilvusEndpoint, free_port: Callable[[], int]) -> None:
    """A Pod that Envoy sees unhealthy is checked, gets no calls, and its gate stays closed."""
    cluster, port = bed.cluster, free_port()
    well, sick = gated(10), gated(11)
    with (
        reachable(milvus, well),
        controller(account(cluster, GATE), bed.folder / "sick", port, "--readiness-gate") as kiteway,
        kubelet(cluster, well, sick),
    ):
        client = Client(port, apply_guide(cluster, well, ready=False))
        wait_until(lambda: _ready(bed, well), "the other is ready", _LONG)
        client.fill()
        with client.reads() as reads:
            # Nothing answers at the address of this one.
            start(cluster, sick, ready=False)
            wait_until(lambda: _healthy(kiteway).get(sick.address) is False, "it is checked", _LONG)
            reads.wait_for(50, _LONG)

        assert not reads.failures
        assert CONDITION not in conditions(cluster, sick)


def _ready(bed: Bed, pod: Pod) -> bool:
    return conditions(bed.cluster, pod).get("Ready") == "True"

"""The readiness gate: a Pod is ready when the balancer sees it healthy."""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kiteway.milvus.embedded import MilvusEndpoint
from kiteway.sources.kubernetes.gate import CONDITION
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.conftest import Bed
from tests.kubernetes.controller import account, controller
from tests.kubernetes.pods import Pod, remove, set_ready, start
from tests.kubernetes.site import Client, apply_guide, proxy, reachable
from tests.support.kiteway import Running, wait_until

pytestmark = [pytest.mark.kubernetes, pytest.mark.milvus, pytest.mark.timeout(300)]


def gated(number: int) -> Pod:
    """Return a proxy with the gate."""
    return dataclasses.replace(proxy(number), gates=(CONDITION,))


def _conditions(cluster: Cluster, pod: Pod) -> dict[str, str]:
    found: dict[str, Any] = cluster.get("pod", pod.name)["status"]
    return {condition["type"]: condition["status"] for condition in found["conditions"]}


@contextmanager
def kubelet(cluster: Cluster, *pods: Pod) -> Iterator[None]:
    """Make pods Ready when their gate opens, as the kubelet does."""
    stop = threading.Event()

    def watch() -> None:
        waiting = list(pods)
        while waiting and not stop.wait(0.1):
            for pod in waiting[:]:
                answer = cluster.api.get(f"/api/v1/namespaces/default/pods/{pod.name}")
                if answer.status_code != 200:
                    continue
                conditions = answer.json().get("status", {}).get("conditions", ())
                if any(c["type"] == CONDITION and c["status"] == "True" for c in conditions):
                    set_ready(cluster, pod, ready=True)
                    waiting.remove(pod)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _ready(cluster: Cluster, *pods: Pod) -> bool:
    return all(_conditions(cluster, pod)["Ready"] == "True" for pod in pods)


def _healthy(kiteway: Running) -> dict[str, bool]:
    pools = kiteway.status()["pools"]
    return {e["address"].rpartition(":")[0]: e["healthy"] for pool in pools for e in pool["endpoints"]}


def _drains(kiteway: Running, pod: Pod) -> bool:
    return not _healthy(kiteway).get(pod.address)


def test_rolling_restart(bed: Bed, milvus: MilvusEndpoint, free_port: Callable[[], int]) -> None:
    """Three proxies are replaced one by one; each new one is ready when Envoy sees it healthy; no call fails."""
    cluster, port = bed.cluster, free_port()
    old, new, sick = [gated(n) for n in range(3)], [gated(n) for n in range(3, 6)], gated(6)
    kubeconfig = account(cluster, gate=True)
    with (
        reachable(milvus, *old, *new),
        controller(kubeconfig, bed.folder / "kw", port, "--readiness-gate") as kiteway,
        kubelet(cluster, *old, *new, sick),
    ):
        ca = apply_guide(cluster, *old, ready=False)
        kiteway.wait_healthy(3)
        wait_until(lambda: _ready(cluster, *old), "all are ready", 60)
        client = Client(port, ca)
        client.fill()
        with client.reads() as reads:
            for leaving, coming in zip(old, new, strict=True):
                start(cluster, coming, ready=False)
                wait_until(functools.partial(_ready, cluster, coming), "the new one is ready", 60)
                assert _healthy(kiteway)[coming.address]
                # What the kubelet does when a Pod shall stop: it goes on serving, terminating, until the end.
                cluster.kubectl("delete", "pod", leaving.name, "--grace-period=30", "--wait=false")
                wait_until(functools.partial(_drains, kiteway, leaving), "the old one drains", 60)
                reads.wait_for(20)
                remove(cluster, leaving)
            # Nothing answers at the address of this one.
            start(cluster, sick, ready=False)
            wait_until(lambda: _healthy(kiteway).get(sick.address) is False, "it is checked", 60)
            reads.wait_for(50)

        assert not reads.failures
        assert CONDITION not in _conditions(cluster, sick)

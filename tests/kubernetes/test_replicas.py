"""Several replicas: all serve, one writes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Callable

import pytest

from kiteway.milvus.embedded import MilvusEndpoint
from tests.kubernetes.conftest import Bed
from tests.kubernetes.controller import NAMESPACE, controller
from tests.kubernetes.pods import remove
from tests.kubernetes.site import ADDRESS, INGRESS, Client, apply_guide, proxy, reachable
from tests.support.kiteway import Running, wait_until

pytestmark = [pytest.mark.kubernetes, pytest.mark.milvus, pytest.mark.timeout(400)]

_LONG = 90.0


def test_the_leader_dies(bed: Bed, milvus: MilvusEndpoint, free_port: Callable[[], int]) -> None:
    """
    Three replicas serve; each status is written once; when the writing replica is killed another takes the
    Lease, goes on, and writes nothing that is written already.
    """
    cluster = bed.cluster
    pod = proxy(0)
    ports = [free_port() for _ in range(3)]
    counter = cluster.counter()
    with contextlib.ExitStack() as stack:
        stack.enter_context(reachable(milvus, pod))
        ca = apply_guide(cluster, pod)
        arguments = ("--publish-address", ADDRESS)
        replicas = {}
        for number, port in enumerate(ports):
            folder = bed.folder / f"kw{number}"
            replicas[number] = stack.enter_context(controller(bed.kubeconfig, folder, port, *arguments))
        for kiteway in replicas.values():
            kiteway.wait_healthy(1)

        def backends() -> str:
            annotations = cluster.get("ingress", INGRESS)["metadata"].get("annotations", {})
            return str(annotations.get("ingress.kubernetes.io/backends"))

        def holder() -> str:
            return str(cluster.get("lease", "kiteway", NAMESPACE)["spec"]["holderIdentity"])

        wait_until(lambda: "HEALTHY" in backends() and "UNHEALTHY" not in backends(), "the status is written", _LONG)
        # Once with the address, and once more where health came later.
        assert counter.count("patch", "ingresses") <= 2
        assert counter.count("patch", "services") <= 2

        leader = holder()
        [number] = [n for n, each in replicas.items() if _writes(each)]
        client = Client(ports[(number + 1) % 3], ca)
        client.fill()
        counter = cluster.counter()
        pid, _ = replicas[number].child("controlplane")
        assert pid is not None
        os.kill(replicas[number].process.pid, signal.SIGSTOP)
        os.kill(pid, signal.SIGKILL)
        try:
            with client.reads() as reads:
                wait_until(lambda: holder() not in {leader, ""}, "another replica holds the Lease", _LONG)
                reads.wait_for(20)
            assert not reads.failures
            assert counter.count("patch") == 0
            remove(cluster, pod)
            wait_until(lambda: "Unknown" in backends(), "the new leader writes", _LONG)
        finally:
            os.kill(replicas[number].process.pid, signal.SIGCONT)

    assert counter.count("patch", "ingresses") <= 2


def _writes(kiteway: Running) -> bool:
    """Tell whether a replica holds the Lease: what its log says last."""
    return re.findall(r"\bheld=(True|False)", kiteway.log.read_text())[-1:] == ["True"]

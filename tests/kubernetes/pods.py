"""
Simulated nodes and pods whose addresses are real.

A pod is an object with the status Running and Ready, and listeners at its address that hand connections to a process on
this machine, as a node's network would (`tests.kubernetes.forward`). The addresses are on loopback
(``tools/in_netns.py``), because the API server refuses 127.0.0.0/8 in an EndpointSlice.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kiteway.sources.kubernetes.gate import CONDITION
from tests.kubernetes.cluster import Cluster

ZONE_LABEL = "topology.kubernetes.io/zone"


def add_node(cluster: Cluster, name: str, zone: str) -> None:
    """Write a Node in a zone."""
    cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {ZONE_LABEL: zone}}})


@dataclass(frozen=True)
class Pod:
    """
    A pod that runs.

    Attributes:
        name: its name, in namespace ``default``.
        address: its address.
        ports: its container's ports by name.
        labels: what Services select it by.
        node: where it runs.
        gates: its readiness gates.
    """

    name: str
    address: str
    ports: Mapping[str, int]
    labels: Mapping[str, str]
    node: str = "node-a"
    gates: tuple[str, ...] = ()

    def manifest(self) -> dict[str, Any]:
        """Return the object."""
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.name, "namespace": "default", "labels": dict(self.labels)},
            "spec": {
                "nodeName": self.node,
                "readinessGates": [{"conditionType": gate} for gate in self.gates],
                "containers": [
                    {
                        "name": "milvus",
                        "image": "milvus",
                        "ports": [{"name": name, "containerPort": port} for name, port in self.ports.items()],
                    }
                ],
            },
        }


def start(cluster: Cluster, pod: Pod, *, ready: bool = True) -> None:
    """Write the pod, and that its containers run; what the kubelet would do."""
    cluster.api.post("/api/v1/namespaces/default/pods", json=pod.manifest()).raise_for_status()
    set_ready(cluster, pod, ready=ready)


def set_ready(cluster: Cluster, pod: Pod, *, ready: bool) -> None:
    """Write whether the pod is ready, and that its containers are."""
    # Merged by type: a readiness gate's condition stays.
    conditions = [
        {"type": "ContainersReady", "status": "True"},
        {"type": "Ready", "status": "True" if ready else "False"},
    ]
    status = {"phase": "Running", "podIP": pod.address, "podIPs": [{"ip": pod.address}], "conditions": conditions}
    cluster.api.patch(
        f"/api/v1/namespaces/default/pods/{pod.name}/status",
        json={"status": status},
        headers={"Content-Type": "application/strategic-merge-patch+json"},
    ).raise_for_status()


def remove(cluster: Cluster, pod: Pod) -> None:
    """Delete the pod at once."""
    cluster.kubectl("delete", "pod", pod.name, "--grace-period=0", "--force", "--wait=false")


@contextlib.contextmanager
def kubelet(cluster: Cluster, *pods: Pod) -> Iterator[None]:
    """Make pods Ready when their gate opens, as the kubelet does."""
    stop = threading.Event()

    def watch() -> None:
        waiting = list(pods)
        while waiting and not stop.wait(0.1):
            for pod in waiting[:]:
                if conditions(cluster, pod).get(CONDITION) == "True":
                    set_ready(cluster, pod, ready=True)
                    waiting.remove(pod)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def conditions(cluster: Cluster, pod: Pod) -> dict[str, str]:
    """Return the status of a pod's conditions by type; nothing when there is no such pod."""
    answer = cluster.api.get(f"/api/v1/namespaces/default/pods/{pod.name}")
    found = answer.json()["status"].get("conditions", []) if answer.status_code == 200 else []
    return {condition["type"]: condition["status"] for condition in found}

"""
Made-up nodes and pods whose addresses are real.

A pod is an object that says Running and Ready, and listeners at its address that hand connections to a process on this
machine, as a node's network would. The addresses are loopback's (``tools/in_netns.py``), because the API server
refuses 127.0.0.0/8 in an EndpointSlice.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

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
def forwarding(routes: Mapping[tuple[str, int], int]) -> Iterator[None]:
    """Hand connections to ``(address, port)`` on to a port of 127.0.0.1."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    servers = asyncio.run_coroutine_threadsafe(_listen(routes), loop).result(10)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(_close(servers), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _listen(routes: Mapping[tuple[str, int], int]) -> list[asyncio.Server]:
    return [await asyncio.start_server(_to(target), address, port) for (address, port), target in routes.items()]


async def _close(servers: list[asyncio.Server]) -> None:
    for server in servers:
        server.close()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _to(target: int) -> Any:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.transport.abort()
            return
        both = (pump(reader, upstream_writer), pump(upstream_reader, writer))
        try:
            await asyncio.gather(*both)
        finally:
            for end in (writer, upstream_writer):
                end.transport.abort()

    return handle


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on what comes from one to the other, until it ends."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()

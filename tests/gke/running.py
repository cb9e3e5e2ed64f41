"""The status that a kubelet writes about a running pod."""

from __future__ import annotations

import datetime as dt

from tests.kubernetes.cluster import Cluster

NODE = "node-a"
PODS = "/api/v1/namespaces/default/pods"
_MERGE = {"Content-Type": "application/strategic-merge-patch+json"}


def mark_running(cluster: Cluster, name: str, address: str) -> None:
    """
    Write that a pod's containers run and are ready.

    A pod with readiness gates is ready only once they are open, too.
    """
    # minReadySeconds counts from the transition.
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    response = cluster.api.get(f"{PODS}/{name}")
    if response.status_code == 404:  # it may be gone already
        return
    gates = response.json()["spec"].get("readinessGates", [])
    kinds = ("ContainersReady", *(gate["conditionType"] for gate in gates), "Ready")
    ready = [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in kinds]
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": {"name": NODE}}
    cluster.api.post(f"{PODS}/{name}/binding", json=binding)
    status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": ready}
    response = cluster.api.patch(f"{PODS}/{name}/status", json={"status": status}, headers=_MERGE)
    if response.status_code != 404:
        response.raise_for_status()

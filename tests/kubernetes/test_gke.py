"""In a cluster that looks like GKE, Google's objects do not change."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from kiteway.demo.guide import manifests
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.conftest import Bed
from tests.kubernetes.controller import controller
from tests.kubernetes.neg import NEG_CRD
from tests.kubernetes.site import ADDRESS, INGRESS, SERVICE, apply_guide, proxy
from tests.support.kiteway import wait_until

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]


def _ours(cluster: Cluster, resource: str, name: str) -> list[dict[str, Any]]:
    """Return what Kiteway has written to an object."""
    return [f for f in cluster.get(resource, name)["metadata"]["managedFields"] if f["manager"] == "kiteway"]


def test_googles_objects_are_not_touched(bed: Bed, free_port: Callable[[], int]) -> None:
    """
    On GKE an Ingress without a class, or of Google's class, is Google's: Kiteway writes neither to it nor to
    its Service nor to its ManagedCertificate, and serves none of its hosts; it serves one of Kiteway's own
    class beside it.
    """
    cluster = bed.cluster
    cluster.apply(NEG_CRD)
    apply_guide(cluster, proxy(0))
    cluster.kubectl("apply", "-f", manifests("guide-google-managed") / "managed-crt.yaml")
    backends = json.dumps({"k8s1-a1b2c3d4-default-my-release-milvus-19530-e5f6a7b8": "HEALTHY"})
    annotation = f"ingress.kubernetes.io/backends={backends}"
    cluster.kubectl("annotate", "ingress", INGRESS, annotation, "--field-manager=glbc")
    before = cluster.get("ingress", INGRESS)
    rule = before["spec"]["rules"][0]
    ours = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "ours", "namespace": "default"},
        "spec": {
            "ingressClassName": "kiteway",
            "tls": before["spec"]["tls"],
            "rules": [{**rule, "host": "ours.milvus.io"}],
        },
    }
    googles = {**ours, "metadata": {"name": "googles", "namespace": "default"}, "spec": {"rules": [rule]}}
    googles["metadata"]["annotations"] = {"kubernetes.io/ingress.class": "gce"}  # type: ignore[index]
    cluster.apply(ours, googles)
    counter = cluster.counter()

    with controller(bed.kubeconfig, bed.folder / "kw", free_port(), "--publish-address", ADDRESS) as kiteway:
        wait_until(lambda: _ours(cluster, "ingress", "ours"), "our Ingress has its status", 90)
        assert [host["host"] for host in kiteway.report()["hosts"]] == ["ours.milvus.io"]

    assert cluster.get("ingress", INGRESS) == before
    for resource, name in (
        ("ingress", "googles"),
        ("service", SERVICE),
        ("managedcertificate", "my-release-milvus-tls"),
        ("backendconfig", "my-release-backendconfig"),
    ):
        assert _ours(cluster, resource, name) == []
    events = json.loads(cluster.kubectl("get", "events", "-o", "json"))["items"]
    told = [event["involvedObject"] for event in events if event["source"].get("component") == "kiteway"]
    about = {f"{each['kind']}/{each['name']}" for each in told}
    # Service and BackendConfig are those of our own Ingress, too.
    assert about <= {"Ingress/ours", f"Service/{SERVICE}", "BackendConfig/my-release-backendconfig"}
    assert {uri.split("?")[0] for uri in counter.of("patch")} == {
        "/apis/networking.k8s.io/v1/namespaces/default/ingresses/ours/status"
    }

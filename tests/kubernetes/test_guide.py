"""The guide, start to end, with kubectl on a real API server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from kiteway.certificates.create import create_self_signed
from kiteway.demo.guide import HOST, manifests
from kiteway.milvus.embedded import MilvusEndpoint
from kiteway.milvus.verify import Target, verify
from tests.kubernetes.conftest import Bed
from tests.kubernetes.controller import controller
from tests.kubernetes.pods import Pod, forwarding, start
from tests.support.kiteway import wait_until

pytestmark = [pytest.mark.kubernetes, pytest.mark.milvus, pytest.mark.timeout(300)]

ADDRESS = "203.0.113.7"
LABELS = {
    "app.kubernetes.io/instance": "my-release",
    "app.kubernetes.io/name": "milvus",
    "component": "proxy",
}


def _lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.strip().splitlines()]


def test_the_guide(bed: Bed, milvus: MilvusEndpoint, free_port: Callable[[], int]) -> None:
    """What the guide applies with kubectl becomes a load balancer that PyMilvus verifies, and that kubectl shows."""
    cluster, port = bed.cluster, free_port()
    pair = create_self_signed([HOST], ["127.0.0.1"])
    (bed.folder / "tls.crt").write_bytes(pair.certificate)
    (bed.folder / "tls.key").write_bytes(pair.key.reveal())
    pod = Pod("milvus-0", "10.244.0.10", {"milvus": 19530, "metrics": 9091}, LABELS)
    routes = {(pod.address, 19530): milvus.port, (pod.address, 9091): milvus.health_port}
    with (
        forwarding(routes),
        controller(bed.kubeconfig, bed.folder / "kw", port, "--publish-address", ADDRESS) as kiteway,
    ):
        # The chart's Service and pod are there before the guide begins.
        cluster.kubectl("apply", "-f", manifests() / "service.yaml")
        start(cluster, pod)
        cluster.kubectl("apply", "-f", manifests() / "backendconfig.yaml")
        secret = ("secret", "tls", "my-release-milvus-tls")
        cluster.kubectl("create", *secret, "--cert=./tls.crt", "--key=./tls.key")
        cluster.kubectl("apply", "-f", manifests() / "ingress.yaml")

        kiteway.wait_healthy(1)
        target = Target(host="127.0.0.1", port=port, ca=bed.folder / "tls.crt", server_name=HOST)
        report = asyncio.run(verify(target))
        assert report.verified, report

        get = ("-f", str(manifests() / "ingress.yaml"), "get")
        wait_until(lambda: ADDRESS in cluster.kubectl(*get), "the Ingress has its address")
        header, ingress = _lines(cluster.kubectl(*get))
        assert header == ["NAME", "CLASS", "HOSTS", "ADDRESS", "PORTS", "AGE"]
        assert ingress[:-1] == ["my-release-milvus", "<none>", HOST, ADDRESS, "80,", "443"]

        def backends() -> list[str]:
            annotations = cluster.get("ingress", "my-release-milvus")["metadata"]["annotations"]
            return list(json.loads(annotations["ingress.kubernetes.io/backends"]).values())

        wait_until(lambda: backends() == ["HEALTHY"], "the backend is HEALTHY")
        service = cluster.get("service", "my-release-milvus")
        groups = json.loads(service["metadata"]["annotations"]["cloud.google.com/neg-status"])
        assert list(groups["network_endpoint_groups"]) == ["19530"]
        assert groups["zones"] == ["zone-a"]
        assert "IP is now 203.0.113.7" in cluster.kubectl("describe", "ingress", "my-release-milvus")
        ours = [f for f in service["metadata"]["managedFields"] if f["manager"] == "kiteway"]
        assert [f["operation"] for f in ours] == ["Apply"]

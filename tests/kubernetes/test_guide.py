"""The whole guide with kubectl on a real API server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from kiteway.demo.guide import HOST, manifests
from kiteway.milvus.embedded import MilvusEndpoint
from kiteway.milvus.verify import Target, verify
from tests.kubernetes.conftest import Bed
from tests.kubernetes.controller import controller
from tests.kubernetes.site import ADDRESS, INGRESS, SERVICE, apply_guide, proxy, reachable
from tests.support.kiteway import wait_listening, wait_until

pytestmark = [pytest.mark.kubernetes, pytest.mark.milvus, pytest.mark.timeout(300)]


def _lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.strip().splitlines()]


def test_the_guide(bed: Bed, milvus: MilvusEndpoint, free_port: Callable[[], int]) -> None:
    """
    The guide's manifests, applied with kubectl, become a load balancer that PyMilvus verifies and that
    kubectl shows.
    """
    cluster, port = bed.cluster, free_port()
    with (
        reachable(milvus, proxy(0)),
        controller(bed.kubeconfig, bed.folder / "kw", port, "--publish-address", ADDRESS) as kiteway,
    ):
        ca = apply_guide(cluster, proxy(0))

        kiteway.wait_healthy(1)
        wait_listening(port)
        target = Target(host="127.0.0.1", port=port, ca=ca, server_name=HOST)
        report = asyncio.run(verify(target))
        assert report.verified, report

        get = ("-f", str(manifests() / "ingress.yaml"), "get")
        wait_until(lambda: ADDRESS in cluster.kubectl(*get), "the Ingress has its address")
        header, ingress = _lines(cluster.kubectl(*get))
        assert header == ["NAME", "CLASS", "HOSTS", "ADDRESS", "PORTS", "AGE"]
        assert ingress[:-1] == [INGRESS, "<none>", HOST, ADDRESS, "80,", "443"]

        def backends() -> list[str]:
            annotations = cluster.get("ingress", INGRESS)["metadata"]["annotations"]
            return list(json.loads(annotations["ingress.kubernetes.io/backends"]).values())

        wait_until(lambda: backends() == ["HEALTHY"], "the backend is HEALTHY")
        service = cluster.get("service", SERVICE)
        groups = json.loads(service["metadata"]["annotations"]["cloud.google.com/neg-status"])
        assert list(groups["network_endpoint_groups"]) == ["19530"]
        assert groups["zones"] == ["zone-a"]
        assert "IP is now 203.0.113.7" in cluster.kubectl("describe", "ingress", INGRESS)
        ours = [f for f in service["metadata"]["managedFields"] if f["manager"] == "kiteway"]
        assert [f["operation"] for f in ours] == ["Apply"]

        # The guide's own traps are Events, each of them once.
        def events() -> list[str]:
            found = json.loads(cluster.kubectl("get", "events", "-o", "json"))["items"]
            return [
                f"{e['involvedObject']['kind']} {e['reason']}" for e in found if e["source"]["component"] == "kiteway"
            ]

        wait_until(lambda: "Service RestPortMissing" in events(), "what is missing is an Event of the Service")
        assert len(events()) == len(set(events()))

"""The status that kubectl shows: GKE's words, as they change."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kiteway.demo.guide import HOST, manifests
from kiteway.milvus.embedded import MilvusEndpoint
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.conftest import Bed
from tests.kubernetes.controller import NAMESPACE, controller
from tests.kubernetes.forward import Forwarder
from tests.kubernetes.pods import remove
from tests.kubernetes.site import ADDRESS, INGRESS, SERVICE, apply_guide, proxy, remove_guide
from tests.support.kiteway import wait_until
from tools.kubernetes.clients import programs

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

_LONG = 90.0
PUBLISHED = "front"


@pytest.fixture(autouse=True)
def _no_guide_left(bed: Bed) -> Iterator[None]:
    yield
    remove_guide(bed.cluster)


@dataclass
class Watch:
    """A `kubectl get -w` that goes on; what it has printed is in a file."""

    output: Path

    def rows(self) -> list[str]:
        """Return its lines so far but the header."""
        return self.output.read_text().splitlines()[1:]


@contextlib.contextmanager
def watching(cluster: Cluster, *arguments: str | Path) -> Iterator[Watch]:
    """Run ``kubectl get ... -w`` until the end of the ``with``."""
    output = cluster.folder / "watch.txt"
    command = [programs()["kubectl"], "--kubeconfig", cluster.kubeconfig, "get", *arguments, "-w"]
    with output.open("wb") as file:
        process = subprocess.Popen([*map(str, command)], stdout=file, stderr=subprocess.STDOUT)
    try:
        yield Watch(output)
    finally:
        process.terminate()
        process.wait(30)


def _backends(cluster: Cluster) -> list[str]:
    annotations = cluster.get("ingress", INGRESS)["metadata"].get("annotations", {})
    return list(json.loads(annotations.get("ingress.kubernetes.io/backends", "{}")).values())


def _addresses(cluster: Cluster) -> list[dict[str, str]]:
    found: list[dict[str, str]] = cluster.get("ingress", INGRESS)["status"]["loadBalancer"].get("ingress", [])
    return found


@pytest.mark.milvus
def test_the_watch_of_the_guide(bed: Bed, milvus: MilvusEndpoint, free_port: Callable[[], int]) -> None:
    """``kubectl get ingress -w`` prints the guide's two lines: first without an address, then with it."""
    cluster, port = bed.cluster, free_port()
    apply_guide(cluster, proxy(0))
    with watching(cluster, "-f", manifests() / "ingress.yaml") as watch:
        wait_until(watch.rows, "the Ingress is seen", _LONG)
        with controller(bed.kubeconfig, bed.folder / "watched", port, "--publish-address", ADDRESS):
            wait_until(lambda: ADDRESS in watch.output.read_text(), "its address is seen", _LONG)
        rows = [row.split() for row in watch.rows()]

    assert rows[0][:-1] == [INGRESS, "<none>", HOST, "80,", "443"]
    assert rows[1][:-1] == [INGRESS, "<none>", HOST, ADDRESS, "80,", "443"]
    assert "IP is now 203.0.113.7" in cluster.kubectl("describe", "ingress", INGRESS)


@pytest.mark.milvus
def test_the_health_of_backends(bed: Bed, milvus: MilvusEndpoint, free_port: Callable[[], int]) -> None:
    """A backend is HEALTHY while its Milvus answers, UNHEALTHY when it does not, and Unknown without endpoints."""
    cluster, pod = bed.cluster, proxy(0)
    with Forwarder() as forwarder, controller(bed.kubeconfig, bed.folder / "health", free_port()):
        forwarder.open(pod.address, {19530: milvus.port, 9091: milvus.health_port})
        apply_guide(cluster, pod)
        wait_until(lambda: _backends(cluster) == ["HEALTHY"], "it is HEALTHY", _LONG)
        forwarder.close(pod.address)
        wait_until(lambda: _backends(cluster) == ["UNHEALTHY"], "it is UNHEALTHY", _LONG)
        assert "UNHEALTHY" in cluster.kubectl("describe", "ingress", INGRESS)
        forwarder.open(pod.address, {19530: milvus.port, 9091: milvus.health_port})
        wait_until(lambda: _backends(cluster) == ["HEALTHY"], "it is HEALTHY again", _LONG)
        remove(cluster, pod)
        wait_until(lambda: _backends(cluster) == ["Unknown"], "nobody knows", _LONG)


def test_the_address_of_a_service(bed: Bed, free_port: Callable[[], int]) -> None:
    """With ``--publish-service`` Ingresses have the Service's present address, and none while it has none."""
    cluster = bed.cluster
    ports = [{"name": "https", "port": 443}]
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": PUBLISHED, "namespace": NAMESPACE},
            "spec": {"type": "LoadBalancer", "ports": ports},
        }
    )

    def balance(*entries: dict[str, str]) -> None:
        patch = {"status": {"loadBalancer": {"ingress": list(entries)}}}
        how = ("--subresource=status", "--type=merge", "-p", json.dumps(patch))
        cluster.kubectl("patch", "service", PUBLISHED, "-n", NAMESPACE, *how)

    publish = ("--publish-service", f"{NAMESPACE}/{PUBLISHED}")
    with controller(bed.kubeconfig, bed.folder / "published", free_port(), *publish):
        apply_guide(cluster, proxy(0))
        wait_until(lambda: _backends(cluster), "the status is written", _LONG)
        assert _addresses(cluster) == []
        for entries in ([{"ip": "198.51.100.1"}], [{"hostname": "lb.example"}], [{"ip": "2001:db8::1"}], []):
            balance(*entries)
            wait_until(lambda wanted=entries: _addresses(cluster) == wanted, f"{entries} is published", _LONG)  # type: ignore[misc]
    cluster.kubectl("delete", "service", PUBLISHED, "-n", NAMESPACE)


def test_mistakes_are_events(bed: Bed, free_port: Callable[[], int]) -> None:
    """
    ``kubectl describe`` shows each mistake once, at its object, with what is wrong and what to do; its reason
    is that of the diagnostic.
    """
    cluster = bed.cluster
    apply_guide(cluster, proxy(0))
    cluster.kubectl("annotate", "service", SERVICE, 'cloud.google.com/backend-config={"default": "no"}', "--overwrite")
    cluster.kubectl("annotate", "ingress", INGRESS, "kubernetes.io/ingress.allow-http=no")

    with controller(bed.kubeconfig, bed.folder / "mistakes", free_port()) as kiteway:

        def events(kind: str, name: str) -> dict[str, dict[str, Any]]:
            selector = f"involvedObject.kind={kind},involvedObject.name={name}"
            items = json.loads(cluster.kubectl("get", "events", "-o", "json", f"--field-selector={selector}"))["items"]
            # Those of an object of that name that was there before tell of another one.
            uid = cluster.get(kind, name)["metadata"]["uid"]
            ours = [e for e in items if e["source"].get("component") == "kiteway" and e["involvedObject"]["uid"] == uid]
            assert len(ours) == len({(event["reason"], event["message"]) for event in ours})
            return {event["reason"]: event for event in ours}

        wait_until(lambda: "BackendConfigNotFound" in events("Service", SERVICE), "the Service's mistake", _LONG)
        wait_until(lambda: "AllowHttpUnparsable" in events("Ingress", INGRESS), "the Ingress's mistake", _LONG)
        event = events("Service", SERVICE)["BackendConfigNotFound"]
        assert event["type"] == "Warning"
        assert "BackendConfig default/no does not exist" in event["message"]
        described = cluster.kubectl("describe", "service", SERVICE)
        assert "BackendConfigNotFound" in described
        reasons = {d["reason"] for d in kiteway.report()["diagnostics"] if d["object"] and d["severity"] != "note"}
        said = events("Service", SERVICE).keys() | events("Ingress", INGRESS).keys()
        assert {"BackendConfigNotFound", "AllowHttpUnparsable"} <= reasons & said

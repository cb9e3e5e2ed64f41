"""Releases of the Helm chart on a real API server: their rights are enough, and upgrades keep what is served."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubernetes.chart import CHART, PREVIOUS, elsewhere, helm, render
from tests.kubernetes.cluster import CRDS, Cluster
from tests.kubernetes.conftest import Bed
from tests.kubernetes.controller import controller, refused
from tests.kubernetes.pods import conditions, kubelet
from tests.kubernetes.site import INGRESS, apply_guide, gated, remove_guide
from tests.kubernetes.test_chart import RELEASE
from tests.support.kiteway import wait_until

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]


@pytest.fixture
def namespace(bed: Bed) -> Iterator[str]:
    """Name a namespace for a release; everything of it, and the guide, is gone afterwards."""
    yield "charted"
    ours = ("-l", f"app.kubernetes.io/instance={RELEASE}", "--ignore-not-found")
    bed.cluster.kubectl("delete", "clusterroles,clusterrolebindings,ingressclasses", *ours)
    bed.cluster.kubectl("delete", "roles,rolebindings", "-n", "default", *ours)
    bed.cluster.kubectl("delete", "namespace", "charted", "--ignore-not-found", "--timeout=120s")
    remove_guide(bed.cluster)


def test_the_rights_in_some_namespaces_are_enough(bed: Bed, namespace: str, free_port: Callable[[], int]) -> None:
    """
    With exactly the chart's rights in two namespaces the controller publishes its Service's address, opens
    the gate, writes status and Events, and gets no refusal.
    """
    cluster = bed.cluster
    values = {"controller": {"namespaces": ["default"], "readinessGate": True}, "service": {"type": "LoadBalancer"}}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    objects = render(RELEASE, namespace, values)
    cluster.apply(*[o for o in objects if o["kind"] != "Deployment"])
    balanced = {"status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.4"}]}}}
    patch = ("--subresource=status", "--type=merge", "-p", json.dumps(balanced))
    cluster.kubectl("patch", "service", RELEASE, "-n", namespace, *patch)
    deployment = next(o for o in objects if o["kind"] == "Deployment")
    arguments = elsewhere(deployment["spec"]["template"]["spec"]["containers"][0]["args"])
    arguments += ["--lease-namespace", namespace]  # $POD_NAMESPACE in a Pod
    pod = gated(40)
    log = bed.folder / "audit.log"
    before = log.stat().st_size

    with (
        controller(cluster.token_of(namespace, RELEASE), bed.folder / "chart", free_port(), *arguments) as kiteway,
        kubelet(cluster, pod),
    ):
        apply_guide(cluster, pod, ready=False)
        address = ("get", "ingress", INGRESS, "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
        wait_until(lambda: cluster.kubectl(*address) == "198.51.100.4", "the Service's address is published", 90)
        wait_until(lambda: _events(cluster), "Events are written", 90)
        wait_until(lambda: _checked(kiteway.report(), pod.address), "the gated Pod is checked", 90)
        assert cluster.get("lease", "kiteway", namespace)["spec"]["holderIdentity"]

    assert conditions(cluster, pod).get("Ready") == "False"
    assert refused(cluster, namespace, RELEASE, before) == []


def _checked(status: dict[str, Any], address: str) -> bool:
    endpoints = [e for pool in status["pools"] for e in pool["endpoints"]]
    return any(e["address"].startswith(f"{address}:") and not e["healthy"] for e in endpoints)


def _events(cluster: Cluster) -> list[str]:
    found = json.loads(cluster.kubectl("get", "events", "-o", "json"))["items"]
    return [event["reason"] for event in found if event["source"].get("component") == "kiteway"]


def test_an_upgrade_from_the_previous_chart(bed: Bed, namespace: str, free_port: Callable[[], int]) -> None:
    """
    ``helm upgrade`` from the previous version makes the objects of the new one with the user's values; no old
    object is left, a running Kiteway gets no refusal, and the CRDs do not change.
    """
    cluster = bed.cluster
    at = ("--namespace", namespace, "--kubeconfig", str(cluster.kubeconfig))
    values = {"replicas": 3, "service": {"type": "ClusterIP"}, "controller": {"ingressClass": "charted"}}
    (bed.folder / "values.yaml").write_text(yaml.safe_dump(values))
    helm("install", RELEASE, PREVIOUS, *at, "--create-namespace", "-f", bed.folder / "values.yaml")
    crds = {name: cluster.get("crd", name)["metadata"]["generation"] for name in _crd_names()}
    log = cluster.folder / "audit.log"
    cluster.apply(*_rights_of_later_versions(namespace))
    before = log.stat().st_size

    arguments = ["--ingress-class", "charted", "--lease-namespace", namespace]
    with controller(cluster.token_of(namespace, RELEASE), bed.folder / "old", free_port(), *arguments) as kiteway:
        apply_guide(cluster)
        helm("upgrade", RELEASE, CHART, *at, "--reset-then-reuse-values")
        for kind in ("clusterrolebinding", "clusterrole"):
            cluster.kubectl("delete", kind, _LATER)
        cluster.kubectl("annotate", "ingress", INGRESS, "kubernetes.io/ingress.class=charted")
        wait_until(lambda: kiteway.report()["hosts"], "what is applied after the upgrade is seen", 90)

    assert refused(cluster, namespace, RELEASE, before) == []
    for object_ in render(RELEASE, namespace, values):
        live = cluster.get(*_where(object_))
        _contains(live, {k: v for k, v in object_.items() if k != "apiVersion"}, object_["kind"])
    assert crds == {name: cluster.get("crd", name)["metadata"]["generation"] for name in _crd_names()}
    helm("uninstall", RELEASE, *at, "--wait")
    for object_ in render(RELEASE, namespace, values):
        kind, name, of = _where(object_)
        assert cluster.kubectl("get", kind, name, "-n", of, "--ignore-not-found") == ""


_LATER = "rights-of-later-versions"


def _rights_of_later_versions(namespace: str) -> list[dict[str, Any]]:
    """
    Return what this Kiteway reads and the previous chart's did not: it stands for the one that runs at an upgrade.

    The new chart must give it itself.
    """
    rules = [
        {"apiGroups": ["kiteway.io"], "resources": ["milvuspolicies"], "verbs": ["list", "watch"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "list", "watch", "patch"]},
    ]
    group = "rbac.authorization.k8s.io"
    head = {"apiVersion": f"{group}/v1", "metadata": {"name": _LATER}}
    role = {"apiGroup": group, "kind": "ClusterRole", "name": _LATER}
    account = {"kind": "ServiceAccount", "name": RELEASE, "namespace": namespace}
    return [
        {**head, "kind": "ClusterRole", "rules": rules},
        {**head, "kind": "ClusterRoleBinding", "roleRef": role, "subjects": [account]},
    ]


def _where(object_: dict[str, Any]) -> tuple[str, str, str]:
    return object_["kind"], object_["metadata"]["name"], object_["metadata"].get("namespace", "default")


def _contains(live: Any, wanted: Any, path: str) -> None:
    """See that an object is what was wanted, whatever the API server adds."""
    if isinstance(wanted, dict):
        for key, value in wanted.items():
            assert key in live, f"{path}.{key}"
            _contains(live[key], value, f"{path}.{key}")
    elif isinstance(wanted, list):
        assert len(live) == len(wanted), path
        for number, value in enumerate(wanted):
            _contains(live[number], value, f"{path}[{number}]")
    else:
        assert live == wanted, path


def _crd_names() -> list[str]:
    return [yaml.safe_load(file.read_text())["metadata"]["name"] for file in sorted(Path(CRDS).glob("*.yaml"))]


def test_crds_are_installed_once_and_upgraded_by_hand(bed: Bed, namespace: str) -> None:
    """
    Helm installs the CRDs that a cluster lacks and does not change existing ones; the documented command
    upgrades them.
    """
    cluster, name = bed.cluster, "frontendconfigs.networking.gke.io"
    at = ("--namespace", namespace, "--kubeconfig", str(cluster.kubeconfig))
    cluster.kubectl("delete", "crd", name)
    others = {n: cluster.get("crd", n)["metadata"]["generation"] for n in _crd_names() if n != name}

    helm("install", RELEASE, CHART, *at, "--create-namespace")

    assert cluster.get("crd", name)["spec"]["names"]["kind"] == "FrontendConfig"
    assert others == {n: cluster.get("crd", n)["metadata"]["generation"] for n in others}
    documents = list(yaml.safe_load_all(helm("show", "crds", CHART)))
    later = next(document for document in documents if document["metadata"]["name"] == name)
    later["spec"]["versions"][0]["additionalPrinterColumns"] = [{"name": "New", "type": "string", "jsonPath": ".spec"}]
    upgrade = ("apply", "--server-side", "--force-conflicts", "-f", "-")
    cluster.kubectl(*upgrade, stdin=yaml.safe_dump_all(documents))
    [column] = cluster.get("crd", name)["spec"]["versions"][0]["additionalPrinterColumns"]
    assert column["name"] == "New"
    cluster.install_crds()

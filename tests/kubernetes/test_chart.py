"""The Helm chart on a real API server: what it makes is accepted, and its rights are enough and no more."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kiteway.certificates.create import create_self_signed
from kiteway.demo.guide import HOST, manifests
from tests.kubernetes.conftest import Bed
from tests.kubernetes.controller import controller
from tests.kubernetes.pods import Pod, start
from tests.support.kiteway import wait_until
from tools.kubernetes.clients import programs

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

CHART = Path(__file__).resolve().parents[2] / "deploy/chart"
RELEASE = "chart-kiteway"
NAMESPACE = "kiteway-system"
PUBLISHED = "203.0.113.9"
EVERYTHING = {
    "hostNetwork": True,
    "controller": {"namespaces": ["default", NAMESPACE], "readinessGate": True, "proxyProtocol": True},
    "autoscaling": {"enabled": True},
    "acme": {"acceptTerms": True, "contact": "ops@example.com"},
}


def _helm(*arguments: str | Path, stdin: str | None = None) -> str:
    done = subprocess.run(
        [programs()["helm"], *arguments], input=stdin, check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"helm {' '.join(map(str, arguments))}: {done.stdout}{done.stderr}"
    return done.stdout


def _objects(values: dict[str, Any]) -> list[dict[str, Any]]:
    text = _helm("template", RELEASE, CHART, "--namespace", NAMESPACE, "-f", "-", stdin=yaml.safe_dump(values))
    objects = [document for document in yaml.safe_load_all(text) if document]
    for object_ in objects:
        # As `helm install` does with what names none.
        object_["metadata"].setdefault("namespace", NAMESPACE)
    return objects


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_helm_finds_nothing_to_complain_about(values: dict[str, Any]) -> None:
    """``helm lint --strict`` passes with the defaults and with everything turned on."""
    _helm("lint", "--strict", CHART, "-f", "-", stdin=yaml.safe_dump(values))


def test_a_value_that_makes_no_sense_is_refused() -> None:
    """The schema names the value and what it must be, before anything is installed."""
    with pytest.raises(AssertionError, match=r"/replicas.*minimum"):
        _objects({"replicas": 0})


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_the_api_server_takes_every_object(bed: Bed, values: dict[str, Any]) -> None:
    """A server-side dry run of everything the chart makes has no error and no warning."""
    bed.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    bed.cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump_all(_objects(values)))


def test_the_container_may_do_nothing_it_need_not() -> None:
    """It is not root, writes to memory only, gains no privilege, and has one capability where it binds 443 itself."""
    for values, added in (({}, []), (EVERYTHING, ["NET_BIND_SERVICE"])):
        pod = next(o for o in _objects(values) if o["kind"] == "Deployment")["spec"]["template"]["spec"]
        security = pod["containers"][0]["securityContext"]

        assert pod["securityContext"]["runAsNonRoot"] is True
        assert security["readOnlyRootFilesystem"] is True
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"]["drop"] == ["ALL"]
        assert security["capabilities"].get("add", []) == added
        assert all(volume["emptyDir"]["medium"] == "Memory" for volume in pod["volumes"])


def test_the_charts_rights_are_enough(bed: Bed, free_port: Callable[[], int]) -> None:
    """With exactly the chart's rights the guide's objects are read, their status is written, and nothing is refused."""
    cluster = bed.cluster
    objects = [o for o in _objects({}) if o["kind"] in {"ServiceAccount", "IngressClass"} or "Role" in o["kind"]]
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, *objects)
    kubeconfig = cluster.token_of(NAMESPACE, RELEASE)
    pair = create_self_signed([HOST], ["127.0.0.1"])
    (cluster.folder / "tls.crt").write_bytes(pair.certificate)
    (cluster.folder / "tls.key").write_bytes(pair.key.reveal())
    arguments = ["--publish-address", PUBLISHED, "--lease-namespace", NAMESPACE]
    with controller(kubeconfig, bed.folder / "chart", free_port(), *arguments) as kiteway:
        cluster.kubectl("apply", "-f", manifests())
        start(cluster, Pod("milvus-chart", "10.244.0.20", {"milvus": 19530, "metrics": 9091}, {"component": "proxy"}))
        cluster.kubectl("create", "secret", "tls", "my-release-milvus-tls", "--cert=./tls.crt", "--key=./tls.key")

        def published() -> bool:
            status = cluster.get("ingress", "my-release-milvus").get("status", {})
            return PUBLISHED in str(status)

        wait_until(published, "the address is in the Ingress's status", 60)
        wait_until(lambda: cluster.get("lease", "kiteway", NAMESPACE), "the Lease is held")
        refused = [line for line in kiteway.log.read_text().splitlines() if "forbidden" in line.lower()]

    assert not refused
    account = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
    asked = [r for r in cluster.requests() if r.get("user", {}).get("username") == account]
    assert asked
    assert not [r["requestURI"] for r in asked if r.get("responseStatus", {}).get("code") == 403]


def test_an_upgrade_changes_what_runs_and_keeps_the_rest(bed: Bed) -> None:
    """``helm upgrade`` from the chart as it was installed goes through, and the CRDs stay as they are."""
    kubeconfig = str(bed.cluster.kubeconfig)
    common = ["upgraded-kiteway", str(CHART), "--namespace", "kiteway-upgrade", "--kubeconfig", kubeconfig]
    first = ["--set", "service.type=ClusterIP", "--set", "controller.ingressClass=upgraded"]
    _helm("install", *common, "--create-namespace", *first)
    before = bed.cluster.get("crd", "backendconfigs.cloud.google.com")["metadata"]["generation"]

    _helm("upgrade", *common, "--reset-then-reuse-values", "--set", "replicas=3")

    assert bed.cluster.get("deployment", "upgraded-kiteway", "kiteway-upgrade")["spec"]["replicas"] == 3
    assert bed.cluster.get("service", "upgraded-kiteway", "kiteway-upgrade")["spec"]["type"] == "ClusterIP"
    assert bed.cluster.get("crd", "backendconfigs.cloud.google.com")["metadata"]["generation"] == before
    _helm("uninstall", "upgraded-kiteway", "--namespace", "kiteway-upgrade", "--kubeconfig", kubeconfig)

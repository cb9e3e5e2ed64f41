"""The Helm chart on a real API server: what it makes is accepted, and its rights are enough and no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from kiteway.certificates.create import create_self_signed
from kiteway.demo.guide import HOST, manifests
from tests.kubernetes.chart import CHART, account_of_the_chart, helm, refused, rendered
from tests.kubernetes.conftest import Bed
from tests.kubernetes.controller import NAMESPACE, controller
from tests.kubernetes.pods import Pod, start
from tests.support.kiteway import wait_until

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

PUBLISHED = "203.0.113.9"
EVERYTHING = {
    "hostNetwork": True,
    "controller": {"namespaces": ["default", NAMESPACE], "readinessGate": True, "proxyProtocol": True},
    "autoscaling": {"enabled": True},
    "acme": {
        "acceptTerms": True,
        "contact": "ops@example.com",
        "directory": "https://ca.example.com/directory",
        "externalAccountBinding": {"keyId": "kid-1", "secret": "acme-eab"},
        "caBundle": {"configMap": "acme-ca"},
        "resolver": "10.96.0.10",
    },
}


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_helm_finds_nothing_to_complain_about(values: dict[str, Any]) -> None:
    """``helm lint --strict`` passes with the defaults and with everything turned on."""
    helm("lint", "--strict", CHART, "-f", "-", stdin=yaml.safe_dump(values))


def test_a_value_that_makes_no_sense_is_refused() -> None:
    """The schema names the value and what it must be, before anything is installed."""
    with pytest.raises(AssertionError, match=r"/replicas.*minimum"):
        rendered({"replicas": 0})


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_the_api_server_takes_every_object(bed: Bed, values: dict[str, Any]) -> None:
    """A server-side dry run of everything the chart makes has no error and no warning."""
    bed.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    bed.cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump_all(rendered(values)))


def test_the_container_may_do_nothing_it_need_not() -> None:
    """It is not root, writes to memory only, gains no privilege, and has one capability where it binds 443 itself."""
    for values, added in (({}, []), (EVERYTHING, ["NET_BIND_SERVICE"])):
        pod = next(o for o in rendered(values) if o["kind"] == "Deployment")["spec"]["template"]["spec"]
        security, mounts = (pod["containers"][0][key] for key in ("securityContext", "volumeMounts"))

        assert pod["securityContext"]["runAsNonRoot"] is True
        assert security["readOnlyRootFilesystem"] is True
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"]["drop"] == ["ALL"]
        assert security["capabilities"].get("add", []) == added
        assert all(v["emptyDir"]["medium"] == "Memory" for v in pod["volumes"] if "emptyDir" in v)
        assert all(m["readOnly"] for m in mounts if m["mountPath"].startswith("/etc/"))


def test_the_charts_rights_are_enough(bed: Bed, free_port: Callable[[], int]) -> None:
    """With exactly the chart's rights the guide's objects are read, their status is written, and nothing is refused."""
    cluster = bed.cluster
    kubeconfig = account_of_the_chart(cluster, {})
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
        forbidden = [line for line in kiteway.log.read_text().splitlines() if "forbidden" in line.lower()]

    assert not forbidden
    assert refused(cluster) == []


def test_rights_for_acme_only_where_it_is_on() -> None:
    """Only with the terms accepted and a contact may it write Secrets, and those of its own namespace alone."""

    def writes_secrets(values: dict[str, Any]) -> list[tuple[str, str]]:
        return [
            (role["kind"], role["metadata"]["namespace"])
            for role in rendered(values)
            for rule in role.get("rules", ())
            if "secrets" in rule["resources"] and not {"list", "watch"} >= set(rule["verbs"])
        ]

    for values in ({}, {"acme": {"acceptTerms": True}}, {"acme": {"contact": "ops@example.com"}}):
        assert writes_secrets(values) == []
    assert writes_secrets(EVERYTHING) == [("Role", NAMESPACE)]


def test_the_key_of_a_binding_is_mounted_and_never_an_argument() -> None:
    """An external account binding and the roots of a CA of one's own are files."""
    pod = next(o for o in rendered(EVERYTHING) if o["kind"] == "Deployment")["spec"]["template"]["spec"]
    arguments = pod["containers"][0]["args"]

    assert "--acme-eab-key-file=/etc/kiteway/acme-eab/hmac" in arguments
    assert "--acme-ca=/etc/kiteway/acme-ca/ca.crt" in arguments
    mounted = {m["name"] for m in pod["containers"][0]["volumeMounts"]}
    assert {"acme-eab", "acme-ca"} <= mounted == {v["name"] for v in pod["volumes"]}


def test_an_upgrade_changes_what_runs_and_keeps_the_rest(bed: Bed) -> None:
    """``helm upgrade`` from the chart as it was installed goes through, and the CRDs stay as they are."""
    kubeconfig = str(bed.cluster.kubeconfig)
    common = ["upgraded-kiteway", str(CHART), "--namespace", "kiteway-upgrade", "--kubeconfig", kubeconfig]
    first = ["--set", "service.type=ClusterIP", "--set", "controller.ingressClass=upgraded"]
    helm("install", *common, "--create-namespace", *first)
    before = bed.cluster.get("crd", "backendconfigs.cloud.google.com")["metadata"]["generation"]

    helm("upgrade", *common, "--reset-then-reuse-values", "--set", "replicas=3")

    assert bed.cluster.get("deployment", "upgraded-kiteway", "kiteway-upgrade")["spec"]["replicas"] == 3
    assert bed.cluster.get("service", "upgraded-kiteway", "kiteway-upgrade")["spec"]["type"] == "ClusterIP"
    assert bed.cluster.get("crd", "backendconfigs.cloud.google.com")["metadata"]["generation"] == before
    helm("uninstall", "upgraded-kiteway", "--namespace", "kiteway-upgrade", "--kubeconfig", kubeconfig)

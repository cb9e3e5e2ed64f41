"""The web page, traces and alerts of the chart on a real API server: a Pod of the Deployment serves the page's Service."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from kiteway.files import write_atomic
from tests.kubernetes.chart import elsewhere, render
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.conftest import Bed
from tests.kubernetes.controller import controller
from tests.support.certificates import Issued, authority, issue
from tests.support.kiteway import wait_until

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

RELEASE, NAMESPACE = "page-kiteway", "paged"
SERVICE = f"{RELEASE}-dashboard"
NAME = f"{SERVICE}.{NAMESPACE}.svc"
ADDRESS = "10.244.0.77"
TOKEN = "0123456789abcdef-of-the-page"
OPERATORS = [{"namespaceSelector": {"matchLabels": {"team": "operators"}}}]


def values(port: int) -> dict[str, Any]:
    """Return values with everything that a person looks at; ``port`` is the page's."""
    return {
        "replicas": 1,
        "controller": {"namespaces": ["default"]},
        "service": {"type": "ClusterIP"},
        "dashboard": {
            "enabled": True,
            "port": port,
            "service": {
                "enabled": True,
                "tlsSecret": "page-tls",
                "tokenSecret": "page-token",
                "clientCa": {"configMap": "page-readers"},
            },
        },
        "networkPolicy": {"dashboardFrom": OPERATORS, "metricsFrom": OPERATORS},
        "otlp": {"endpoint": "http://127.0.0.1:4318", "sampling": 5, "token": {"secret": "collector-token"}},
        "metrics": {"alerts": {"enabled": True}},
    }


def test_the_page_of_the_chart_is_reached_through_its_service(bed: Bed, free_port: Callable[[], int]) -> None:
    """
    The API server takes all objects. With the Pod's own arguments and files Kiteway serves the page at the address and the
    port that the Service's EndpointSlice has, under the Service's name; the NetworkPolicy opens it to the named peers.
    """
    cluster, port = bed.cluster, free_port()
    page, readers = issue(NAME), authority("Readers")
    _apply(cluster, port, page, readers)

    policy = cluster.get("networkpolicy", RELEASE, NAMESPACE)["spec"]["ingress"]
    assert [rule["from"] for rule in policy if rule["ports"][0]["port"] == "dashboard"] == [OPERATORS]
    groups = cluster.get("prometheusrule", RELEASE, NAMESPACE)["spec"]["groups"]
    assert {rule["alert"] for group in groups for rule in group["rules"]} >= {"KitewayNoEndpoint"}

    pod = _pod(cluster)
    folder = bed.folder / "etc"
    _mount(cluster, pod, folder)
    [container] = pod["spec"]["containers"]
    arguments = [each.replace("/etc/kiteway", str(folder)) for each in elsewhere(container["args"])]
    token = cluster.token_of(NAMESPACE, RELEASE)
    with controller(token, bed.folder / "page", free_port(), *arguments, "--lease-namespace", NAMESPACE) as kiteway:
        export = kiteway.status()["export"]
        assert (export["endpoint"], export["samplingPercent"]) == ("http://127.0.0.1:4318", 5)
        _run(cluster, pod)
        wait_until(lambda: _endpoints(cluster) == [(ADDRESS, port)], "the Service has the Pod's address and port", 90)

        reader = issue("alice", issuer=readers, extended=[ExtendedKeyUsageOID.CLIENT_AUTH])
        write_atomic(bed.folder / "reader.pem", reader.pem + reader.crt, 0o600)
        certified = ssl.create_default_context(cadata=page.crt.decode())
        certified.load_cert_chain(bed.folder / "reader.pem")
        plain = ssl.create_default_context(cadata=page.crt.decode())
        wait_until(lambda: _ask(port, plain, token=True) == 200, "the page answers", 90)
        assert [_ask(port, certified), _ask(port, plain)] == [200, 401]


def _apply(cluster: Cluster, port: int, page: Issued, readers: Issued) -> None:
    cluster.add_kind("monitoring.coreos.com", "v1", "prometheusrules", "PrometheusRule")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    tls = {"tls.crt": page.crt.decode(), "tls.key": page.pem.decode()}
    secrets = [
        _named("Secret", "page-tls", type="kubernetes.io/tls", stringData=tls),
        _named("Secret", "page-token", stringData={"token": TOKEN}),
        _named("Secret", "collector-token", stringData={"token": "of-the-collector"}),
        _named("ConfigMap", "page-readers", data={"ca.crt": readers.crt.decode()}),
    ]
    cluster.apply(namespace, *secrets, *render(RELEASE, NAMESPACE, values(port)))


def _named(kind: str, name: str, **content: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, **content}


def _pod(cluster: Cluster) -> dict[str, Any]:
    """Make the Pod of the Deployment, as the controllers do that this cluster does not run."""
    template = cluster.get("deployment", RELEASE, NAMESPACE)["spec"]["template"]
    spec = {**template["spec"], "nodeName": "node-a"}
    metadata = {**template["metadata"], "name": f"{RELEASE}-1", "namespace": NAMESPACE}
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    return cluster.get("pod", f"{RELEASE}-1", NAMESPACE)


def _mount(cluster: Cluster, pod: Mapping[str, Any], folder: Path) -> None:
    """Write the files of its Secrets and ConfigMaps, as the kubelet does."""
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]}
    for volume in pod["spec"]["volumes"]:
        if (secret := volume.get("secret")) is not None:
            data = cluster.get("secret", secret["secretName"], NAMESPACE)["data"]
            content = {key: base64.b64decode(value) for key, value in data.items()}
            items, mode = secret.get("items"), secret["defaultMode"]
        elif (config := volume.get("configMap")) is not None and mounts.get(volume["name"], "").startswith(
            "/etc/kiteway"
        ):
            data = cluster.get("configmap", config["name"], NAMESPACE)["data"]
            content = {key: value.encode() for key, value in data.items()}
            items, mode = config.get("items"), config["defaultMode"]
        else:
            continue
        target = folder / Path(mounts[volume["name"]]).relative_to("/etc/kiteway")
        target.mkdir(parents=True)
        for item in items or [{"key": key, "path": key} for key in content]:
            write_atomic(target / item["path"], content[item["key"]], mode)


def _run(cluster: Cluster, pod: Mapping[str, Any]) -> None:
    """Write that the Pod runs, with an address, and is ready."""
    conditions = [{"type": kind, "status": "True"} for kind in ("ContainersReady", "Ready")]
    status = {"phase": "Running", "podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}], "conditions": conditions}
    cluster.api.patch(
        f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}/status",
        json={"status": status},
        headers={"Content-Type": "application/strategic-merge-patch+json"},
    ).raise_for_status()


def _endpoints(cluster: Cluster) -> list[tuple[str, int]]:
    of = ("-l", f"kubernetes.io/service-name={SERVICE}", "-o", "json")
    slices = json.loads(cluster.kubectl("get", "endpointslices", "-n", NAMESPACE, *of))["items"]
    return [
        (address, port["port"])
        for each in slices
        for port in each.get("ports") or ()
        for endpoint in each.get("endpoints") or ()
        for address in endpoint["addresses"]
    ]


def _ask(port: int, context: ssl.SSLContext, *, token: bool = False) -> int:
    """Return the HTTP status of the overview at the Pod's address, asked for under the Service's name; 0 without an answer."""
    headers = {"host": f"{NAME}:{port}"} | ({"authorization": f"Bearer {TOKEN}"} if token else {})
    with httpx2.Client(verify=context, timeout=30, trust_env=False) as client:
        try:
            url = f"https://{ADDRESS}:{port}/api/overview"
            return client.get(url, headers=headers, extensions={"sni_hostname": NAME}).status_code
        except httpx2.ConnectError:
            return 0

"""``kiteway doctor --cluster`` on a real API server, with the rights that are documented and no more."""

from __future__ import annotations

import base64
import datetime as dt
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kiteway.demo.guide import manifests
from kiteway.doctor.cluster.facts import NEG_GATE
from tests.gke.site import RELEASE, SERVICE, Site
from tests.kubernetes.controller import NAMESPACE
from tests.kubernetes.neg import NEG_CRD
from tests.support.kiteway import KITEWAY, wait_until

pytestmark = [pytest.mark.kubernetes, pytest.mark.milvus, pytest.mark.timeout(600)]

_ROLES = Path(__file__).resolve().parents[2] / "deploy" / "doctor.yaml"
_READER = "reader"
_FIREWALL = "Firewall change required by security admin: `gcloud compute firewall-rules create k8s-fw-l7--a`"

Found = dict[tuple[str, str], list[dict[str, Any]]]
"""Checks by kind of object and name of rule."""


@pytest.fixture
def reader(start: Site) -> Iterator[Path]:
    """Make somebody who may look and no more, in a cluster that looks like GKE."""
    start.cluster.apply(NEG_CRD)
    start.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    account = f"--serviceaccount={NAMESPACE}:{_READER}"
    start.kubectl("create", "serviceaccount", _READER, "-n", NAMESPACE)
    start.kubectl("apply", "-f", str(_ROLES))
    start.kubectl("create", "clusterrolebinding", "kiteway-doctor", "--clusterrole=kiteway-doctor", account)
    name = "kiteway-doctor-secrets"
    start.kubectl("create", "rolebinding", name, f"--clusterrole={name}", account)
    yield start.cluster.token_of(NAMESPACE, _READER)
    start.kubectl("delete", "rolebinding", name, "--ignore-not-found")
    start.kubectl("delete", "clusterrolebinding", "kiteway-doctor")
    start.kubectl("delete", "serviceaccount", _READER, "-n", NAMESPACE)
    start.kubectl("delete", "poddisruptionbudgets,events", "--all")


def _doctor(start: Site, kubeconfig: Path, *arguments: str, code: int) -> Found:
    command = [
        str(KITEWAY),
        "doctor",
        "--cluster",
        "--kubeconfig",
        str(kubeconfig),
        "--timeout",
        "20",
        "--output",
        "json",
    ]
    done = subprocess.run(
        [*command, *arguments], check=False, capture_output=True, text=True, env=start.environment, timeout=280
    )
    assert "Traceback" not in done.stderr
    assert done.stdout, done.stderr
    found: Found = {}
    for resource in json.loads(done.stdout)["resources"]:
        for check in resource["checks"]:
            found.setdefault((resource["kind"], check["name"]), []).append(check)
    assert done.returncode == code, _wrong(found, "error")
    return found


def _wrong(found: Found, severity: str) -> list[str]:
    every = ((rule, check) for (_, rule), checks in found.items() for check in checks)
    return [f"{rule}: {check['message']}" for rule, check in every if check["severity"] == severity]


def _guide_by_hand(start: Site) -> None:
    """Do what the guide does on GKE, but for the certificate, which is forgotten, and the values, which it breaks."""
    start.kubectl("apply", "-f", str(manifests() / "backendconfig.yaml"))
    annotations = (
        'cloud.google.com/app-protocols={"milvus":"HTTP2"}',
        'cloud.google.com/backend-config={"default": "my-release-backendconfig"}',
        'cloud.google.com/neg={"ingress": true}',
    )
    start.kubectl("annotate", "service", SERVICE, *annotations)
    start.kubectl("apply", "-f", str(manifests() / "ingress.yaml"))


def _event(start: Site, reason: str, message: str) -> None:
    """Write an Event as Google's controller does."""
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    about = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "namespace": "default", "name": SERVICE}
    event = {"reason": reason, "message": message, "type": "Warning", "firstTimestamp": now, "lastTimestamp": now}
    metadata = {"name": f"{SERVICE}.{reason.lower()}", "namespace": "default"}
    body = {"apiVersion": "v1", "kind": "Event", "metadata": metadata, "involvedObject": about, **event}
    start.cluster.api.post("/api/v1/namespaces/default/events", json=body).raise_for_status()


def test_a_release_with_faults_is_diagnosed(start: Site, reader: Path) -> None:
    """The doctor reports each fault of the guide and of Google's side at its object, and writes nothing."""
    _guide_by_hand(start)
    _event(start, "XPN", _FIREWALL)
    _event(start, "Translate", "Translation failed: invalid ingress spec: secret not found.")
    before = start.state()
    found = _doctor(start, reader, code=1)
    assert start.state() == before

    words = {
        ("Ingress", "CERT_NAME"): "the TLS Secret default/my-release-milvus-tls does not exist",
        ("Ingress", "FIREWALL_XPN"): "the network is a Shared VPC",
        (
            "Ingress",
            "GKE_SYNC",
        ): "Translate, 0 minutes ago: Translation failed: invalid ingress spec: secret not found.",
        ("Ingress", "STATIC_IP"): "no reserved address is named",
        ("Service", "HTTP2_WITHOUT_TLS"): "Milvus runs without TLS (tlsMode 0)",
        ("Service", "HELM_VALUES_DRIFT"): "cloud.google.com/neg: on the live Service, but not in the values",
        ("Service", "READINESS_GATE"): "2 of 2 Pods lack Google's readiness gate",
        ("Service", "PRESTOP"): "2 of 2 Pods have no preStop",
        ("Service", "PDB"): "no PodDisruptionBudget covers its 2 Pods",
        ("Service", "SERVICE_L4"): "has an address of its own",
        ("BackendConfig", "TIMEOUT_30S"): "every call ends after 30 s",
        ("BackendConfig", "DRAIN_0"): "ends the calls of a removed endpoint at once",
        ("Pod", "TLS_HANDSHAKE"): "TLS",
    }
    for key, part in words.items():
        said = [check["message"] for check in found.get(key, ()) if check["result"] == "FAILED"]
        assert any(part in message for message in said), f"{key}: {said}"
    gate = next(check for check in found["Service", "READINESS_GATE"] if check["result"] == "FAILED")
    assert "as they are older than the NEG annotation" in gate["message"]
    asked = [r for r in start.cluster.requests() if r["user"]["username"].endswith(f":{_READER}")]
    assert asked
    assert {request["verb"] for request in asked} <= {"get", "list"}


def test_a_release_in_order_is_clean(start: Site, reader: Path) -> None:
    """After ``kiteway gke apply`` the doctor finds no fault in the cluster, at its address or at its Pods."""
    start.apply("--remove-l4")
    # Google's webhook puts the gate into new Pods.
    gate = {"spec": {"template": {"spec": {"readinessGates": [{"conditionType": NEG_GATE}]}}}}
    start.kubectl("patch", "deployment", f"{SERVICE}-proxy", "--patch", json.dumps(gate))
    wait_until(lambda: all(_gated(start, pod) for pod in start.items("pods")), "every Pod has the gate", 180)
    start.kubectl("create", "poddisruptionbudget", "proxies", "--selector=component=proxy", "--max-unavailable=1")
    # What the disruption controller would count; it is not among the controllers that run here.
    counted = {"status": {"disruptionsAllowed": 1, "expectedPods": 2, "currentHealthy": 2, "desiredHealthy": 1}}
    budget = ("poddisruptionbudget", "proxies", "--subresource=status", "--type=merge")
    start.kubectl("patch", *budget, "--patch", json.dumps(counted))
    ca = start.folder / "tls.crt"
    ca.write_bytes(base64.b64decode(start.cluster.get("secret", f"{SERVICE}-tls")["data"]["tls.crt"]))

    found = _doctor(start, reader, "--ca", str(ca), code=0)
    assert _wrong(found, "error") == []
    # All that is left is so, and no fault of the balancer: nobody has turned on authorization, and Google's balancer
    # has no REST beside gRPC.
    left = {line.partition(":")[0] for line in _wrong(found, "warning")}
    assert left == {"AUTH_OPEN", "REST_SAME_PORT", "REST_PORT"}
    for key in (("Address", "GRPC_DIRECT"), ("Pod", "GRPC_DIRECT"), ("Pod", "HEALTHZ_RACE"), ("Address", "GRPC_PATH")):
        assert {check["result"] for check in found[key]} == {"PASSED"}, found[key]


def _gated(start: Site, pod: dict[str, Any]) -> bool:
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates", [])]
    if pod["metadata"]["labels"].get("component") != "proxy":
        return True
    if NEG_GATE in gates:
        condition = {"status": {"conditions": [{"type": NEG_GATE, "status": "True"}]}}
        start.kubectl("patch", "pod", pod["metadata"]["name"], "--subresource=status", "--patch", json.dumps(condition))
    return NEG_GATE in gates


def test_secrets_may_be_forbidden(start: Site, reader: Path) -> None:
    """Without the right to read Secrets the report says so, and reports nothing unread as missing."""
    _guide_by_hand(start)
    start.kubectl("delete", "rolebinding", "kiteway-doctor-secrets")
    found = _doctor(start, reader, "--release", RELEASE, code=1)
    # Neither Milvus nor port 443 has TLS, which is seen without any Secret.
    visible = {"TLS_HANDSHAKE", "TCP_CONNECT", "GRPC_PATH"}
    assert {line.partition(":")[0] for line in _wrong(found, "error")} <= visible
    said = [check["message"] for check in found["Secret", "CLUSTER_READ"] + found["HelmRelease", "CLUSTER_READ"]]
    assert any(f'secrets "{SERVICE}-tls" is forbidden' in message for message in said), said
    assert any("Helm release my-release may not be read" in message for message in said), said
    for rule in ("CERT_NAME", "HELM_VALUES_DRIFT"):
        assert [check["result"] for check in found["Cluster", rule]] == ["SKIPPED"]


def test_a_stranger_and_a_server_that_is_gone_are_said(start: Site, reader: Path) -> None:
    """An invalid token, and an unreachable API server, are one failed check each, without a traceback."""
    stranger = start.folder / "stranger.kubeconfig"
    text = reader.read_text()
    token = next(line for line in text.splitlines() if "token:" in line)
    stranger.write_text(text.replace(token, f"{token[: token.index(':')]}: nobody"))
    gone = start.folder / "gone.kubeconfig"
    gone.write_text(text.replace(start.cluster.url, "https://127.0.0.1:1"))
    for kubeconfig in (stranger, gone):
        found = _doctor(start, kubeconfig, code=1)
        assert list(found) == [("Cluster", "CLUSTER_READ")]
        assert "the API server cannot be reached" in found["Cluster", "CLUSTER_READ"][0]["message"]

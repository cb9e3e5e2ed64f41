"""
The guide's own commands and their faults, which ``kiteway gke`` does not have.

The trap numbers (G1 to G15) are those of docs/reference/doctor.md, "Traps and failures".
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from kiteway.demo.guide import manifests
from kiteway.resources.annotations import ALLOW_HTTP, FRONTEND_CONFIG, GLOBAL_STATIC_IP_NAME
from tests.gke.site import HOST, RELEASE, SERVICE, Site
from tests.gke.test_managed_certificate import google
from tests.support.kiteway import wait_until

pytestmark = [pytest.mark.kubernetes, pytest.mark.milvus, pytest.mark.timeout(600)]

_ANNOTATIONS = (
    'cloud.google.com/app-protocols={"milvus":"HTTP2"}',
    'cloud.google.com/backend-config={"default": "my-release-backendconfig"}',
    'cloud.google.com/neg={"ingress": true}',
)
TLS_YAML = """\
extraConfigFiles:
  user.yaml: |+
    common:
      security:
        tlsMode: 1
"""


def test_the_guides_upgrades_lose_values_and_stop_milvus(start: Site) -> None:
    """
    The first command removes the old balancer before there is a new one (G9) and loses the image and the
    replicas (G2); the second loses the first one's value and the user's own settings (G3), and Milvus does
    not start (G1).
    """
    start.helm("upgrade", RELEASE, "milvus/milvus", "--set", "service.type=ClusterIP")
    assert start.values() == {"service": {"type": "ClusterIP"}}
    assert start.cluster.get("service", SERVICE)["spec"]["type"] == "ClusterIP"
    assert start.items("ingresses") == []

    (start.folder / "tls.yaml").write_text(TLS_YAML)
    start.kubelet.complaints.clear()
    start.helm("upgrade", RELEASE, "milvus/milvus", "-f", str(start.folder / "tls.yaml"))
    values = start.values()
    assert "service" not in values
    assert "maxTaskNum" not in values["extraConfigFiles"]["user.yaml"]
    wait_until(lambda: start.kubelet.complaints, "a proxy does not start")
    assert set(start.kubelet.complaints.values()) == {"tls mode must be 0 when REST shares the port"}
    pod = start.cluster.get("deployment", f"{SERVICE}-proxy")["spec"]["template"]["spec"]
    assert [volume["name"] for volume in pod["volumes"]] == ["milvus-config"], "no key is mounted (G3)"
    assert "lifecycle" not in pod["containers"][0], "nothing drains (G12)"


def test_the_guides_certificate_is_refused_before_anything_is_written(start: Site) -> None:
    """Clients refuse a certificate with only a common name (G6); the plan says so, and what to do."""
    for command in (
        "openssl genrsa -out tls.key 2048",
        f"openssl req -new -key tls.key -out tls.csr -subj /CN={HOST}",
        "openssl x509 -req -days 99999 -in tls.csr -signkey tls.key -out tls.crt",
    ):
        subprocess.run(command.split(), check=True, cwd=start.folder, capture_output=True)
    files = (f"--cert={start.folder}/tls.crt", f"--key={start.folder}/tls.key")
    start.kubectl("create", "secret", "tls", f"{SERVICE}-tls", *files)
    before = start.state()
    found = json.loads(start.kiteway("plan", *start.options("--output", "json"), code=1))
    assert "CertificateWithoutSAN" in [problem["reason"] for problem in found["problems"]]
    assert found["steps"] == []
    start.kiteway("apply", *start.options(), code=1)
    assert start.state() == before


def test_annotations_by_hand_come_back(start: Site) -> None:
    """Annotations that the guide makes by hand are not in the release's values (G10); a rollback restores them too."""
    start.kubectl("annotate", "service", SERVICE, *_ANNOTATIONS, "--overwrite")
    assert "annotations" not in start.values()["service"]
    before = start.state()
    start.apply()
    assert "cloud.google.com/neg" in start.values()["service"]["annotations"]
    start.kiteway("rollback")
    assert start.state() == before


def test_the_guides_objects_lack_what_ours_have(start: Site) -> None:
    """
    Applied word for word, the guide's objects have no reserved address (G5), an open port 80 (G7), 30 s per
    call and no draining (G8), and proxies without a gate (G12); the objects of ``kiteway gke`` have none of
    these faults.
    """
    start.kubectl("apply", "-f", str(manifests() / "backendconfig.yaml"))
    start.kubectl("annotate", "service", SERVICE, *_ANNOTATIONS, "--overwrite")
    start.kubectl("apply", "-f", str(manifests() / "ingress.yaml"))
    old = {pod["metadata"]["name"] for pod in start.items("pods")}
    marks = start.cluster.get("ingress", SERVICE)["metadata"]["annotations"]
    assert not {ALLOW_HTTP, GLOBAL_STATIC_IP_NAME, FRONTEND_CONFIG} & marks.keys()
    spec = start.cluster.get("backendconfig", "my-release-backendconfig")["spec"]
    assert set(spec) == {"healthCheck"}, "no timeout and no draining"
    assert start.cluster.get("deployment", f"{SERVICE}-proxy")["spec"].get("minReadySeconds") is None
    assert {pod["metadata"]["name"] for pod in start.items("pods")} == old, "nobody restarts them"

    applied = start.apply()
    assert applied.index("static-ip: ") < applied.index("ingress: "), "the address is there before the Ingress"
    assert (start.folder / "addresses" / f"{SERVICE}-ip").exists()
    ingress = start.cluster.get("ingress", SERVICE)
    assert ingress["metadata"]["annotations"][ALLOW_HTTP] == "false"
    assert ingress["metadata"]["annotations"][GLOBAL_STATIC_IP_NAME] == f"{SERVICE}-ip"
    spec = start.cluster.get("backendconfig", "my-release-backendconfig")["spec"]
    assert spec["timeoutSec"] == 3600
    assert spec["connectionDraining"] == {"drainingTimeoutSec": 60}
    pods = [pod for pod in start.items("pods") if not pod["metadata"].get("deletionTimestamp")]
    assert not old & {pod["metadata"]["name"] for pod in pods}
    for pod in pods:
        assert pod["metadata"]["creationTimestamp"] >= ingress["metadata"]["creationTimestamp"]
        assert pod["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "65"]
        assert pod["spec"]["terminationGracePeriodSeconds"] > 65


def test_waiting_for_active_waits_for_ever(start: Site) -> None:
    """
    In the guide's order (G4) the certificate does not become Active, because no Ingress names it yet.
    ``kiteway gke`` makes both with one command.
    """
    folder = manifests("guide-google-managed")
    ca = start.folder / "literal.crt"
    with google(start, ca) as unattached:
        start.kubectl("apply", "-f", str(folder / "managed-crt.yaml"))
        wait_until(lambda: unattached[0], "Google has looked at it", 60)
        assert "Active" not in json.dumps(_certificate(start).get("status", {}))
        start.kubectl("apply", "-f", str(folder / "ingress.yaml"))
        wait_until(
            lambda: _certificate(start).get("status", {}).get("certificateStatus") == "Active", "it is Active", 90
        )
    start.kubectl("delete", "ingress,managedcertificate", "--all")
    (step,) = (s for s in _plan(start, "--certificate", "google-managed")["steps"] if s["id"] == "ingress")
    (command,) = step["commands"]
    assert command["stdin"] == f"ManagedCertificate {SERVICE}-tls, Ingress {SERVICE}"


def _certificate(start: Site) -> dict[str, Any]:
    return start.cluster.get("managedcertificate", f"{SERVICE}-tls")


def test_the_plan_says_where_tls_is_turned_on(start: Site) -> None:
    """The guide's "Enable TLS on the load balancer" turns TLS on in Milvus (G14); the plan says that it is Milvus."""
    ours = {step["id"]: step for step in _plan(start)["steps"]}
    assert "Turn on TLS in Milvus" in ours["milvus-tls"]["title"]
    assert "Milvus" not in ours["certificate"]["title"]
    assert "milvus-tls" not in {step["id"] for step in _plan(start, "--data-plane", "kiteway")["steps"]}


def _plan(start: Site, *arguments: str) -> Any:
    return json.loads(start.kiteway("plan", *start.options("--output", "json", *arguments)))


def test_the_guides_watch_command_is_none(start: Site) -> None:
    """
    ``kubectl -f ./config/samples/ingress.yaml get -w`` names a file that no reader has (G11); ``kiteway gke
    status`` works.
    """
    command = "kubectl -f ./config/samples/ingress.yaml get -w"
    done = subprocess.run(command.split(), check=False, capture_output=True, env=start.environment, cwd=start.folder)
    assert done.returncode != 0
    assert b"config/samples/ingress.yaml" in done.stderr
    guide = (Path(__file__).resolve().parents[2] / "docs" / "guide" / "en" / "gke.md").read_text(encoding="utf-8")
    assert "kubectl get ingress my-release-milvus" in guide


def test_emitted_files_are_the_same_and_change_nothing(start: Site) -> None:
    """``--emit`` writes manifests and values for a repository, without any key, and changes nothing in the cluster."""
    before = start.state()
    folder = start.folder / "layer7"
    start.apply("--emit", str(folder))
    assert start.state() == before
    texts = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(texts) == {"README.md", "backendconfig.yaml", "deployment-patch.yaml", "ingress.yaml", "values.yaml"}
    assert yaml.safe_load(texts["ingress.yaml"])["kind"] == "Ingress"
    assert "PRIVATE KEY" not in "".join(texts.values())

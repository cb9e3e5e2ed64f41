"""The guide's own commands, what they break, and that ``kiteway gke`` does not."""

from __future__ import annotations

import json
import subprocess

import pytest
import yaml

from tests.gke.site import HOST, RELEASE, SERVICE, Site
from tests.support.kiteway import wait_until

pytestmark = [pytest.mark.kubernetes, pytest.mark.milvus, pytest.mark.timeout(600)]

TLS_YAML = """\
extraConfigFiles:
  user.yaml: |+
    common:
      security:
        tlsMode: 1
"""


def test_the_guides_upgrades_lose_values_and_stop_milvus(start: Site) -> None:
    """
    The first command takes the old balancer away before there is a new one (G9) and loses the image and the replicas
    (G2); the second loses the first one's value, the user's own settings (G3), and Milvus does not start (G1).
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
    """A certificate with only a common name (G6) is what clients refuse; the plan says so, and what to do."""
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
    """What the guide annotates by hand is not in the release's values (G10); a rollback brings even that back."""
    start.kubectl(
        "annotate",
        "service",
        SERVICE,
        'cloud.google.com/app-protocols={"milvus":"HTTP2"}',
        'cloud.google.com/backend-config={"default": "my-release-backendconfig"}',
        'cloud.google.com/neg={"ingress": true}',
        "--overwrite",
    )
    assert "annotations" not in start.values()["service"]
    before = start.state()
    start.apply()
    assert "cloud.google.com/neg" in start.values()["service"]["annotations"]
    start.kiteway("rollback")
    assert start.state() == before


def test_the_guides_watch_command_is_none(start: Site) -> None:
    """``kubectl -f ./config/samples/ingress.yaml get -w`` names a file no reader has (G11)."""
    command = "kubectl -f ./config/samples/ingress.yaml get -w"
    done = subprocess.run(command.split(), check=False, capture_output=True, env=start.environment, cwd=start.folder)
    assert done.returncode != 0


def test_emitted_files_are_the_same_and_change_nothing(start: Site) -> None:
    """``--emit`` writes manifests and values for a repository, without any key, and leaves the cluster alone."""
    before = start.state()
    folder = start.folder / "layer7"
    start.apply("--emit", str(folder))
    assert start.state() == before
    texts = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(texts) == {"README.md", "backendconfig.yaml", "deployment-patch.yaml", "ingress.yaml", "values.yaml"}
    assert yaml.safe_load(texts["ingress.yaml"])["kind"] == "Ingress"
    assert "PRIVATE KEY" not in "".join(texts.values())

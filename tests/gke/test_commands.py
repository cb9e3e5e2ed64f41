"""The commands as a user runs them: with a file, ``status``, ``verify``, ``destroy``, ``--emit``."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from tests.gke.gates import gates
from tests.gke.site import ADDRESS, HOST, SERVICE, Site
from tests.support.kiteway import wait_until

pytestmark = [pytest.mark.kubernetes, pytest.mark.milvus, pytest.mark.timeout(900)]

FILE = """\
host: my-release.milvus.io
release: my-release
namespace: default
static-ip-name: milvus
draining-timeout-sec: 30
http: redirect
"""


def test_everything_in_one_file(start: Site) -> None:
    """
    All commands read their options from one file; ``status`` shows later changes by others, ``verify`` finds
    what does not serve, and ``destroy`` releases the address that ``rollback`` leaves reserved.
    """
    file = start.folder / "gke.yaml"
    file.write_text(FILE)
    address = start.folder / "addresses" / "milvus"
    before = start.state()
    start.kiteway("status", "-f", str(file), code=1)
    start.kiteway("verify", "-f", str(file), code=1)

    start.kiteway("plan", "-f", str(file))
    assert not address.exists()
    start.kiteway("apply", "-f", str(file))
    assert address.exists()
    assert start.cluster.get("frontendconfig", f"{SERVICE}-frontendconfig")
    config = start.cluster.get("backendconfig", "my-release-backendconfig")
    assert config["spec"]["connectionDraining"] == {"drainingTimeoutSec": 30}
    start.kiteway("status", "-f", str(file))
    assert f" at {ADDRESS}:443 as {HOST}." in start.kiteway("verify", "-f", str(file))

    patch = json.dumps({"spec": {"timeoutSec": 30}})
    start.kubectl("patch", "backendconfig", "my-release-backendconfig", "--type=merge", "-p", patch)
    found = json.loads(start.kiteway("status", "-f", str(file), "-o", "json", code=1))
    assert [step["id"] for step in found["steps"] if step["state"] == "todo"] == ["backend-config"]
    assert "-  timeoutSec: 30" in found["steps"][4]["diff"]
    start.kiteway("verify", "-f", str(file), "--verify-address", "127.0.0.1:1", code=1)

    assert "destroy" not in start.kiteway("destroy", "--plan", "-f", str(file))
    assert address.exists()
    start.kiteway("destroy", "-f", str(file))
    assert not address.exists()
    assert start.state() == before
    start.kiteway("destroy", "-f", str(file), code=1)


def test_a_file_that_is_wrong_is_refused(start: Site) -> None:
    """An unknown name or an invalid value is named, and no command runs in the cluster."""
    file = start.folder / "wrong.yaml"
    properties = json.loads(start.kiteway("schema"))["$defs"]["GkeOptions"]["properties"]
    assert {"host", "data-plane", "certificate", "remove-l4"} <= properties.keys()
    for text in ("host: a.example.com\nstatic-ip: x\n", "host: a.example.com\nrest-port: 0\n", "- host\n"):
        file.write_text(text)
        start.kiteway("plan", "-f", str(file), code=2)


def test_rollback_keeps_the_address(start: Site) -> None:
    """After a rollback a new apply gets the same address."""
    start.apply()
    start.kiteway("rollback")
    assert (start.folder / "addresses" / f"{SERVICE}-ip").exists()
    assert start.kiteway("plan", *start.options()).count("it is 127.0.0.1")


@pytest.mark.parametrize("data_plane", ["google", "kiteway"])
def test_the_emitted_files_lead_to_the_same(start: Site, data_plane: str) -> None:
    """A user who follows the emitted README reaches the state of ``apply``; only the record is missing."""
    folder = start.folder / f"layer7-{data_plane}"
    before = start.state()
    options = ("--data-plane", data_plane)
    assert "nothing else has been changed" in start.apply(*options, "--emit", str(folder))
    assert start.state() == before
    with gates(start):
        for step in re.findall(r"^\d+\. (.*)$", (folder / "README.md").read_text(), re.MULTILINE):
            if "neg-status" in step:
                wait_until(lambda: _groups(start), "the endpoint groups are there", 60)
            for command in re.findall(r"`([^`]*)`", step):
                if not command.startswith("kiteway verify"):
                    start.shell(command, folder)
        start.kubectl("rollout", "status", f"deployment/{SERVICE}-proxy", "--timeout=200s")

        def left() -> set[str]:
            plan = json.loads(start.kiteway("plan", *start.options(*options, "-o", "json")))
            return {step["id"] for step in plan["steps"] if step["state"] in {"todo", "waiting"}}

        wait_until(lambda: left() == {"record"}, f"nothing is left but to remember: {left()}", 120)
        start.apply(*options)


def _groups(site: Site) -> bool:
    return "cloud.google.com/neg-status" in site.cluster.get("service", SERVICE)["metadata"].get("annotations", {})


def test_emitted_files_hold_no_key(start: Site) -> None:
    """The emitted files have no key; with Google's certificate there is a ManagedCertificate instead."""
    folder = start.folder / "managed"
    options = ("--data-plane", "google+kiteway", "--certificate", "google-managed", "--http", "redirect")
    start.apply(*options, "--emit", str(folder))
    texts = {path.name: path.read_text() for path in folder.iterdir()}
    kinds = {name: yaml.safe_load(text).get("kind") for name, text in texts.items() if name.endswith(".yaml")}
    assert kinds == {
        "backendconfig.yaml": "BackendConfig",
        "frontendconfig.yaml": "FrontendConfig",
        "ingress.yaml": "Ingress",
        "kiteway-ingress.yaml": "Ingress",
        "kiteway-values.yaml": None,
        "managedcertificate.yaml": "ManagedCertificate",
    }
    assert "PRIVATE KEY" not in "".join(texts.values())

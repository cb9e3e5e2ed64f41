"""Google's balancer in front and Kiteway behind it: no client is interrupted."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.gke.old_address import OldAddress
from tests.gke.site import ADDRESS, HOST, SERVICE, Site
from tests.kubernetes.neg import NEG_CRD
from tests.support.reads import SteadyReads, fill_plaintext

pytestmark = [pytest.mark.kubernetes, pytest.mark.milvus, pytest.mark.timeout(900)]

COLLECTION = "steady"
KITEWAY = "my-release-kiteway"
OPTIONS = ("--data-plane", "google+kiteway", "--draining-timeout-sec", "5")


def _ca(site: Site) -> Path:
    file = site.folder / "tls.crt"
    file.write_bytes(base64.b64decode(site.cluster.get("secret", f"{SERVICE}-tls")["data"]["tls.crt"]))
    return file


def test_no_client_is_interrupted_by_google_and_kiteway(start: Site) -> None:
    """
    No call of a plaintext client of the old address or of a TLS client of the new one fails: while the
    balancers are set up, while Kiteway's Pods are replaced behind Google's, and during a second apply. Milvus
    does not change.
    """
    milvus = start.milvuses.serve(None, None)
    fill_plaintext(milvus.port, COLLECTION)
    # From here on this is GKE to every Kiteway that starts; the one that plays Google has started already.
    start.cluster.apply(NEG_CRD)
    values, pods = start.values(), _names(start, "proxy")
    before = start.state()
    with OldAddress(start) as old_address:
        with SteadyReads(f"127.0.0.1:{old_address.port}", None, None, COLLECTION) as plaintext:
            applied = start.apply(*OPTIONS)
            assert f" at {ADDRESS}:443 as {HOST}." in applied
            with SteadyReads(f"{ADDRESS}:443", _ca(start), HOST, COLLECTION) as secure:
                assert start.apply(*OPTIONS).endswith("Nothing had to be changed.\n")
                secure.wait_for(50)
                old = _names(start, "kiteway")
                start.apply(*OPTIONS[:-1], "6")
                assert not old & _names(start, "kiteway"), "every Pod of Kiteway's was replaced"
                secure.wait_for(50)
            plaintext.wait_for(50)
        assert (plaintext.failures, secure.failures) == ({}, {})
        assert plaintext.ok > 100
        assert secure.ok > 100
    assert start.values() == values
    assert _names(start, "proxy") == pods
    backends = start.cluster.get("ingress", SERVICE)["spec"]["rules"][0]["http"]["paths"]
    assert [path["backend"]["service"]["name"] for path in backends] == [KITEWAY]
    start.kiteway("rollback")
    assert start.state() == before
    assert (
        start.kubectl("get", "ingressclass,clusterrole", f"default-{KITEWAY}", "--ignore-not-found", "-o", "name") == ""
    )


def _names(site: Site, name: str) -> set[str]:
    return {
        pod["metadata"]["name"]
        for pod in site.items("pods")
        if name in {pod["metadata"]["labels"].get("component"), pod["metadata"]["labels"].get("app.kubernetes.io/name")}
        and not pod["metadata"].get("deletionTimestamp")
    }


def test_killed_after_every_step(start: Site) -> None:
    """
    Killed at each step, and during each command, the state is in the end one in which a further run changes
    nothing.
    """
    start.cluster.apply(NEG_CRD)
    before = start.state()
    seen: set[str] = set()
    while (line := start.apply_killed(seen, *OPTIONS)) is not None:
        seen.add(line)
    assert any(line.startswith("$ helm upgrade --install") for line in seen)
    assert start.apply(*OPTIONS).endswith("Nothing had to be changed.\n")
    assert {item["metadata"]["name"] for item in start.items("ingresses")} == {SERVICE, f"{SERVICE}-kiteway"}
    start.kiteway("rollback")
    assert start.state() == before

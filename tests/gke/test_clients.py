"""What connected clients notice of ``kiteway gke``: nothing, when TLS ends at Kiteway."""

from __future__ import annotations

import base64

import pytest

from tests.gke.site import ADDRESS, HOST, SERVICE, Site
from tests.support.reads import SteadyReads, fill_plaintext
from tests.support.relay import Relay

pytestmark = [pytest.mark.kubernetes, pytest.mark.milvus, pytest.mark.timeout(600)]

COLLECTION = "steady"


def test_nobody_is_interrupted(start: Site) -> None:
    """
    While ``apply --data-plane kiteway`` runs, a plaintext client of the old address loses no call, and neither does a
    TLS client of the new one once it is there; Milvus's values and proxies stay as they are.
    """
    milvus = start.milvuses.serve(None, None)
    fill_plaintext(milvus.port, COLLECTION)
    values, pods = start.values(), {pod["metadata"]["name"] for pod in start.items("pods")}
    before = start.state()
    with Relay(milvus.port) as old_address:
        with SteadyReads(f"127.0.0.1:{old_address.port}", None, None, COLLECTION) as plaintext:
            applied = start.apply("--data-plane", "kiteway")
            assert f" at {ADDRESS}:443 as {HOST}." in applied
            secret = start.cluster.get("secret", f"{SERVICE}-tls")
            ca = start.folder / "tls.crt"
            ca.write_bytes(base64.b64decode(secret["data"]["tls.crt"]))
            with SteadyReads(f"{ADDRESS}:443", ca, HOST, COLLECTION) as secure:
                assert start.apply("--data-plane", "kiteway").endswith("Nothing had to be changed.\n")
                secure.wait_for(50)
            plaintext.wait_for(50)
        assert (plaintext.failures, secure.failures) == ({}, {})
        assert plaintext.ok > 100
    assert start.values() == values
    assert {pod["metadata"]["name"] for pod in start.items("pods")} == pods
    start.kiteway("rollback")
    assert start.state() == before
    assert start.kubectl("get", "ingressclass", "-o", "name") == ""

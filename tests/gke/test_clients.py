"""
The effect of ``kiteway gke`` on connected clients: none if TLS ends at Kiteway, else the one that the plan
states.
"""

from __future__ import annotations

import base64
import json

import grpc
import pytest

from tests.gke.old_address import OldAddress
from tests.gke.site import ADDRESS, HOST, SERVICE, Site
from tests.support.reads import SteadyReads, channel, fill_plaintext, search_request, service

pytestmark = [pytest.mark.kubernetes, pytest.mark.milvus, pytest.mark.timeout(600)]

COLLECTION = "steady"


def test_no_client_is_interrupted(start: Site) -> None:
    """
    During ``apply --data-plane kiteway`` no call of a plaintext client of the old address fails, nor of a TLS
    client of the new one; Milvus's values and proxies do not change.
    """
    milvus = start.milvuses.serve(None, None)
    fill_plaintext(milvus.port, COLLECTION)
    values, pods = start.values(), {pod["metadata"]["name"] for pod in start.items("pods")}
    before = start.state()
    with OldAddress(start) as old_address:
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


def test_plaintext_clients_are_cut_off_as_the_plan_says(start: Site) -> None:
    """
    With Google's balancer alone Milvus switches to TLS: calls of a plaintext client of the old address fail
    from then on.
    """
    milvus = start.milvuses.serve(None, None)
    fill_plaintext(milvus.port, COLLECTION)
    plan = json.loads(start.kiteway("plan", *start.options("-o", "json")))
    (effect,) = [step["effect"] for step in plan["steps"] if step["id"] == "milvus-tls"]
    assert effect["impact"] == "all plaintext clients interrupted"
    assert "203.0.113.9" in effect["text"]
    assert "--data-plane google+kiteway" in effect["text"]
    with (
        OldAddress(start) as old_address,
        channel(f"127.0.0.1:{old_address.port}", None, None) as connection,
    ):
        plaintext = service(connection)
        assert plaintext.Search(search_request(COLLECTION, 1), timeout=20).status.code == 0
        start.apply()
        with pytest.raises(grpc.RpcError):
            plaintext.Search(search_request(COLLECTION, 2), timeout=20)

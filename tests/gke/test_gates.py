"""Google's readiness gate, which is missing in Pods that were created before the endpoint groups."""

from __future__ import annotations

import json

import pytest

from kiteway.gke.graceful import RESTARTED_FOR
from kiteway.gke.rollout import gated
from tests.gke.gates import gates
from tests.gke.site import SERVICE, Site
from tests.support.kiteway import wait_until

pytestmark = [pytest.mark.kubernetes, pytest.mark.milvus, pytest.mark.timeout(600)]


def test_every_proxy_ends_with_the_gate(start: Site) -> None:
    """
    The proxies that restart with TLS are created too early for the gate (G12). ``apply`` waits for the
    endpoint groups and restarts them once more, with a graceful shutdown. A second ``apply`` restarts none.
    ``status`` shows proxies without the gate, and ``apply`` replaces them.
    """
    before = start.state()
    with gates(start):
        applied = start.apply()
        assert "2 of 2 pods have Google's readiness gate" in applied
        pods = start.items("pods")
        assert gated(tuple(pods)) == len(pods) == 2
        for pod in pods:
            sleep = int(pod["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
            assert 60 < sleep < pod["spec"]["terminationGracePeriodSeconds"]
        assert start.apply().endswith("Nothing had to be changed.\n")
        names = {pod["metadata"]["name"] for pod in pods}
        assert {pod["metadata"]["name"] for pod in start.items("pods")} == names

    forget = {"spec": {"template": {"metadata": {"annotations": {RESTARTED_FOR: None}}}}}
    start.kubectl("patch", "deployment", f"{SERVICE}-proxy", "-p", json.dumps(forget))
    start.kubectl("rollout", "status", f"deployment/{SERVICE}-proxy", "--timeout=200s")
    wait_until(lambda: not gated(tuple(start.items("pods"))), "every proxy is one without the gate", 60)
    with gates(start):
        found = json.loads(start.kiteway("status", "-o", "json", code=1))
        assert [step["id"] for step in found["steps"] if step["state"] == "todo"] == ["readiness"]
        assert "2 of 2 pods have Google's readiness gate" in start.apply()
    start.kiteway("rollback")
    assert start.state() == before

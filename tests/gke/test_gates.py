"""Google's readiness gate, which is in no Pod that was created before the endpoint groups."""

from __future__ import annotations

import pytest

from kiteway.gke.rollout import gated
from tests.gke.gates import gates
from tests.gke.site import Site

pytestmark = [pytest.mark.kubernetes, pytest.mark.milvus, pytest.mark.timeout(600)]


def test_every_proxy_ends_with_the_gate(start: Site) -> None:
    """
    The proxies that TLS restarts come too early for the gate (G12); ``apply`` waits for the endpoint groups, starts
    them again, once, and leaves them draining and outliving the draining. A second one restarts nobody.
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
    start.kiteway("rollback")
    assert start.state() == before

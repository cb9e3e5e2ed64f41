"""From a Layer-4 release to a verified Layer-7 endpoint and back."""

from __future__ import annotations

import pytest

from tests.gke.site import ADDRESS, HOST, SERVICE, USER_YAML, VALUES, Site

pytestmark = [pytest.mark.kubernetes, pytest.mark.milvus, pytest.mark.timeout(600)]


def test_there_and_back(start: Site) -> None:
    """A plan writes nothing; apply ends verified; a second apply changes nothing; rollback restores the start."""
    before = start.state()
    planned = start.kiteway("plan", *start.options())
    assert "all plaintext clients interrupted" in planned
    assert start.state() == before

    applied = start.apply()
    assert f" at {ADDRESS}:443 as {HOST}." in applied.partition("Verified: Milvus v2.3.5")[2]
    assert applied.endswith("Done.\n")
    values = start.values()
    assert values["image"] == VALUES["image"]
    assert "# ours" in values["extraConfigFiles"]["user.yaml"]
    service = start.cluster.get("service", SERVICE)
    assert service["spec"]["type"] == "LoadBalancer"
    assert "cloud.google.com/neg" in service["metadata"]["annotations"]

    after = start.state()
    again = start.apply()
    assert again.endswith("Nothing had to be changed.\n")
    assert "$ kubectl" not in again
    assert "$ helm" not in again
    assert start.state() == after

    assert start.kiteway("rollback").endswith("The state from before the first apply is restored.\n")
    assert start.state() == before
    assert start.values()["extraConfigFiles"]["user.yaml"] == USER_YAML

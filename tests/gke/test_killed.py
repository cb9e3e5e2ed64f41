"""``apply`` killed with -9 at every step, and run again."""

from __future__ import annotations

import pytest

from tests.gke.site import SERVICE, VALUES, Site

pytestmark = [pytest.mark.kubernetes, pytest.mark.milvus, pytest.mark.timeout(900)]


def test_killed_after_every_step(start: Site) -> None:
    """
    Killed at each line about a step and during each command, and restarted each time, ``apply`` reaches the
    state of an undisturbed run: nothing is doubled, no value is lost, and the record still has the initial
    state.
    """
    start.install({**VALUES, "proxy": {"replicas": 1}})  # more would only make it longer: they restart one by one
    before = start.state()
    start.apply()
    undisturbed = start.state()
    start.kiteway("rollback")
    assert start.state() == before

    seen: set[str] = set()
    while (line := start.apply_killed(seen)) is not None:
        seen.add(line)
    assert any(line.startswith("$ helm upgrade") for line in seen), "it was killed while Helm worked, too"
    assert len([line for line in seen if line.endswith("DONE")]) >= 8

    resumed = start.state()
    assert _without_keys(resumed) == _without_keys(undisturbed)
    assert len(start.items("ingresses")) == 1
    volumes = start.values()["proxy"]["volumes"]
    assert [volume["name"] for volume in volumes] == ["kiteway-tls"]
    start.kiteway("rollback")
    assert start.state() == before
    assert "cloud.google.com/neg" not in start.cluster.get("service", SERVICE)["metadata"].get("annotations", {})


def _without_keys(state: dict[str, object]) -> dict[str, object]:
    """Leave out the contents of Secrets: each run makes keys of its own."""
    return {name: None if name.startswith("Secret/") else item for name, item in state.items()}

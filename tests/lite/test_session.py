"""A session of the newest PyMilvus gives the same results directly and through Kiteway."""

from __future__ import annotations

from importlib import metadata

import pytest

from kiteway.filter import filter_path, missing_reason
from tests.lite.page import PAGE, render
from tests.lite.session import Outcome, run
from tests.lite.site import EVERYTHING, PROXIES, Site, site
from tests.lite.steps import PARTS

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.lite,
    pytest.mark.timeout(300),
    pytest.mark.skipif(filter_path() is None, reason=missing_reason()),
]

ENOUGH = 200
"""Steps that Milvus Lite must carry, so that the session shows something."""
ENOUGH_OF_OLD = 100
"""Those of Milvus Lite 2.5.1."""


def through(place: Site, name: str, *, policy: bool) -> list[Outcome]:
    """Do the session through Kiteway; each proxy must have had calls of it."""
    with place.kiteway(name, EVERYTHING if policy else None) as (address, running):
        outcomes = run(address, PARTS)
        (pool,) = [pool for pool in running.status()["pools"] if pool["endpoints"]]
        calls = [endpoint["calls"] for endpoint in pool["endpoints"]]
        assert len(calls) == PROXIES
        assert min(calls) > len(outcomes) / PROXIES / 2
        assert pool["cache"]["on"] == policy
    return outcomes


def test_the_old_core_gives_the_same_through_kiteway() -> None:
    """The C++ core of Milvus 2.5 has fewer of the rpcs; what it answers and what it refuses is the same through Kiteway."""
    with site(old=True) as place:
        direct = run(place.direct, PARTS)
        policy = through(place, "policy", policy=True)

    assert sum(not outcome.refused for outcome in direct) >= ENOUGH_OF_OLD
    assert [row for row in zip(direct, policy, strict=True) if row[0] != row[1]] == []


def test_each_step_gives_the_same_through_kiteway(request: pytest.FixtureRequest) -> None:
    """All steps give the same answer, or the same refusal, with and without a policy; the documentation shows them."""
    with site() as place:
        direct = run(place.direct, PARTS)
        plain = through(place, "plain", policy=False)
        policy = through(place, "policy", policy=True)

    assert sum(not outcome.refused for outcome in direct) >= ENOUGH
    assert [row for row in zip(direct, plain, strict=True) if row[0] != row[1]] == []
    assert [row for row in zip(direct, policy, strict=True) if row[0] != row[1]] == []
    page = render(direct, plain, policy, metadata.version("milvus-lite"))
    if request.config.getoption("--update-golden"):
        PAGE.write_text(page)
    assert PAGE.read_text() == page, "run: make test-milvus-lite ARGS=--update-golden"

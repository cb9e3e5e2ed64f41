"""The epochs of caches: when the filter is told to drop what it keeps for a pool."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import pytest

from kiteway.envoy.ads import ENDPOINT, ROUTE
from kiteway.envoy.settings import EnvoySettings
from kiteway.model import Endpoint, EndpointState
from kiteway.pipeline.pipeline import Outcome, Pipeline
from kiteway.resources import EndpointSlice, load_documents
from kiteway.sources.files import SourceContent
from kiteway.translate import Options
from tests.support.manifests import Manifest, endpoint_slice, ingress, milvus_policy, path, rule, service, text

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
FIRST = 1000
A, B, C, D = (Endpoint(f"10.0.0.{number}", 19530) for number in range(1, 5))
SERVICE = ("default", "milvus")
BASE = [
    ingress(rule("a.example.com", path("/a"), path("/b", "other"))),
    service(),
    service("other"),
    milvus_policy("milvus", "other", cache={"enabled": True}),
]
OFF = [*BASE[:3], milvus_policy("milvus", "other", cache={"enabled": False})]


class Rounds:
    """A pipeline with the filter, and the endpoints of the Service ``milvus``."""

    def __init__(self, *endpoints: Endpoint) -> None:
        self.pipeline = Pipeline(EnvoySettings(filter_path=Path("/filter.so")), first_epoch=FIRST)
        self._endpoints = endpoints
        self.translate()

    def translate(self, manifests: Sequence[Manifest] = BASE) -> Outcome:
        """Run a whole round."""
        loaded = load_documents(text(manifests), "test.yaml")
        content = SourceContent(loaded.objects, (), loaded.refused)
        return self.pipeline.run(content, {SERVICE: self._endpoints}, NOW, Options())

    def move(self, *endpoints: Endpoint) -> Outcome:
        """Give the Service other endpoints, without a translation."""
        self._endpoints = endpoints
        outcome = self.pipeline.run_endpoints({SERVICE: endpoints}, NOW)
        assert outcome is not None
        return outcome

    @property
    def epoch(self) -> int:
        """The epoch of the Service's pool, which is also in its routes."""
        outcome = self.pipeline.outcome
        assert outcome is not None
        found = {pool.key.service: pool.cache.epoch for pool in outcome.model.pools if pool.cache is not None}
        routes = b"".join(resource.body for resource in outcome.snapshot[ROUTE].values())
        for epoch in found.values():
            assert f'"epoch":{epoch}'.encode() in routes
        assert found["other"] == FIRST + 1
        return found["milvus"]


def test_each_cache_has_an_epoch_that_lasts() -> None:
    """Rounds in which nothing changes build nothing anew."""
    rounds = Rounds(A, B)
    before = rounds.pipeline.outcome
    again = rounds.translate()

    assert rounds.epoch == FIRST
    assert before is not None
    assert again.snapshot[ROUTE] is before.snapshot[ROUTE]


@pytest.mark.parametrize(
    ("steps", "changes"),
    [
        ([(B, C), (C,)], 1),
        ([(B, C), (C, D), (D,)], 1),
        ([(A, B, C), (A, C), (A, D)], 0),
        ([(B,), (A,)], 1),
        ([(B, C), (C,), (C, D), (D,)], 2),
        ([(C, D)], 1),
        ([(C,), (A,)], 2),
        ([(), (A, B)], 0),
        ([(), (A,), (), (C,)], 1),
        ([()], 0),
    ],
    ids=[
        "one by one",
        "rolling",
        "one stays",
        "in turn",
        "twice one by one",
        "replaced",
        "twice",
        "away and back",
        "replaced after a pause",
        "away",
    ],
)
def test_the_epoch_changes_when_no_endpoint_stays(steps: list[tuple[Endpoint, ...]], changes: int) -> None:
    """Other endpoints may be another Milvus, also if they come one by one. One that stays shows that it is the same."""
    rounds = Rounds(A, B)
    seen = [rounds.epoch]
    for step in steps:
        rounds.move(*step)
        seen.append(rounds.epoch)

    assert len(set(seen)) == 1 + changes
    assert seen == sorted(seen)


def test_an_endpoint_that_drains_does_not_stay() -> None:
    """It gets no new calls, so what it answered says nothing about the endpoints that do."""
    rounds = Rounds(A)
    leaving = Endpoint(A.address, A.port, state=EndpointState.DRAINING)
    rounds.move(leaving, B)

    assert rounds.epoch > FIRST + 1


def test_the_new_endpoints_and_the_new_epoch_are_one_change() -> None:
    """Nothing else changes with them."""
    rounds = Rounds(A)
    assert rounds.pipeline.outcome is not None
    before = rounds.pipeline.outcome.snapshot
    after = rounds.move(B).snapshot

    assert {kind for kind, names in after.diff(before).items() if names} == {ENDPOINT, ROUTE}
    part = rounds.move(B, C).snapshot
    assert {kind for kind, names in part.diff(after).items() if names} == {ENDPOINT}


def test_slices_that_change_alone_change_the_epoch() -> None:
    """This is how endpoints change in a cluster."""
    rounds = Rounds()
    loaded = load_documents(text([*BASE, endpoint_slice(["10.0.0.1"], 19530)]), "test.yaml")
    rounds.pipeline.run(SourceContent(loaded.objects, (), ()), {}, NOW, Options())
    before = rounds.epoch
    (slice_,) = [each for each in loaded.objects if isinstance(each, EndpointSlice)]
    (other,) = load_documents(text([endpoint_slice(["10.0.0.2"], 19530)]), "test.yaml").objects
    assert isinstance(other, EndpointSlice)
    rounds.pipeline.run_slices([slice_], [other], NOW)

    assert rounds.epoch != before


def test_a_cache_that_was_off_has_another_epoch() -> None:
    """The filter has not seen the calls that made answers invalid meanwhile."""
    rounds = Rounds(A)
    rounds.translate(OFF)
    rounds.translate([*BASE[:3], milvus_policy("other", cache={"enabled": True})])
    outcome = rounds.translate()

    epochs = [pool.cache.epoch for pool in outcome.model.pools if pool.cache is not None]
    assert len(epochs) == 2
    assert min(epochs) > FIRST + 1

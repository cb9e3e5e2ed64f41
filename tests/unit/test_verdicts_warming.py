"""Clusters that are warming for long are set aside, whatever happens to endpoints meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from pathlib import Path
from typing import Any, cast

import pytest

from kiteway.controlplane import verdicts as verdicts_module
from kiteway.controlplane.verdicts import Verdicts
from kiteway.envoy.admin import AdminClient
from kiteway.envoy.ads import CLUSTER, AdsServer, AdsState
from kiteway.envoy.ads.state import StreamState
from kiteway.envoy.clusters import ClusterStatus
from kiteway.envoy.settings import EnvoySettings
from kiteway.pipeline.pipeline import Outcome, Pipeline
from kiteway.quarantine.quarantine import Quarantine
from kiteway.resources import EndpointSlice, load_object
from kiteway.sources.files import SourceContent
from kiteway.translate import Options
from tests.support.manifests import Manifest, endpoint_slice, ingress, path, rule, service

pytestmark = pytest.mark.anyio

NOW = dt.datetime(2026, 11, 29, 12, tzinfo=dt.UTC)


class _Ads:
    """An ADS server whose only client has been warming a cluster for a second."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.next_change = asyncio.Event()
        self.assumed = asyncio.Event()
        self._pipeline = pipeline
        self._sent = asyncio.get_running_loop().time() - 1

    @property
    def state(self) -> AdsState:
        assert self._pipeline.outcome is not None
        stream = StreamState("", "", NOW, {}, {}, converged=False, clusters_sent=self._sent, clusters_answered=False)
        return AdsState(self._pipeline.outcome.snapshot.version, (stream,), (), active=True)

    def assume_clusters(self) -> None:
        self.assumed.set()


class _Admin:
    """An Envoy whose answer comes after another endpoint has changed."""

    def __init__(self, pipeline: Pipeline, active: set[str]) -> None:
        self.asked = 0
        self._pipeline = pipeline
        self._active = active

    async def clusters(self) -> dict[str, ClusterStatus]:
        self.asked += 1
        [changed] = load_object(dict(endpoint_slice([f"10.0.0.{self.asked}"], 19530, "a"))).objects
        assert isinstance(changed, EndpointSlice)
        before = self._pipeline.outcome
        assert self._pipeline.run_slices((), (changed,), NOW) is not before
        return {name: ClusterStatus(name, ()) for name in self._active}


def _run(pipeline: Pipeline, *names: str) -> Outcome:
    manifests: list[Manifest] = []
    for name in names:
        manifests += [
            ingress(rule(f"{name}.example.com", path("/", name)), name=name),
            service(name),
            endpoint_slice(["10.0.0.200"], 19530, name),
        ]
    objects = [object_ for manifest in manifests for object_ in load_object(dict(manifest)).objects]
    return pipeline.run(SourceContent(tuple(objects), (), ()), {}, NOW, Options())


async def _set_aside(pipeline: Pipeline, active: set[str], folder: Path) -> tuple[_Admin, list[Outcome | None]]:
    """Follow the warming clusters until some are set aside; return whom was asked, and what was published."""
    ads, admin = _Ads(pipeline), _Admin(pipeline, active)
    published: list[Outcome | None] = []

    async def publish(outcome: Outcome | None) -> None:
        published.append(outcome)

    verdicts = Verdicts(
        pipeline,
        cast("AdsServer", ads),
        cast("AdminClient", admin),
        asyncio.Lock(),
        publish=publish,
        file=folder / "quarantine",
    )
    task: asyncio.Task[Any] = asyncio.create_task(verdicts.follow_warming())
    try:
        async with asyncio.timeout(5):
            await ads.assumed.wait()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return admin, published


async def test_endpoints_that_change_do_not_keep_others_waiting(tmp_path: Path) -> None:
    """The Ingress of the warming cluster is parked at the first look, and the newest endpoints stay."""
    pipeline = Pipeline(EnvoySettings())
    active = set(_run(pipeline, "a").snapshot[CLUSTER])
    pipeline.judge(Quarantine.accept, NOW)
    _run(pipeline, "a", "b")
    admin, published = await _set_aside(pipeline, active, tmp_path)
    assert admin.asked == 1
    [outcome] = published
    assert outcome is not None
    assert outcome.quarantine.parked
    assert set(outcome.snapshot[CLUSTER]) >= active


async def test_a_change_of_another_does_not_wait_half_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it waits, the Ingress of the warming cluster is parked sooner, and the change is on trial then."""
    monkeypatch.setattr(verdicts_module, "OVERDUE_SECONDS", 1000.0)
    pipeline = Pipeline(EnvoySettings())
    active = set(_run(pipeline, "a").snapshot[CLUSTER])
    pipeline.judge(Quarantine.accept, NOW)
    _run(pipeline, "a", "b")
    assert _run(pipeline, "a", "b", "c").quarantine.waiting
    _, published = await _set_aside(pipeline, active, tmp_path)
    [outcome] = published
    assert outcome is not None
    assert [each.domain for each in outcome.model.hosts] == ["a.example.com", "c.example.com"]

"""The control plane answers requests while it builds a configuration."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from kiteway.controlplane.config import Config
from kiteway.controlplane.run import ControlPlane
from kiteway.envoy.admin import AdminClient
from kiteway.envoy.ads import AdsServer
from kiteway.envoy.calls import CallsClient
from kiteway.envoy.settings import EnvoySettings
from kiteway.envoy.xds.build import build_resources
from kiteway.status.server import application, serve

pytestmark = pytest.mark.anyio

DEADLINE = 30.0


class Build:
    """A build that takes until ``end`` is set; ``begun`` is set when it has begun."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.end = threading.Event()

    def __call__(self, *arguments: Any) -> Any:
        """Build as ever, but slowly."""
        self.begun.set()
        assert self.end.wait(DEADLINE)
        return build_resources(*arguments)


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    """Make every build take until the test ends it."""
    slow = Build()
    monkeypatch.setattr("kiteway.pipeline.pipeline.build_resources", slow)
    yield slow
    slow.end.set()


async def test_status_and_probes_are_answered_while_a_configuration_is_built(tmp_path: Path, build: Build) -> None:
    """Both are answered during the first build."""
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    config = Config(str(tmp_path / "data"), (str(manifests),), EnvoySettings())
    socket = tmp_path / "status.sock"
    async with AdminClient(tmp_path / "admin.sock") as admin, CallsClient(tmp_path / "calls.sock") as calls:
        controlplane = ControlPlane(config, admin, calls, AdsServer(tmp_path / "ads" / "ads.sock"))
        await controlplane.start()
        tasks = [asyncio.create_task(work) for work in controlplane.work()]
        try:
            assert await asyncio.to_thread(build.begun.wait, DEADLINE)
            transport = httpx2.AsyncHTTPTransport(uds=str(socket))
            async with (
                serve(
                    socket,
                    application(
                        controlplane.why_not_ready, controlplane.status, controlplane.errors, controlplane.checked
                    ),
                ),
                httpx2.AsyncClient(transport=transport, timeout=DEADLINE) as client,
            ):
                ready = await client.get("http://kiteway/ready")
                status = await client.get("http://kiteway/status")
            assert not build.end.is_set()
            assert ready.status_code == 503
            assert status.json()["ready"] is False
        finally:
            build.end.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await controlplane.stop()

"""Kiteway's control plane in this process, with objects from memory, and a real Envoy that it configures over ADS."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import msgspec

from kiteway.controlplane import run
from kiteway.controlplane.config import Config
from kiteway.controlplane.source import Files, TakeSlices, Translate
from kiteway.envoy.admin import AdminClient
from kiteway.envoy.ads import AdsServer, AdsState
from kiteway.envoy.binary import find_envoy
from kiteway.envoy.bootstrap import OverloadLimits, bootstrap
from kiteway.envoy.calls import CallsClient
from kiteway.envoy.settings import EnvoySettings
from kiteway.filter import filter_path
from kiteway.instance import Instance
from kiteway.pipeline.pipeline import Outcome
from kiteway.resources.load import Loaded, load_object
from kiteway.sources.files import SourceContent
from kiteway.supervisor import envoy_child
from tests.support.manifests import Manifest

T = TypeVar("T")
_DEADLINE_SECONDS = 120.0


class Memory(Files):
    """Objects as the Kubernetes API gives them, each read once."""

    def __init__(self, state_dir: Path) -> None:
        super().__init__(state_dir, ())
        self._tenants: dict[str, list[Loaded]] = {}
        self._changed = asyncio.Event()

    def put(self, tenants: dict[str, list[Manifest]]) -> None:
        """Take the objects of tenants in the place of theirs; a tenant without any is gone."""
        for name, objects in tenants.items():
            self._tenants[name] = [load_object(each) for each in objects]
            if not objects:
                del self._tenants[name]
        self._changed.set()

    async def read(self) -> SourceContent:
        """Return all of them."""
        loaded = [each for tenant in self._tenants.values() for each in tenant]
        return SourceContent(
            tuple(o for each in loaded for o in each.objects),
            tuple(d for each in loaded for d in each.diagnostics),
            tuple(r for each in loaded for r in each.refused),
        )

    async def follow(self, translate: Translate, take_slices: TakeSlices) -> None:
        """Translate after each `put`."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await translate()


class Inside:
    """
    The two of them, running.

    Attributes:
        settings: where Envoy listens.
    """

    def __init__(self, folder: Path, settings: EnvoySettings) -> None:
        self.settings = settings
        self.instance = Instance(folder)
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._work: list[asyncio.Task[None]] = []
        self._envoy: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the control plane and Envoy."""
        self._wait(self._start())
        self.start_envoy()

    async def _start(self) -> None:
        self._source = Memory(self.instance.state_dir)
        self._ads = AdsServer(self.instance.ads_socket)
        self._admin = AdminClient(self.instance.admin_socket)
        config = Config(str(self._folder), (), self.settings)
        with mock.patch.object(run, "_source", return_value=self._source):
            calls = CallsClient(self.instance.calls_socket)
            self._plane = run.ControlPlane(config, self._admin, calls, self._ads)
        await self._plane.start()
        self._work = [asyncio.create_task(work) for work in self._plane.work()]

    def start_envoy(self) -> None:
        """Start an Envoy that knows nothing."""
        limits = OverloadLimits(max_heap_bytes=2 << 30, max_connections=1000)
        config = bootstrap(self.instance, node_id="attacked", limits=limits)
        spec = envoy_child(find_envoy(), self.instance, config, concurrency=1, log_level="error")
        with (self._folder / "envoy.log").open("ab") as log:
            self._envoy = subprocess.Popen(spec.argv, env=dict(spec.env), stdout=log, stderr=log)

    def kill_envoy(self) -> None:
        """End Envoy with -9."""
        if self._envoy is not None:
            self._envoy.kill()
            self._envoy.wait()

    def put(self, tenants: dict[str, list[Manifest]]) -> None:
        """Take the objects of tenants; see `Memory.put`. Returns before they are translated."""
        self._wait(self._put(tenants))

    async def _put(self, tenants: dict[str, list[Manifest]]) -> None:
        self._source.put(tenants)

    @property
    def ads(self) -> AdsState:
        """What the ADS server knows of Envoy."""
        return self._wait(self._state())

    async def _state(self) -> AdsState:
        return self._ads.state

    @property
    def outcome(self) -> Outcome | None:
        """What the last round gave."""
        return self._plane.outcome

    def report(self) -> dict[str, Any]:
        """Return the value of ``kiteway status``."""
        value: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self._wait(self._plane.status())))
        return value

    def close(self) -> None:
        """End both."""
        self.kill_envoy()
        self._wait(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        await self._plane.stop()
        await self._admin.__aexit__()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=_DEADLINE_SECONDS)


@contextlib.contextmanager
def inside(folder: Path, port: Callable[[], int]) -> Iterator[Inside]:
    """Run both until the end of the ``with``."""
    settings = EnvoySettings(https_port=port(), http_port=port(), filter_path=filter_path())
    found = Inside(folder, settings)
    with found.instance.acquire():
        found.start()
        try:
            yield found
        finally:
            found.close()

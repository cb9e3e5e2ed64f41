"""A control plane and a real Envoy, with Ingresses that Envoy rejects although no rule of Kiteway covers them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from kiteway.controlplane.config import Config
from kiteway.controlplane.run import ControlPlane
from kiteway.envoy.admin import AdminClient
from kiteway.envoy.ads import AdsServer, Snapshot
from kiteway.envoy.binary import find_envoy
from kiteway.envoy.bootstrap import OverloadLimits, bootstrap
from kiteway.envoy.calls import CallsClient
from kiteway.envoy.settings import EnvoySettings
from kiteway.instance import Instance
from kiteway.model import HeaderValue
from kiteway.supervisor import envoy_child
from kiteway.translate.ingress.front_end import INGRESS, translate_ingress
from kiteway.translate.shared.limits import NamespaceLimits
from kiteway.translate.shared.unit import Unit
from tests.support.manifests import Manifest, ingress, path, rule, service
from tests.support.yaml_text import documents

POISON = "test.example.com/poison"
"""
An annotation: ``header`` and ``constraint`` make a route table that Envoy rejects without a name, ``cluster`` a cluster.

Envoy takes an Ingress with ``twin`` and one with ``TWIN``, but not both: their hosts differ in case only.
"""
DEADLINE = 90.0


def poisoned(*arguments: Any) -> Unit:
    """Translate an Ingress; one with the annotation comes to something that Envoy rejects."""
    unit = translate_ingress(*arguments)
    match unit.owner.metadata.annotations.get(POISON):
        case "header" | "constraint" as kind:
            # Envoy quotes the whole table when it breaks a constraint: here that of a name's length.
            bad = (HeaderValue("x-bad", "%NO_SUCH_COMMAND()%") if kind == "header" else HeaderValue("x" * 20_000, "y"),)
            hosts = tuple(
                dataclasses.replace(
                    claim,
                    routes=tuple(dataclasses.replace(route, request_headers=bad) for route in claim.routes),
                )
                for claim in unit.hosts
            )
            return dataclasses.replace(unit, hosts=hosts)
        case "twin" | "TWIN" as label:
            other = dataclasses.replace(unit.hosts[0], domain=f"{label}.example.com")
            return dataclasses.replace(unit, hosts=(*unit.hosts, other))
        case "cluster":
            pools = tuple(
                dataclasses.replace(pool, health_check=dataclasses.replace(pool.health_check, timeout=-1))
                for pool in unit.pools
                if pool.health_check is not None
            )
            return dataclasses.replace(unit, pools=pools)
    return unit


def host(name: str) -> str:
    """Return the host of an Ingress."""
    return f"{name}.example.com"


def tenant_manifests(name: str, *, to: str = "first", poison: str = "") -> list[Manifest]:
    """Return an Ingress and its Service; ``to`` is a path that makes a change of it."""
    found: Any = ingress(rule(host(name), path(f"/{to}", name)), name=name)
    if poison:
        found["metadata"]["annotations"][POISON] = poison
    return [found, service(name)]


class Watched(AdsServer):
    """An ADS server that counts what is published."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.versions: list[str] = []

    async def publish(self, snapshot: Snapshot) -> None:
        """Count what is another configuration than before."""
        if not self.versions or self.versions[-1] != snapshot.version:
            self.versions.append(snapshot.version)
        await super().publish(snapshot)


class Site:
    """
    One instance: a folder of manifests, a control plane in this process, and an Envoy beside it.

    Attributes:
        controlplane: that which runs now.
        ads: its ADS server.
    """

    controlplane: ControlPlane
    ads: Watched

    def __init__(self, directory: Path, free_port: Callable[[], int]) -> None:
        self.manifests = directory / "manifests"
        self.manifests.mkdir()
        self.instance = Instance(directory / "data")
        self.settings = EnvoySettings(https_port=free_port(), http_port=free_port())
        self._log = directory / "envoy.log"

    def write(self, name: str, *manifests: Manifest) -> None:
        """Put manifests into a file."""
        staged = self.manifests / f".{name}"
        staged.write_text(documents(manifests))
        staged.replace(self.manifests / f"{name}.yaml")

    @property
    def log(self) -> str:
        """What Envoy has logged."""
        return self._log.read_text()

    @contextlib.contextmanager
    def envoy(self) -> Any:
        """Run Envoy; end it without a drain."""
        limits = OverloadLimits(max_heap_bytes=1 << 30, max_connections=1000)
        child = envoy_child(
            find_envoy(), self.instance, bootstrap(self.instance, node_id="test", limits=limits), concurrency=1
        )
        with self._log.open("ab") as log:
            process = subprocess.Popen(child.argv, env=dict(child.env), stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    @staticmethod
    def cpu_seconds(envoy: subprocess.Popen[bytes]) -> float:
        """Return what Envoy's main thread, which builds configurations, has taken of the processor."""
        fields = Path(f"/proc/{envoy.pid}/task/{envoy.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @contextlib.asynccontextmanager
    async def control(self) -> AsyncIterator[None]:
        """Run the control plane."""
        limits = NamespaceLimits(hosts=1000)
        config = Config(str(self.instance.data_dir), (str(self.manifests),), self.settings, namespace_limits=limits)
        async with (
            AdminClient(self.instance.admin_socket) as admin,
            CallsClient(self.instance.calls_socket) as calls,
        ):
            self.ads = Watched(self.instance.ads_socket)
            self.controlplane = ControlPlane(config, admin, calls, self.ads)
            await self.controlplane.start()
            tasks = [asyncio.create_task(work) for work in self.controlplane.work()]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await self.controlplane.stop()

    async def ready(self) -> None:
        """Wait until it serves."""
        await eventually(lambda: _nothing(self.controlplane.why_not_ready), "ready")

    async def ask(self, name: str, path: str = "/first") -> str:
        """Return which answer a host gives: ``served`` when it has a route for the path, else why not."""
        async with httpx2.AsyncClient(verify=False, timeout=10) as client:
            try:
                url = f"http://127.0.0.1:{self.settings.http_port}{path}"
                response = await client.get(url, headers={"host": host(name)})
            except httpx2.TransportError as error:
                return f"not connected: {error}"
        # There is no endpoint: a host that is served says so.
        if response.status_code == 503 and "no route" not in response.text:
            return "served"
        return f"{response.status_code} {response.text}"

    async def serves(self, name: str, path: str = "/first") -> None:
        """Wait until a host is served."""

        async def served() -> bool:
            return await self.ask(name, path) == "served"

        await eventually(served, f"{name} is served")

    async def quarantined(self, *names: str) -> None:
        """Wait until these Ingresses are in quarantine, and no search goes on."""

        def found() -> bool:
            outcome = self.controlplane.outcome
            if outcome is None or outcome.quarantine.searching or not outcome.quarantine.settled:
                return False
            return sorted(each.ref.name for each in outcome.quarantine.held if each.since) == sorted(names)

        await eventually(found, f"in quarantine: {names}")

    async def report(self) -> dict[str, Any]:
        """Return the value of ``kiteway status``."""
        value: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(await self.controlplane.status()))
        return value


async def eventually(condition: Callable[[], Any], what: str) -> None:
    """Wait until a condition holds; it may be asynchronous."""
    end = asyncio.get_running_loop().time() + DEADLINE
    while True:
        found = condition()
        if await found if asyncio.iscoroutine(found) else found:
            return
        assert asyncio.get_running_loop().time() < end, f"not within {DEADLINE:g} s: {what}"
        await asyncio.sleep(0.02)


async def _nothing(why: Callable[[], Any]) -> bool:
    return not await why()


@contextlib.asynccontextmanager
async def site(directory: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """Prepare a site whose translation obeys the annotation."""
    front_ends = {"Ingress": dataclasses.replace(INGRESS, translate=poisoned)}
    monkeypatch.setattr("kiteway.translate.translator.FRONT_ENDS", front_ends)
    found = Site(directory, free_port)
    with found.instance.acquire():
        yield found

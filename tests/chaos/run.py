"""Runs each fault under load with all balancers at once, so that a row compares the same moment."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass

from kiteway.envoy.admin import AdminClient
from kiteway.milvus.embedded import MilvusCluster
from kiteway.milvus.embedded.ports import free_ports
from tests.chaos.balancers import kiteway, nginx, nginx_program, plain_envoy, wait_serving
from tests.chaos.faults import Fault, System
from tests.chaos.world import World, world
from tests.support.kiteway import Running
from tests.support.load import MixedLoad, Rows, Shape, Target

OURS = "Kiteway"
UNCACHED = "Kiteway without cache"
ENVOY = "Envoy"
NGINX = "nginx"

_KEYS = 1_000_000
"""Primary keys of one fault; the first are those of the collection's own rows."""

_SHAPE = Shape(readers=3, writers=1, alone=1, strong=1)
_SETTLE_SECONDS = 60.0


@dataclass(frozen=True)
class Result:
    """
    What the clients of one balancer saw of one fault.

    Attributes:
        fault, balancer: what was broken, and who stood before it.
        load: the calls.
        rows: what Milvus holds afterwards.
        spread: calls per endpoint; Kiteway's only.
        cached: answers of Kiteway's cache since its Envoy was started.
    """

    fault: Fault
    balancer: str
    load: MixedLoad
    rows: Rows
    spread: dict[str, int]
    cached: int = 0

    @property
    def broken(self) -> list[str]:
        """Say what must not happen and did."""
        found = []
        if self.load.reads.failed and not self.fault.ends_connections:
            found.append(f"{self.load.reads.failed} reads failed")
        if self.rows.doubled:
            found.append(f"{self.rows.doubled} rows were written twice")
        if self.rows.lost:
            found.append(f"{self.rows.lost} acknowledged rows are missing")
        if not self.load.reads.ok or not self.load.writes.ok:
            found.append("no calls were answered, so nothing was shown")
        return found


@dataclass(frozen=True)
class Chaos:
    """
    A system under test with its balancers.

    Attributes:
        system: what faults reach; its Kiteway is the one of the first target.
        targets: the balancers.
        instances: every Kiteway among them.
    """

    system: System
    targets: tuple[Target, ...]
    instances: tuple[Running, ...]


@contextlib.asynccontextmanager
async def chaos(*, contrast: bool, lite: bool = False, cache: bool = False) -> AsyncIterator[Chaos]:
    """
    Start Milvus and the balancers.

    Args:
        contrast: start the others beside Kiteway.
        lite: start Milvus Lite.
        cache: turn Kiteway's cache on, and start a Kiteway without it beside that one.
    """
    async with world(lite=lite) as found:
        with contextlib.ExitStack() as stack:
            ours, uncached, envoy_port, nginx_port = free_ports(4)
            targets = [found.target(OURS, ours)]
            instances = [stack.enter_context(kiteway(found, ours, cache=cache))]
            if cache:
                instances.append(stack.enter_context(kiteway(found, uncached, name="uncached")))
                targets.append(found.target(UNCACHED, uncached))
            program = nginx_program()
            if contrast:
                stack.enter_context(plain_envoy(found, envoy_port))
                targets.append(found.target(ENVOY, envoy_port))
            if contrast and program is not None:
                stack.enter_context(nginx(found, nginx_port, program))
                targets.append(found.target(NGINX, nginx_port))
            for target in targets:
                found.prepare(target.collection)
                wait_serving(target)
            yield Chaos(System(found, instances[0]), tuple(targets), tuple(instances))


async def run(chaos: Chaos, faults: Sequence[Fault], say: Callable[[str], None] = lambda _: None) -> list[Result]:
    """Do the faults one after the other; count the rows when all is quiet."""
    _check_counting(chaos)
    seen: list[tuple[int, Fault, Target, MixedLoad, dict[str, int], int]] = []
    for number, fault in enumerate(faults, 1):
        say(f"{number}/{len(faults)} {fault.name}")
        await _settle(chaos)
        targets = chaos.targets[:1] if fault.of_kiteway else chaos.targets
        before = await _requests(chaos.system)
        loads = await _under(fault, chaos.system, targets, number)
        spread = Counter(await _requests(chaos.system)) if not fault.of_kiteway else Counter()
        spread.subtract(before if spread else {})
        cached = _cached(chaos.system)
        for target, load in zip(targets, loads, strict=True):
            of_ours = (dict(spread), cached) if target.name == OURS else ({}, 0)
            seen.append((number, fault, target, load, *of_ours))
            if load.reads.failed or load.writes.failed:
                say(f"    {target.name}: {load.reads.failed} reads and {load.writes.failed} writes failed")
    await _settle(chaos)
    say("counting rows at Milvus")
    return [
        Result(fault, target.name, load, _count(chaos.system.world, target, number, load), spread, cached)
        for number, fault, target, load, spread, cached in seen
    ]


async def _under(fault: Fault, system: System, targets: Iterable[Target], number: int) -> list[MixedLoad]:
    loads = [MixedLoad(target, range(number * _KEYS, (number + 1) * _KEYS), _SHAPE) for target in targets]
    with contextlib.ExitStack() as stack:
        for load in loads:
            stack.enter_context(load)
        await fault.harm(system)
        # The aftermath belongs to the fault: calls to an endpoint that has just come back.
        await asyncio.sleep(2)
        for load in loads:
            load.stop()
        await asyncio.to_thread(stack.close)
    return loads


async def _settle(chaos: Chaos) -> None:
    """Wait until each Kiteway gives every proxy traffic again."""
    async with asyncio.timeout(_SETTLE_SECONDS):
        for running in chaos.instances:
            while not await _all_healthy(running):  # noqa: ASYNC110 - health has no event
                await asyncio.sleep(0.2)


async def _all_healthy(running: Running) -> bool:
    async with AdminClient(running.instance.admin_socket) as admin:
        clusters = await admin.clusters()
    members = [e for name, cluster in clusters.items() if name.startswith("pool/") for e in cluster.endpoints]
    return bool(members) and all(endpoint.healthy for endpoint in members)


async def _requests(system: System) -> dict[str, int]:
    async with AdminClient(system.kiteway.instance.admin_socket) as admin:
        clusters = await admin.clusters()
    return {
        endpoint.address: endpoint.attempts.total
        for name, cluster in clusters.items()
        if name.endswith("/grpc")
        for endpoint in cluster.endpoints
    }


def _cached(system: System) -> int:
    counts = (pool["cache"]["counts"] for pool in system.kiteway.report()["pools"])
    return sum(each["hit"] + each["joined"] for each in counts if each)


def _count(world: World, target: Target, number: int, load: MixedLoad) -> Rows:
    return world.count(target.collection, number * _KEYS, (number + 1) * _KEYS, load.acknowledged)


def _check_counting(chaos: Chaos) -> None:
    """A count that cannot see a doubled row or a missing one proves nothing."""
    collection, key = chaos.targets[0].collection, _KEYS - 2
    chaos.system.world.double(collection, key)
    found = chaos.system.world.count(collection, key, key + 1, {key})
    seen = 1 if isinstance(chaos.system.world.cluster, MilvusCluster) else 0
    assert found == Rows(doubled=seen, lost=0), found
    assert chaos.system.world.count(collection, key + 1, key + 2, {key + 1}, limit=0).lost == 1

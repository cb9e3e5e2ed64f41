"""The faults: each breaks one part of a loaded system, waits, and repairs it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kiteway.milvus.embedded import MilvusCluster
from tests.chaos.world import PROXIES, RELAYED, World
from tests.support.kiteway import Running

_VICTIM = 1
"""The proxy that process faults hit; balancers reach it without the relay."""


@dataclass(frozen=True)
class System:
    """What a fault can reach: Milvus and the relay, and the Kiteway before them."""

    world: World
    kiteway: Running


@dataclass(frozen=True)
class Fault:
    """
    One fault.

    Attributes:
        name: for the table.
        harm: does it, holds it and mends it.
        of_kiteway: it hits Kiteway itself, so the other balancers have no part in it.
        ends_connections: it ends client connections, and no balancer can answer the calls in flight on those.
        note: what the reader of the table should know.
    """

    name: str
    harm: Callable[[System], Awaitable[None]]
    of_kiteway: bool = False
    ends_connections: bool = False
    note: str = ""


async def _kill(system: System) -> None:
    await system.world.cluster.kill(_VICTIM)
    await asyncio.sleep(6)
    await system.world.cluster.restart(_VICTIM)


async def _terminate(system: System) -> None:
    await system.world.cluster.stop_proxy(_VICTIM)
    await asyncio.sleep(2)
    await system.world.cluster.restart(_VICTIM)


async def _pause(system: System, seconds: float) -> None:
    system.world.cluster.pause(_VICTIM)
    try:
        await asyncio.sleep(seconds)
    finally:
        system.world.cluster.resume(_VICTIM)


async def _pause_short(system: System) -> None:
    await _pause(system, 3)


async def _pause_long(system: System) -> None:
    # Two checks of 15 s that time out after 15 s each, and where in the interval the first one falls.
    await _pause(system, 62)
    # Its session is lost meanwhile, and Milvus ends a proxy that finds this out; Kubernetes starts it again.
    await system.world.cluster.restart(_VICTIM)


async def _restart(system: System) -> None:
    await system.world.cluster.kill(_VICTIM)
    await system.world.cluster.restart(_VICTIM)


async def _rolling_restart(system: System) -> None:
    for index in range(PROXIES):
        await system.world.cluster.restart(index)
        await asyncio.sleep(2)


async def _refuse(system: System) -> None:
    await _relay_mode(system, "refuse", 8)


async def _swallow(system: System) -> None:
    await _relay_mode(system, "swallow", 16)


async def _relay_mode(system: System, mode: str, seconds: float) -> None:
    relay = system.world.relay
    relay.set_mode("refuse" if mode == "refuse" else "swallow")
    try:
        await asyncio.sleep(seconds)
    finally:
        relay.set_mode("pass")


async def _reset(system: System) -> None:
    # With answers on their way: what was done and not heard of is what would be done twice.
    system.world.relay.set_delay(0.05)
    try:
        for _ in range(30):
            system.world.relay.reset_one()
            await asyncio.sleep(random.uniform(0.1, 0.5))
    finally:
        system.world.relay.set_delay(0)


async def _slow(system: System) -> None:
    system.world.relay.set_delay(0.1)
    try:
        await asyncio.sleep(6)
    finally:
        system.world.relay.set_delay(0)


async def _broker(system: System) -> None:
    cluster = system.world.cluster
    assert isinstance(cluster, MilvusCluster), "Milvus Lite has no broker"
    broker = cluster.broker
    broker.send_signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(4)
    finally:
        broker.send_signal(signal.SIGCONT)


async def _end_child(system: System, name: str) -> None:
    pid, restarts = system.kiteway.child(name)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while not (system.kiteway.child(name)[1] > restarts and system.kiteway.child(name)[0] not in {None, pid}):  # noqa: ASYNC110 - it is another process
        await asyncio.sleep(0.05)
    while not system.kiteway.status()["ready"]:  # noqa: ASYNC110 - likewise
        await asyncio.sleep(0.05)
    await asyncio.sleep(3)


async def _control_plane(system: System) -> None:
    await _end_child(system, "controlplane")


async def _envoy(system: System) -> None:
    await _end_child(system, "envoy")


assert RELAYED != _VICTIM

FAULTS = (
    Fault("kill -9 of a proxy", _kill, note="Strong reads wait until Milvus gives up the dead proxy's session (5 s)."),
    Fault("SIGTERM of a proxy", _terminate),
    Fault("SIGSTOP short of the check (3 s)", _pause_short),
    Fault(
        "SIGSTOP past the check (62 s)",
        _pause_long,
        note="Strong reads wait for the stopped proxy's session, as above.",
    ),
    Fault("kill -9 and immediate restart", _restart),
    Fault("rolling restart of all proxies", _rolling_restart),
    Fault("serving port refused, /healthz good", _refuse),
    Fault("blackhole: accepted, never answered (16 s)", _swallow),
    Fault("connections reset at random moments", _reset),
    Fault("slow proxy (100 ms more)", _slow),
    Fault(
        "broker gone for a moment (4 s)",
        _broker,
        note="Writes and Strong reads wait for the broker, behind every balancer and without one.",
    ),
    Fault("control plane killed", _control_plane, of_kiteway=True),
    Fault(
        "Envoy killed, one replica",
        _envoy,
        of_kiteway=True,
        ends_connections=True,
        note="What is in flight is lost with its connection: one machine cannot hide its own death.",
    ),
)
"""In the order they are run."""

"""The faults of a run, one after the other."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable

from tests.chaos.faults import FAULTS, Fault, System
from tests.consistency.lead import Lead
from tests.consistency.machine import Machine

_PAUSE = 5.0
"""Seconds without a fault between two."""

_SUSPENDED_SECONDS = 3.0
_OVERTAKING_SECONDS = 20.0


async def _delay_answers(system: System) -> None:
    # Reads on one connection are under way while a change is answered on another one.
    for seconds in (0.5, 1.5, 2.5, 2.5):
        await _lag(system, seconds, 4)


async def _delay_a_little(system: System) -> None:
    # Timestamps arrive late, but before the filter gives up waiting for them (250 ms).
    system.world.relay.set_delay(0.18)
    try:
        await asyncio.sleep(20)
    finally:
        system.world.relay.set_delay(0)


async def _lag(system: System, delay: float, seconds: float) -> None:
    system.world.relay.set_lag(delay)
    try:
        await asyncio.sleep(seconds)
    finally:
        system.world.relay.set_lag(0)


_OF_ONE = (
    "some answers late",
    "broker gone",
    "machine suspended",
    "slow proxy",
    "connections reset",
    "control plane killed",
    "Envoy killed",
)
_OF_MANY = ("kill -9 of a proxy", "SIGSTOP short", "changes overtake answers", *_OF_ONE)
_OF_BUGS = {
    "generation_ignored_at_store": ("some answers late",),
    "generation_ignored_at_join": ("changes overtake answers",),
    "sample_aged_from_receipt": ("answers a little late",),
    "clock_without_suspend": ("machine suspended",),
}
"""What shows a planted bug; the others show without a fault. More would keep the cache from working: a slow fill rests it."""


def faults(machine: Machine, lead: Lead, proxies: int) -> tuple[Fault, ...]:
    """Return the faults of a run with so many proxies."""
    return _named(_OF_ONE if proxies == 1 else _OF_MANY, machine, lead)


def showing(machine: Machine, lead: Lead, bug: str) -> tuple[Fault, ...]:
    """Return the faults of a run with a planted bug."""
    return _named(_OF_BUGS.get(bug, ()), machine, lead)


def _named(names: tuple[str, ...], machine: Machine, lead: Lead) -> tuple[Fault, ...]:
    async def suspend(system: System) -> None:
        pid, _ = system.kiteway.child("envoy")
        assert pid is not None
        await machine.suspend(pid, _SUSPENDED_SECONDS)

    async def overtake(_: System) -> None:
        # Another proxy makes the change and answers the reads after it.
        lead.late = True
        try:
            await asyncio.sleep(_OVERTAKING_SECONDS)
        finally:
            lead.late = False

    own = (
        Fault("machine suspended", suspend, of_kiteway=True),
        Fault("some answers late", _delay_answers),
        Fault("changes overtake answers", overtake),
        Fault("answers a little late", _delay_a_little),
    )
    return tuple(next(fault for fault in (*own, *FAULTS) if fault.name.startswith(name)) for name in names)


async def disturb(
    system: System, seconds: float, chosen: tuple[Fault, ...], say: Callable[[str], None], until: Callable[[], bool]
) -> None:
    """Do one fault after the other until the time is over or `until` is true; a fault that has begun is ended."""
    end = time.monotonic() + seconds
    for fault in itertools.cycle(chosen or (None,)):
        pause_ends = min(end, time.monotonic() + _PAUSE)
        while time.monotonic() < pause_ends and not until():  # noqa: ASYNC110 - it is the work of threads
            await asyncio.sleep(0.2)
        if time.monotonic() >= end or until():
            return
        if fault:
            say(fault.name)
            await fault.harm(system)

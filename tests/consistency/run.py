"""One run: clients, faults, and what was recorded."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from tests.chaos.faults import Fault, System
from tests.consistency.catalogue import POOLS
from tests.consistency.client import Arm, Ledger
from tests.consistency.crowd import Crowd
from tests.consistency.disturb import disturb
from tests.consistency.lead import Lead
from tests.consistency.liar import liar
from tests.consistency.machine import Machine
from tests.consistency.records import Recorded
from tests.consistency.scene import Scene, balancers, through
from tests.support.reads import channel

KITEWAY, ENVOY, LIAR, DIRECT = "Kiteway", "Envoy", "liar", "direct"
ARMS = (KITEWAY, ENVOY, LIAR)
_LIE_SECONDS = 10.0
_READERS = 5
_PAUSE = 0.005
_CHASERS = 2
"""Each has its own connection, which one of Envoy's workers serves."""

_WRITE_PAUSE = 0.1
_DENSE_PAUSE = 0.02
"""Between two rows where the time of an answer is to be known precisely."""


async def run(
    found: Scene,
    seconds: float,
    faults: tuple[Fault, ...],
    say: Callable[[str], None],
    *,
    machine: Machine,
    lead: Lead,
    cache: bool,
    changes: bool = True,
    quiet: bool = False,
    until: Callable[[Ledger], bool] = lambda _: False,
) -> Recorded:
    """
    Run clients and faults in front of a prepared scene.

    Args:
        found: what the clients read and write.
        seconds: how long.
        faults: done in turn.
        say: told each fault.
        machine: runs Kiteway's Envoy.
        lead: see `Crowd`.
        cache: whether a policy turns Kiteway's cache on.
        changes: see `Crowd`.
        quiet: nothing changes, and a few clients read one collection of the pool `A`, which is written to past every
            balancer: what is acknowledged and read is then known to a few milliseconds.
        until: asked all the time; once true, the run ends.
    """
    with contextlib.ExitStack() as stack:
        running, first, second, plain = stack.enter_context(balancers(found, machine.envoy, cache=cache))
        upstream = stack.enter_context(plain.connect())
        port = stack.enter_context(liar(upstream, _LIE_SECONDS))
        kiteway = Arm(
            KITEWAY,
            dict(zip(POOLS, (first.connect, second.connect), strict=True)),
            _READERS,
            _PAUSE,
            bursts=True,
            chasers=_CHASERS,
            write_pause=_WRITE_PAUSE,
            has_headers=True,
        )
        control = Arm(ENVOY, {"A": plain.connect, "B": lambda: found.direct("B")}, write_pause=_WRITE_PAUSE)
        lying = Arm(LIAR, {"A": lambda: channel(f"127.0.0.1:{port}", None, None)})
        chasing = Arm(KITEWAY, {"A": first.connect}, waiting=0, chasers=_CHASERS, has_headers=True)
        direct = Arm(DIRECT, {"A": lambda: found.direct("A")}, waiting=0, write_pause=_DENSE_PAUSE)
        crowd = Crowd(
            next(found.numbers),
            (chasing, direct) if quiet else (kiteway, control, lying),
            here=kiteway,
            elsewhere=control,
            connect=through(first),
            lead=lead,
            changes=changes and not quiet,
        )
        with crowd.running():
            await disturb(
                System(found.first, running), seconds, faults, say, lambda: until(crowd.ledger) or not crowd.alive()
            )
            if not crowd.alive():
                raise RuntimeError("a client of the run has ended; its error is above")
        return crowd.ledger.recorded

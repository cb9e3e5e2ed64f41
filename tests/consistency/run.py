"""One run: clients, faults, and what was recorded."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from tests.chaos.faults import Fault, System
from tests.consistency.catalogue import POOLS
from tests.consistency.client import Arm, Ledger
from tests.consistency.crowd import Crowd
from tests.consistency.disturb import disturb
from tests.consistency.liar import liar
from tests.consistency.machine import Machine
from tests.consistency.records import Recorded
from tests.consistency.scene import Scene, balancers, through
from tests.support.reads import channel

KITEWAY, ENVOY, LIAR = "Kiteway", "Envoy", "liar"
ARMS = (KITEWAY, ENVOY, LIAR)
_LIE_SECONDS = 10.0
_READERS = 5
_PAUSE = 0.005


async def run(
    found: Scene,
    seconds: float,
    faults: tuple[Fault, ...],
    say: Callable[[str], None],
    machine: Machine,
    *,
    cache: bool,
    changes: bool = True,
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
        cache: whether a policy turns Kiteway's cache on.
        changes: see `Crowd`.
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
            writes=True,
        )
        control = Arm(ENVOY, {"A": plain.connect, "B": lambda: found.direct("B")}, writes=True)
        lying = Arm(LIAR, {"A": lambda: channel(f"127.0.0.1:{port}", None, None)})
        crowd = Crowd(
            next(found.numbers),
            (kiteway, control, lying),
            here=kiteway,
            elsewhere=control,
            connect=through(first),
            changes=changes,
        )
        with crowd.running():
            await disturb(
                System(found.first, running), seconds, faults, say, lambda: until(crowd.ledger) or not crowd.alive()
            )
            if not crowd.alive():
                raise RuntimeError("a client of the run has ended; its error is above")
        return crowd.ledger.recorded

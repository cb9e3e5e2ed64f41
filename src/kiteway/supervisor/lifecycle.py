"""The supervisor's life, from the first start to the last end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import time
from collections.abc import Callable, Sequence

from kiteway.instance import Instance
from kiteway.supervisor.child import ChildSpec, Reaper
from kiteway.supervisor.keeper import Event, Keeper
from kiteway.supervisor.state import Phase, SupervisorState, write_state

# SIGHUP: the terminal was closed.
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


async def run(children: Sequence[ChildSpec], instance: Instance, *, on_event: Callable[[Event], None]) -> int:
    """
    Start ``children`` in order, keep each running, stop them in reverse order; return the exit status (0).

    The caller owns ``instance`` (``acquire``) and calls this on the main thread. It ends by SIGTERM, SIGINT or SIGHUP,
    or by cancellation; a second signal cuts a drain short.
    """
    _allow_all_descriptors()
    loop = asyncio.get_running_loop()
    stop, hurry = asyncio.Event(), asyncio.Event()
    started = time.time()
    phase: Phase = "running"

    def save() -> None:
        states = {keeper.spec.name: keeper.state for keeper in keepers}
        # A full disk costs the report of `kiteway status`, not the service.
        with contextlib.suppress(OSError):
            write_state(instance.supervisor_file, SupervisorState(os.getpid(), started, phase, states))

    def on_signal() -> None:
        (hurry if stop.is_set() else stop).set()

    with Reaper() as reaper:
        keepers = [Keeper(spec, reaper, on_event=on_event, changed=save) for spec in children]
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, on_signal)
        try:
            for keeper in keepers:
                keeper.start()
            await stop.wait()
        finally:
            stop.set()
            phase = "draining"
            save()
            for keeper in reversed(keepers):
                await keeper.stop(hurry)
            for number in _STOP_SIGNALS:
                loop.remove_signal_handler(number)
    return 0


def _allow_all_descriptors() -> None:
    # Each connection is a descriptor, and the usual soft limit of 1024 is select(2)'s, which nobody here uses.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

"""The life of the supervisor, from the start of its children to their end."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import resource
import signal
from collections.abc import Callable, Sequence

from kiteway.instance import Instance
from kiteway.report.supervisor import Phase, SupervisorState
from kiteway.supervisor.child import ChildSpec, Reaper
from kiteway.supervisor.keeper import ChildEvent, Keeper
from kiteway.supervisor.state import write_state

# SIGHUP: the terminal was closed.
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


async def run(
    children: Sequence[ChildSpec],
    instance: Instance,
    *,
    on_event: Callable[[ChildEvent], None],
    on_stop: Callable[[signal.Signals], None] = lambda _: None,
) -> int:
    """
    Start ``children`` in order, keep each running, stop them in reverse order; return the exit status (0).

    The caller owns ``instance`` (``acquire``) and calls this on the main thread. SIGTERM, SIGINT, SIGHUP or cancellation
    end it; a second signal ends a drain at once. ``on_stop`` is called with the first signal.
    """
    _allow_all_descriptors()
    loop = asyncio.get_running_loop()
    stop, hurry = asyncio.Event(), asyncio.Event()
    started = dt.datetime.now(dt.UTC)
    phase = Phase.RUNNING

    def save() -> None:
        states = {keeper.spec.name: keeper.state for keeper in keepers}
        # On a full disk only `kiteway status` lacks the state.
        with contextlib.suppress(OSError):
            write_state(instance.supervisor_file, SupervisorState(os.getpid(), started, phase, states))

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            hurry.set()
        else:
            stop.set()
            on_stop(number)

    with Reaper() as reaper:
        keepers = [Keeper(spec, reaper, on_event=on_event, changed=save) for spec in children]
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, on_signal, number)
        try:
            for keeper in keepers:
                keeper.start()
            await stop.wait()
        finally:
            stop.set()
            phase = Phase.DRAINING
            save()
            for keeper in reversed(keepers):
                await keeper.stop(hurry)
            for number in _STOP_SIGNALS:
                loop.remove_signal_handler(number)
    return 0


def _allow_all_descriptors() -> None:
    # Each connection is a descriptor. The usual soft limit of 1024 exists for select(2), which is not used here.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

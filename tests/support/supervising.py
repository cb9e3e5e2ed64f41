"""A supervisor with small scripts as children, in this process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from kiteway.instance import Instance
from kiteway.report.supervisor import SupervisorState
from kiteway.supervisor import ChildEvent, ChildSpec, read_state, run

SLEEP = "import signal; signal.pause()"


STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)\nwhile True: signal.pause()"


def child(name: str, script: str, tmp_path: Path, **options: object) -> ChildSpec:
    """Return a child that runs ``script``."""
    argv = (sys.executable, "-S", "-c", script)
    return ChildSpec(name, argv, dict(os.environ), log=tmp_path / f"{name}.log", **options)  # type: ignore[arg-type]


class Watch:
    """The events so far, and waiting for them."""

    def __init__(self, instance: Instance) -> None:
        self.events: list[ChildEvent] = []
        self._instance = instance
        self._changed = asyncio.Event()

    def __call__(self, event: ChildEvent) -> None:
        """Take note of ``event``."""
        self.events.append(event)
        self._changed.set()

    async def until(self, name: str, what: str, times: int = 1) -> None:
        """Wait until ``what`` happened to the child ``name`` so many times."""
        while self.seen().count((name, what)) < times:
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 30)

    def seen(self) -> list[tuple[str, str]]:
        """Return the events without their details."""
        return [(event.child, event.what) for event in self.events]

    def state(self) -> SupervisorState:
        """Return the state file."""
        state = read_state(self._instance.supervisor_file)
        assert state
        return state

    def pid(self, name: str) -> int:
        """Return the pid of the child ``name``."""
        pid = self.state().children[name].pid
        assert pid
        return pid


def supervise(children: list[ChildSpec], tmp_path: Path, act: Callable[[Watch], Awaitable[None]]) -> Watch:
    """Run ``children``, do ``act`` meanwhile, then SIGTERM ourselves; the supervisor ends with 0."""
    instance = Instance(tmp_path / "data")

    async def main() -> Watch:
        watch = Watch(instance)
        running = asyncio.create_task(run(children, instance, on_event=watch))
        try:
            await act(watch)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            assert await asyncio.wait_for(running, 30) == 0
        return watch

    with instance.acquire():
        return asyncio.run(main())


def first_line(log: Path) -> bytes:
    """Wait for the first line in ``log`` and return it."""
    wait_for(lambda: log.exists() and log.read_bytes().endswith(b"\n"))
    return log.read_bytes()


def alive(pid: int) -> bool:
    """Whether ``pid`` is a process that runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait at most 30 s for ``condition``."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)

"""Keeps one child running, and stops it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from kiteway.backoff import Backoff
from kiteway.report.supervisor import ChildState
from kiteway.supervisor.child import ChildSpec, Reaper, exit_reason, output, spawn
from kiteway.supervisor.logs import PrefixedStderr, RotatingLog, forward
from kiteway.supervisor.pulse import Pulse, until_hung
from kiteway.supervisor.waiting_room import WaitingRoom

_OUTPUT_SECONDS = 1.0
"""Seconds to read the output that is still in the pipe when the child has ended."""

_STEADY_SECONDS = 30.0
"""A child that ran for so many seconds is restarted as after its first failure."""


def child_backoff() -> Backoff:
    """Return the pauses between two starts of a child: 0.1 s, doubling to 10 s."""
    return Backoff(0.1, 10.0, spread=False)


def next_delay(backoff: Backoff, ran_seconds: float) -> float:
    """Return the seconds to wait before the next start of a child that ran ``ran_seconds``."""
    if ran_seconds >= _STEADY_SECONDS:
        backoff.reset()
    return backoff.pause()


@dataclass(frozen=True)
class ChildEvent:
    """
    An event in the life of a child.

    ``detail`` is for people: the process id, the reason of the end, the pause before the next start.
    """

    child: str
    what: Literal["started", "hangs", "answers", "failed", "draining", "stopping", "killed", "stopped"]
    detail: str = ""


class Keeper:
    """
    The life of one child: start, restart with back-off when it ends by itself, drain and stop.

    ``state`` is current; ``changed`` is called after each change of it.
    """

    def __init__(
        self, spec: ChildSpec, reaper: Reaper, *, on_event: Callable[[ChildEvent], None], changed: Callable[[], None]
    ) -> None:
        self.spec = spec
        self.state = ChildState()
        self._reaper = reaper
        self._on_event = on_event
        self._changed = changed
        self._sink = RotatingLog(spec.log) if spec.log else PrefixedStderr(spec.name)
        self._process: subprocess.Popen[bytes] | None = None
        self._ended: asyncio.Future[int] | None = None
        self._stopping = asyncio.Event()
        self._room = WaitingRoom(spec.look) if spec.look else None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the child and keep it running until ``stop``."""
        self._task = asyncio.create_task(self._keep(), name=f"keep {self.spec.name}")
        if self._room:
            self._room.open()

    async def stop(self, hurry: asyncio.Event) -> None:
        """Drain (until ``hurry`` is set), SIGTERM, SIGKILL; return when the child and its own children have ended."""
        self._stopping.set()
        if self._room:
            await self._room.close()
        if self._task is None:
            return
        if self._process and self._ended:
            await self._drain(self._ended, hurry)
            await self._end(self._process, self._ended)
        await self._task
        self._sink.close()

    async def _keep(self) -> None:
        backoff = child_backoff()
        while not self._stopping.is_set():
            began = time.monotonic()
            reason = await self._run()
            if self._stopping.is_set():
                self._on_event(ChildEvent(self.spec.name, "stopped", reason))
                return
            delay = next_delay(backoff, time.monotonic() - began)
            self.state.restarts += 1
            self.state.last_exit = reason
            self._changed()
            self._on_event(ChildEvent(self.spec.name, "failed", f"{reason}; next start in {delay:g} s"))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)

    async def _run(self) -> str:
        try:
            process = spawn(self.spec)
        except OSError as error:
            return f"cannot start {self.spec.argv[0]}: {error.strerror or error}"
        self._process = process
        self._ended = self._reaper.watch(process)
        copying = asyncio.create_task(forward(output(process), self._sink))
        self.state.pid, self.state.started = process.pid, _now()
        self._changed()
        self._on_event(ChildEvent(self.spec.name, "started", f"pid {process.pid}"))
        watching = asyncio.create_task(self._watch(process, self.spec.pulse)) if self.spec.pulse else None
        returncode = await self._ended
        hung = ""
        if watching is not None:
            hung = watching.result() if watching.done() else ""
            watching.cancel()
        self._process = self._ended = None
        self.state.pid = self.state.silent_since = None
        self._changed()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(copying, _OUTPUT_SECONDS)
        return hung or exit_reason(returncode)

    async def _watch(self, process: subprocess.Popen[bytes], pulse: Pulse) -> str:
        """Kill the child when it hangs; return the reason of its end."""
        reported = False

        def changed(silent: float) -> None:
            nonlocal reported
            self.state.silent_since = _now() - dt.timedelta(seconds=silent) if silent else None
            self._changed()
            # One round without an answer happens on a busy machine.
            if reported and not silent:
                reported = False
                self._on_event(ChildEvent(self.spec.name, "answers", "again"))
            elif not reported and silent >= 2 * pulse.round_seconds:
                reported = True
                detail = (
                    f"pid {process.pid} does not answer; after {pulse.hung_seconds:g} s it is killed and started again"
                )
                self._on_event(ChildEvent(self.spec.name, "hangs", detail))

        silent = await until_hung(pulse, changed)
        # A process that hangs does not handle SIGTERM.
        process.kill()
        return f"killed, as it did not answer for {silent:.3g} s"

    async def _drain(self, ended: asyncio.Future[int], hurry: asyncio.Event) -> None:
        if self.spec.drain is None or hurry.is_set() or ended.done():
            return
        self._on_event(ChildEvent(self.spec.name, "draining", f"at most {self.spec.drain_seconds:g} s"))
        drain = asyncio.ensure_future(self.spec.drain())
        hurried = asyncio.create_task(hurry.wait())
        over: set[asyncio.Future[Any]] = {drain, hurried, ended}
        await asyncio.wait(over, timeout=self.spec.drain_seconds, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        drain.cancel()
        # After a drain that failed the child is stopped all the same.
        (result,) = await asyncio.gather(drain, return_exceptions=True)
        if isinstance(result, Exception):
            self._on_event(ChildEvent(self.spec.name, "draining", f"failed: {result}"))

    async def _end(self, process: subprocess.Popen[bytes], ended: asyncio.Future[int]) -> None:
        for number, what in ((signal.SIGTERM, "stopping"), (signal.SIGKILL, "killed")):
            if ended.done():
                return
            self._on_event(ChildEvent(self.spec.name, "stopping" if what == "stopping" else "killed"))
            process.send_signal(number)
            await asyncio.wait({ended}, timeout=self.spec.stop_seconds)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)

"""
Doing a plan: the first thing that is not done, then a new reading, until nothing is left.

The cluster alone knows how far it got, so a killed run goes on where it was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from kiteway.diagnostics import Diagnostic, Severity
from kiteway.gke.live import Live
from kiteway.gke.run import run
from kiteway.gke.step import Plan, State, Step

_POLL_SECONDS = 2.0
_PENDING_SECONDS = 300.0


class ApplyError(Exception):
    """
    A step did not come to its end; what was done stays, and ``apply`` may be run again.

    Attributes:
        problems: what the plan says is wrong; empty when the step only took too long.
    """

    def __init__(self, message: str, problems: tuple[Diagnostic, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class Progress(Protocol):
    """Who is told what happens."""

    def step(self, step: Step) -> None:
        """Tell of a step as it was found."""

    def command(self, text: str) -> None:
        """Tell of a command before it is run."""

    def waiting(self, step: Step, seconds: float) -> None:
        """Tell what is waited for and what is seen; called when that changes, and every half minute."""


@dataclass(frozen=True, slots=True)
class Doing:
    """
    How plans are done.

    Attributes:
        read: makes a reading.
        plan: makes the plan of a reading.
        progress: who is told.
        before: called before the step of this id is begun; a verification before the old balancer goes.
    """

    read: Callable[[], Awaitable[Live]]
    plan: Callable[[Live], Plan]
    progress: Progress
    before: tuple[str, Callable[[], Awaitable[None]]] | None = None


async def apply(doing: Doing) -> bool:
    """
    Do every step that is not done; return whether anything was.

    Raises:
        ApplyError: an error in the plan, or a step that took too long.
        CommandError: a command failed.
    """
    await _settled(doing)
    changed = False
    for step_id in [step.id for step in (await _plan(doing)).steps]:
        changed |= await _do(doing, step_id)
    return changed


async def _do(doing: Doing, step_id: str) -> bool:
    step = (await _plan(doing)).step(step_id)
    if step is None:
        return False
    doing.progress.step(step)
    if step.state in {State.DONE, State.MANUAL}:
        return False
    if doing.before is not None and doing.before[0] == step_id:
        await doing.before[1]()
    if step.state is State.TODO:
        for command in step.commands:
            doing.progress.command(str(command))
            await run(command)
    await _wait(doing, step)
    return True


async def _wait(doing: Doing, step: Step) -> None:
    started = said_at = time.monotonic()
    said = ""
    while True:
        now = (await _plan(doing)).step(step.id)
        waited = time.monotonic() - started
        if now is None:
            return
        if now.state is State.DONE:
            doing.progress.step(now)
            return
        if waited > step.seconds:
            raise ApplyError(f"{step.id}: no end after {step.seconds:g} s: {now.sees}.")
        if now.sees != said or time.monotonic() - said_at > 30:
            doing.progress.waiting(now, waited)
            said, said_at = now.sees, time.monotonic()
        await asyncio.sleep(_POLL_SECONDS)


async def _plan(doing: Doing) -> Plan:
    made = doing.plan(await doing.read())
    if made.refused:
        errors = tuple(p for p in made.problems if p.severity is Severity.ERROR)
        raise ApplyError("there is something in the way", errors)
    return made


async def _settled(doing: Doing) -> None:
    """Wait for a Helm that a killed run has left behind: it ends by itself, and only then can be seen what it did."""
    started = time.monotonic()
    while True:
        release = (await doing.read()).release
        pending = release is not None and release.status.startswith("pending-")
        if not pending or time.monotonic() - started > _PENDING_SECONDS:
            return
        await asyncio.sleep(_POLL_SECONDS)

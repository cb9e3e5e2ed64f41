"""
Applies a plan: does the first step that is not done, reads the cluster again, and repeats until all steps are done.

All state is in the cluster, so the next run continues an interrupted one.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from kiteway.diagnostics import Diagnostic, Severity
from kiteway.gke.live import ClusterReading, Release
from kiteway.gke.run import CommandError, run
from kiteway.gke.step import Plan, State, Step

_POLL_SECONDS = 2.0
_PENDING_SECONDS = 300.0
_HELD = re.compile(r'another operation .* is in progress|"sh\.helm\.release\.[^"]*" already exists')
"""Helm's error while another operation on the same release is running."""


class ApplyError(Exception):
    """
    A step did not finish; completed steps remain, and ``apply`` may be run again.

    Attributes:
        problems: the plan's problems; empty when the step only took too long.
    """

    def __init__(self, message: str, problems: tuple[Diagnostic, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class Progress(Protocol):
    """Receives reports of progress."""

    def problems(self, problems: tuple[Diagnostic, ...]) -> None:
        """Report what the user should know before the first step."""

    def pending(self, release: Release, seconds: float) -> None:
        """Report that a Helm operation on a release is running already, and how long to wait for it at most."""

    def step(self, step: Step) -> None:
        """Report a step's state."""

    def command(self, text: str) -> None:
        """Report a command before it is run."""

    def waiting(self, step: Step, seconds: float) -> None:
        """Report the awaited condition and the present state; called when that changes, and every half minute."""


@dataclass(frozen=True, slots=True)
class Doing:
    """
    The parts that applying a plan needs.

    Attributes:
        read: makes a reading.
        plan: makes the plan of a reading.
        progress: receives the reports.
        before: called before the step of this id is begun; a verification before the old balancer goes.
    """

    read: Callable[[], Awaitable[ClusterReading]]
    plan: Callable[[ClusterReading], Plan]
    progress: Progress
    before: tuple[str, Callable[[], Awaitable[None]]] | None = None


async def apply(doing: Doing) -> bool:
    """
    Do every step that is not done; return whether there was any.

    Raises:
        ApplyError: an error in the plan, or a step that took too long.
        CommandError: a command failed.
    """
    changed = False
    now = _checked(doing.plan(await _settled(doing)))
    doing.progress.problems(now.problems)
    for step_id in [step.id for step in now.steps]:
        step = now.step(step_id)
        if step is None:
            continue
        doing.progress.step(step)
        if step.state not in {State.DONE, State.MANUAL}:
            now = await _do(doing, step)
            changed = True
    return changed


async def _do(doing: Doing, step: Step) -> Plan:
    """Do a step; read the cluster until the step is done there, and return the plan of that reading."""
    if doing.before is not None and doing.before[0] == step.id:
        await doing.before[1]()
    if step.state is State.TODO:
        for command in step.commands:
            doing.progress.command(str(command))
            try:
                await run(command)
            except CommandError as error:
                if not _HELD.search(error.output):
                    raise
                return await _after_another(doing, step)
    return await _wait(doing, step)


async def _after_another(doing: Doing, step: Step) -> Plan:
    """Retry a step that a Helm operation blocked, begun since the reading by a killed run or another user."""
    plan = _checked(doing.plan(await _settled(doing)))
    again = plan.step(step.id)
    if again is None or again.state in {State.DONE, State.MANUAL}:
        return plan
    return await _do(doing, again)


async def _wait(doing: Doing, step: Step) -> Plan:
    started = shown_at = time.monotonic()
    shown = ""
    while True:
        plan = _checked(doing.plan(await doing.read()))
        now = plan.step(step.id)
        waited = time.monotonic() - started
        if now is None:
            return plan
        if now.state is State.DONE:
            doing.progress.step(now)
            return plan
        if waited > step.seconds:
            raise ApplyError(f"{step.id}: not done after {step.seconds:g} s: {now.sees}.")
        if now.sees != shown or time.monotonic() - shown_at > 30:
            doing.progress.waiting(now, waited)
            shown, shown_at = now.sees, time.monotonic()
        await asyncio.sleep(_POLL_SECONDS)


def _checked(made: Plan) -> Plan:
    if made.refused:
        errors = tuple(p for p in made.problems if p.severity is Severity.ERROR)
        raise ApplyError("the plan has an error", errors)
    return made


async def _settled(doing: Doing) -> ClusterReading:
    """
    Return a reading in which no Helm operation is running.

    A killed run leaves its Helm process running: that ends by itself, and only then is its effect visible.
    """
    started, told = time.monotonic(), False
    while True:
        live = await doing.read()
        releases = (live.release, live.kiteway_release)
        pending = next((r for r in releases if r is not None and r.status.startswith("pending-")), None)
        if pending is None or time.monotonic() - started > _PENDING_SECONDS:
            return live
        if not told:
            doing.progress.pending(pending, _PENDING_SECONDS)
            told = True
        await asyncio.sleep(_POLL_SECONDS)

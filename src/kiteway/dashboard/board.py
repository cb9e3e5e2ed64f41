"""The page's state: what was read last, the history and the events; it reads the instance more often while the page has a viewer."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kiteway.dashboard.figures import Figures, figures
from kiteway.dashboard.history import STEP_SECONDS, History
from kiteway.dashboard.journal import Journal
from kiteway.dashboard.source import Source, unanswered
from kiteway.envoy.calls import Calls
from kiteway.report.status import Status

_SIGNAL_SECONDS = 1.0
"""Seconds between two questions whether an endpoint's health has changed, while the page has a viewer."""
_WATCHED_SECONDS = STEP_SECONDS
"""Seconds between two readings of the status while the page has a viewer, if no endpoint's health changes."""
_UNWATCHED_SECONDS = STEP_SECONDS
"""The same without a viewer: the events need it."""
_PACE = 10
"""After a reading the pause is at least so many times as long as the reading took."""
_PAUSE_SECONDS_MOST = 30.0
"""The longest pause, so that a control plane that did not answer for a while is soon read again."""


@dataclass(frozen=True, slots=True)
class Seen:
    """
    What was read last.

    Attributes:
        at: when.
        status: the status.
        figures: the figures of calls.
        step: how often the counts were read.
        counted: whether the filter's counts were read; without them all figures are zero.
        statistics: some of Envoy's statistics, see `kiteway.dashboard.source`.
    """

    at: dt.datetime
    status: Status
    figures: Figures = field(default_factory=Figures)
    step: int = 0
    counted: bool = False
    statistics: Mapping[str, int] = field(default_factory=dict)


class Board:
    """The state of one page; ``version`` grows with everything that is read."""

    def __init__(self, source: Source, *, clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> None:
        self._source = source
        self._clock = clock
        self.history = History()
        self.journal = Journal()
        self.seen = Seen(clock(), unanswered("the page has not read the status yet"))
        self.version = 0
        self.ended = False
        self._calls: tuple[Calls, float] | None = None
        self._watchers = 0
        self._woken = asyncio.Event()
        self._changed = asyncio.Condition()

    async def run(self) -> None:
        """Read until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_status())
            tasks.create_task(self._follow_calls())

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Read the status as often as a viewer needs, until the end of the ``with``."""
        self._watchers += 1
        self._woken.set()
        try:
            yield
        finally:
            self._watchers -= 1

    async def newer(self, version: int) -> int:
        """Wait until the version is not ``version``, or until the end; return the version."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.version != version or self.ended)
            return self.version

    async def end(self) -> None:
        """End every wait for a new version."""
        async with self._changed:
            self.ended = True
            self._changed.notify_all()

    async def look(self) -> None:
        """Read the status once."""
        status = await self._source.status()
        at = self._clock()
        self.journal.take(status, at)
        await self._set(at=at, status=status)

    async def count(self) -> None:
        """Read the counts of calls once, and add a point to the history."""
        calls, read_at = await self._source.calls(), time.monotonic()
        statistics = await self._source.statistics()
        before, self._calls = self._calls, (calls, read_at) if calls is not None else None
        at = self._clock()
        if calls is None:
            self.history.skip(at.timestamp())
            found = Figures()
        else:
            then, when = before or (None, read_at)
            found = await asyncio.to_thread(figures, calls, then, read_at - when)
            if found.seconds > 0:
                self.history.add(at.timestamp(), found.points())
        await self._set(figures=found, step=self.seen.step + 1, counted=calls is not None, statistics=statistics)

    async def _set(self, **changes: Any) -> None:
        async with self._changed:
            self.seen = dataclasses.replace(self.seen, **changes)
            self.version += 1
            self._changed.notify_all()

    async def _follow_status(self) -> None:
        while True:
            # Asked before the look: a change in between is seen twice, and never missed.
            signals = await self._source.signals()
            began = time.monotonic()
            await self.look()
            took = time.monotonic() - began
            # Not sooner, whatever changes: the status of a large installation takes long.
            await asyncio.sleep(_pause(took))
            if self._watchers:
                await self._until_changed(signals, began + _WATCHED_SECONDS)
            else:
                await self._until_watched(began + _UNWATCHED_SECONDS - time.monotonic())

    async def _until_watched(self, seconds: float) -> None:
        """Wait until the page gets a viewer, at most ``seconds``."""
        self._woken.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    async def _until_changed(self, signals: Mapping[str, int], due: float) -> None:
        """Wait until the health of an endpoint changes, until ``due`` at the latest."""
        while (left := due - time.monotonic()) > 0:
            began = time.monotonic()
            if await self._source.signals() != signals:
                return
            took = time.monotonic() - began
            await asyncio.sleep(min(left, max(_SIGNAL_SECONDS, _pause(took))))

    async def _follow_calls(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            began = loop.time()
            await self.count()
            due = max(due + STEP_SECONDS, began + _pause(loop.time() - began))
            await asyncio.sleep(due - loop.time())


def _pause(took: float) -> float:
    """Return the seconds to wait after a question that took so many."""
    return min(_PAUSE_SECONDS_MOST, _PACE * took)

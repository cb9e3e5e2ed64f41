"""Runs with a planted bug in the filter: each must be caught, or the checker shows nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from tests.consistency.client import Ledger
from tests.consistency.disturb import showing
from tests.consistency.judge import Judge, Verdict
from tests.consistency.lead import Lead
from tests.consistency.machine import Machine
from tests.consistency.records import Recorded, now
from tests.consistency.run import KITEWAY, run
from tests.consistency.scene import Scene

_QUIET = frozenset({"sample_aged_from_receipt"})
"""The bugs that show only in the last tenths of a second of an answer's time: a change ends that time, and a busy client
does not know them precisely."""

_UNCHANGED = frozenset({"pool_not_in_key"})
"""The bugs that show only while nothing changes: the generations of two pools are equal then."""

_LOOK_PAUSE = 5.0
_RECENT = 3.0
"""Reads as young as this, in seconds, are judged later: what happened beside them may not be recorded yet."""


class Finder:
    """Looks for the first violation through Kiteway while a run goes on."""

    def __init__(self) -> None:
        """Nothing is found yet."""
        self.found: Verdict | None = None
        self._judged = 0
        self._next = time.monotonic() + _LOOK_PAUSE

    def look(self, ledger: Ledger) -> bool:
        """Judge what was read since the last time; tell whether a violation is found."""
        if self.found or time.monotonic() < self._next:
            return self.found is not None
        self._look(ledger.recorded)
        self._next = time.monotonic() + _LOOK_PAUSE
        return self.found is not None

    def _look(self, recorded: Recorded) -> None:
        reads, over = list(recorded.reads), now() - _RECENT
        copied = Recorded(
            dict(recorded.levels), list(recorded.writes), list(recorded.changes), reads, list(recorded.lost)
        )
        judging = Judge(copied)
        # Reads are in the order in which they were received.
        while self._judged < len(reads) and reads[self._judged].received < over:
            read = reads[self._judged]
            self._judged += 1
            verdict = judging.verdict(read) if read.question.arm == KITEWAY else None
            if verdict and not verdict.milvus:
                self.found = verdict
                return


async def hunt(found: Scene, bug: str, seconds: float, say: Callable[[str], None]) -> bool:
    """Run with a planted bug until it is caught; tell whether it was within so many seconds."""
    await asyncio.to_thread(found.reset)
    machine = Machine(found.first.folder, {"KITEWAY_PLANTED": bug})
    lead = Lead(found.first.relay)
    finder = Finder()
    began = time.monotonic()
    recorded = await run(
        found,
        seconds,
        showing(machine, lead, bug),
        lambda _: None,
        machine=machine,
        lead=lead,
        cache=True,
        changes=bug not in _UNCHANGED,
        quiet=bug in _QUIET,
        until=finder.look,
    )
    took = time.monotonic() - began
    cached = sum(read.cached for read in recorded.reads)
    if finder.found is None:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in recorded.reasons.items())
        say(f"{bug}: NOT caught in {took:.0f} s, {cached:,} answers of the cache; bypass: {reasons}")
        return False
    say(f"{bug}: caught after {took:.0f} s, {cached:,} answers of the cache\n  {finder.found}")
    return True

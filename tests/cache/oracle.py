"""
The judge of what a read may see.

The judge knows the truth by the wall clock, and does not know how the cache decides. It judges the answers that the
cache gave (hits, joined calls) and Milvus's answers to reads that the cache had rewritten.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.cache.conditions import BOUND, EVENTUAL_BOUND
from tests.cache.history import Level, Read
from tests.cache.milvus import Answer, Pool, State, question, stated


class Arrival(NamedTuple):
    """A read that arrived: at which replica, when it was received completely (ms), with which guarantee."""

    read: Read
    replica: int
    at: int
    guarantee: int


def wrong(pool: Pool, number: int, arrival: Arrival, answer: Answer, *, cached: bool) -> str | None:
    """Say what is wrong with an answer; None if nothing is. `cached`: it is the answer to another read."""
    if not answer.good or answer.view is None:
        return "got the error of another read" if cached else None
    read = arrival.read
    if answer.question != question(number, read):
        return f"got the answer to another question: {answer.question}"
    name = (read.database, read.name)
    known = pool.states[_respected(pool, arrival) :]
    possible = [state for state in known if state.catalog.view(name, read.user) is not None]
    if cached and all(state.catalog.view(name, read.user) != answer.view for state in possible):
        return f"got an answer from before a change: {answer.view}"
    levels = {_level(state, arrival) for state in possible}
    return _too_old(pool, arrival, answer, levels) if levels else None


def _level(state: State, arrival: Arrival) -> Level | None:
    """Return the level of a read; None where it is the default of what does not exist."""
    read = arrival.read
    if read.level is not None:
        return stated(read.level, arrival.guarantee)
    return state.catalog.levels.get(state.catalog.names.get((read.database, read.name), -1))


def _respected(pool: Pool, arrival: Arrival) -> int:
    """Return the index of the newest state that every answer to this read must know."""
    return max(i for i, state in enumerate(pool.states) if i == 0 or _must_be_known(state, arrival))


def _must_be_known(state: State, arrival: Arrival) -> bool:
    """
    Return whether a change is respected by now.

    That is: every proxy has heard of it, and it was acknowledged through this replica, or carried out while the call
    was under way through this replica and its answer is awaited, at most B long, unless Milvus had not answered its
    caller before, or it is B ago (for Eventually as long ago as its own bound).
    """
    at, heard = arrival.at, max(state.heard)
    if at <= heard:
        return False
    bound = EVENTUAL_BOUND if _level(state, arrival) is Level.EVENTUALLY else BOUND
    if at > heard + bound or at > state.shown.get(arrival.replica, at):
        return True
    change = state.change
    if change is None or change.replica != arrival.replica or change.kind == "load":
        return False
    if state.ended is not None and at > state.ended:
        return True
    return not change.stranger and state.since < at <= state.seen + BOUND


def _too_old(pool: Pool, arrival: Arrival, answer: Answer, levels: set[Level | None]) -> str | None:
    at, view = arrival.at, answer.view
    assert view is not None
    if levels == {Level.STRONG}:
        return "a Strong read did not go to Milvus as it was"
    if Level.EVENTUALLY in levels:
        late = at - answer.at > EVENTUAL_BOUND
        return f"an Eventually read was answered with what is {at - answer.at} ms old" if late else None
    missing = [row for row in pool.rows(view) if row.timestamp > answer.upto]
    if levels <= {Level.STRONG, Level.BOUNDED}:
        oldest = max((at - row.acknowledged for row in missing), default=0)
        if oldest > BOUND:
            return f"a Bounded read missed a write acknowledged {oldest} ms before it arrived"
    promised = arrival.read.level is None or levels != {Level.BOUNDED}
    if promised and any(row.timestamp <= arrival.guarantee for row in missing):
        return "a read missed a write up to its guarantee"
    return None
